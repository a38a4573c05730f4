"""What one fetch returned, and the batch that Faust carries as one message."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from faust.types import TP

from services.scoring.records import SourceRecord


class FetchedRecords(list[SourceRecord]):
    """What one fetch returned for one partition, and the range [`start`, `end`) of offsets that it covers.

    The range is wider than the records where the log has holes (transaction markers, compaction): `start` is where the
    fetch before ended, so ranges of consecutive fetches join without a gap.
    """

    def __init__(self, records: Iterable[SourceRecord], start: int, end: int) -> None:
        """Keep the records with their range."""
        super().__init__(records)
        self.start = start
        self.end = end


@dataclass(frozen=True, slots=True)
class RecordBatch:
    """Consecutive records of one partition, carried through Faust as one message; covers offsets [`start`, `end`)."""

    tp: TP
    records: Sequence[SourceRecord]
    start: int
    end: int
