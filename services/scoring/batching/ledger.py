"""Which offsets have been applied, and so may be committed. Pure.

Faust commits by runs of acknowledged single offsets and fills what it takes for gaps in the log; fed with batches, it takes the inside
of a batch that has not been applied yet for such a gap, and commits over it. And around a rebalance Faust drops fetched records
(a flow that stops in the middle of a fetch, a queue that is cleared), trusting a later seek. Here a range of offsets is admitted only if it joins
what was applied before; if not, something was dropped between, and the partition must be read again from where it was applied to.
"""

from collections.abc import Mapping
from enum import Enum

from faust.types import TP


class Admission(Enum):
    """What to do with a batch."""

    APPLY = "apply"
    REPEAT = "repeat"  # all of it has been applied since the partition came to us: drop it
    UNKNOWN = "unknown"  # not ours any more, or not sought yet: drop it, a seek follows every assignment
    HOLE = "hole"  # records between were dropped on the way: seek and read again


class OffsetLedger:
    """Next offset to apply for each partition. Owned by the consumer. `restart` is called in its thread, the rest on the app's event loop."""

    def __init__(self) -> None:
        """Start without partitions: nothing is admitted before `restart`."""
        self._next: dict[TP, int] = {}

    def restart(self, positions: Mapping[TP, int]) -> None:
        """Reading begins again at these offsets (after a seek)."""
        self._next.update(positions)

    def forget(self) -> None:
        """All partitions were given up: nothing is admitted or committed until the next `restart`."""
        self._next.clear()

    def admit(self, tp: TP, start: int, end: int) -> Admission:
        """What to do with a batch that covers the offsets [start, end). One that overlaps what was applied may be: that is idempotent."""
        position = self._next.get(tp)
        if position is None:
            return Admission.UNKNOWN
        if end <= position:
            return Admission.REPEAT
        return Admission.APPLY if start <= position else Admission.HOLE

    def applied(self, tp: TP, start: int, end: int) -> bool:
        """The range [start, end) has been applied, and all it led to is in Kafka.

        False, and nothing is acknowledged, if it does not join what was applied before (reading has gone back while it was in hand):
        committing past it would lose what lies between. It will be read and applied again.
        """
        position = self._next.get(tp)
        if position is None or start > position:
            return False
        self._next[tp] = max(position, end)
        return True

    def position(self, tp: TP) -> int | None:
        """Next offset to apply; None if the partition is not read here."""
        return self._next.get(tp)

    def positions(self) -> dict[TP, int]:
        """Next offset to apply, of all partitions read here: what a commit may say."""
        return dict(self._next)
