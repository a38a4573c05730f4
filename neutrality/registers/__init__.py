"""Public registers and standards, read into events: one connector each, with its own mapping file. Pure: bytes in, events and refusals out.

A connector invents nothing. What a record says and the events cannot is told as a refusal with a reason; nothing is dropped in silence.
"""
