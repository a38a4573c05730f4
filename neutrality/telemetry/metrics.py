"""Conventions of our metrics: base units, bounded labels, every series there from the start, the registry handed in."""

from typing import Final

LATENCY_BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def exemplar(trace_id: str | None) -> dict[str, str] | None:
    """The trace that an observation belongs to, as OpenMetrics shows it."""
    return None if trace_id is None else {"trace_id": trace_id}
