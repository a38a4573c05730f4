"""Faust's `ConsumerScheduler`: hands out the records that were fetched for one partition as one message.

Stock Faust yields record by record and spends four asyncio tasks on each. Here the agent gets about one event when idle, and up to
`MAX_BATCH_RECORDS` under backlog, without a timer. Partitions take turns, so that none waits for another's backlog.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from faust.transport.utils import DefaultSchedulingStrategy
from faust.types import TP

from services.scoring.batching.records import FetchedRecords, RecordBatch

MAX_BATCH_RECORDS: Final = 10_000  # a second or two of work with the real model, well below a session: a rebalance waits for it


class BatchScheduler(DefaultSchedulingStrategy):
    """Yields `RecordBatch`es instead of records, round robin over partitions."""

    max_batch_records: int = MAX_BATCH_RECORDS

    def __init__(self) -> None:
        """Faust declares it abstract, and never says what it takes."""

    def iterate(self, records: Mapping[TP, list[Any]]) -> Iterator[tuple[TP, RecordBatch]]:
        """Cut what was fetched into bounded batches; each partition's batches stay in offset order."""
        waiting = {tp: self._batches(tp, fetched) for tp, fetched in records.items()}
        while waiting:
            for tp in list(waiting):
                batch = next(waiting[tp], None)
                if batch is None:
                    del waiting[tp]
                else:
                    yield tp, batch

    def _batches(self, tp: TP, fetched: list[Any]) -> Iterator[RecordBatch]:
        if not fetched:
            return
        start, end = fetched[0].offset, fetched[-1].offset + 1
        if isinstance(fetched, FetchedRecords):
            start, end = fetched.start, fetched.end
        for first in range(0, len(fetched), self.max_batch_records):
            last = first + self.max_batch_records
            upto = fetched[last].offset if last < len(fetched) else end
            yield RecordBatch(tp, tuple(fetched[first:last]), start, upto)
            start = upto
