"""Decides what labs are told, and when.

`decider` applies the domain's rules to new assessments, `timers` works off what is due later, `release` hands over to the channels; `store` keeps it
all in rows. `http`, `portfolio_http`, `silences_http` and `inbox` are the labs' side of it.
"""
