"""The standing audit: reads the input topics and `neutrality.scores` as any client does, and tells where they do not agree.

`log` reads the events, `standing` what was published; `comparison` sets one against the other (pure); `audit` does so again and again, for
new records only; `healing` says anew what is missing; `metrics` exports the findings. `audit` needs the extra `verify` (NumPy and SciPy).
"""
