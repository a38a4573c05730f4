"""Benchmarks: each is one command that writes one table."""
