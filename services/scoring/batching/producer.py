"""Writes whole record batches, idempotently, and returns when all in-sync replicas have them.

The one place that decides how records reach Kafka. Faust's own producer is not idempotent and sends record by record; here records are
packed into batches with aiokafka's `create_batch`, and each partition's batches are sent one after another, so that order per key holds.
aiokafka gives the batches their sequence numbers as it drains them, so idempotence holds for them as for single sends.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final

from faust.transport.drivers.aiokafka import Producer as FaustProducer
from faust.types import TP

from services.scoring.records import OutgoingRecord

_NO_HEADERS: Final[list[Any]] = []  # aiokafka's builder takes a list
MAX_BATCH_BYTES: Final = 512 * 1024  # half of the broker's default limit of 1 MiB a batch; a single larger record goes alone


class BatchProducer(FaustProducer):
    """Faust's producer with idempotence and whole batches."""

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}

    async def write(self, records: Sequence[OutgoingRecord]) -> dict[TP, tuple[int, int]]:
        """Write all records and wait until Kafka has them; in the order given within a partition.

        Returns:
            For each partition the offset of its first and of its last record; absent if Kafka did not tell (a retry that it had already taken).

        Raises:
            KafkaError: some were not taken; which is not known.
        """
        by_partition: dict[tuple[str, int], list[OutgoingRecord]] = {}
        for record in records:
            place = (record.topic, record.partition)  # a TP for each record would take longer than to append it
            rows = by_partition.get(place)
            if rows is None:
                rows = by_partition[place] = []
            rows.append(record)
        tps = [TP(*place) for place in by_partition]
        written = await asyncio.gather(*map(self._write_partition, tps, by_partition.values()))
        return {tp: offsets for tp, offsets in zip(tps, written, strict=True) if offsets is not None}

    async def _write_partition(self, tp: TP, records: Sequence[OutgoingRecord]) -> tuple[int, int] | None:
        producer: Any = self._ensure_producer()
        sent = []
        first = 0
        while first < len(records):
            batch = producer.create_batch()
            end = _fill(batch, records, first)
            if end == first:
                raise ValueError(f"a record of {len(records[first].value or b'')} bytes fits no batch of {tp}")
            sent.append((end - first, await producer.send_batch(batch, tp.topic, partition=tp.partition)))
            first = end
        # all futures are awaited even if one fails, or asyncio warns of an exception nobody took
        outcomes: list[Any] = await asyncio.gather(*(future for _, future in sent), return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        first, last = outcomes[0].offset, outcomes[-1].offset
        return None if first < 0 or last < 0 else (first, last + sent[-1][0] - 1)


def _fill(batch: Any, records: Sequence[OutgoingRecord], first: int) -> int:
    """Append records from `first` on as long as they find room; returns the first that found none.

    By the builder under the batch: `BatchBuilder.append` takes as long again as what it calls.
    """
    append = batch._builder.append  # noqa: SLF001
    count = 0
    for record in islice(records, first, None):
        headers = list(record.headers) if record.headers else _NO_HEADERS
        if append(count, record.timestamp_ms, record.key, record.value, headers) is None:
            break
        count += 1
    batch._relative_offset = count  # noqa: SLF001
    batch.close()
    return first + count
