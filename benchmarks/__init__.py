"""Benchmarks: each is one command that writes one table. `python -m benchmarks` runs those of `make bench`, one after another, into one file."""
