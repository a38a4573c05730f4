"""Held to aiokafka's own reading of the same bytes."""

import struct
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, READ_UNCOMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from services.scoring.batching.fetching import WholeBatches, flat

HERE = TopicPartition("neutrality.ownership", 3)
CONTROL_BIT = 0x20
ATTRIBUTES_AT = 21  # in a batch of format 2
_BUILDER: Any = DefaultRecordBatchBuilder
_RECORDS: Any = PartitionRecords
_RESULT: Any = FetchResult


def packed(base: int, values: Sequence[bytes], *, producer: int = -1, control: bool = False) -> bytes:
    """A batch of records from offset `base` on; `producer` is that of a transaction."""
    builder = _BUILDER(2, 0, int(producer >= 0), producer, 0, 0, 1 << 20)
    for number, value in enumerate(values):
        key = b"\x00\x00\x00\x00" if control else b"k%d" % number
        builder.append(number, 1_700_000_000_000 + number, key, value, [("h", value)])
    batch = builder.build()
    struct.pack_into(">q", batch, 0, base)
    if control:
        batch[ATTRIBUTES_AT + 1] |= CONTROL_BIT
    return bytes(batch)


def fetched(data: bytes, position: int, aborted: Sequence[tuple[int, int]], isolation: int, *, check: bool) -> Any:
    return _RECORDS(HERE, MemoryRecords(data), aborted, position, None, None, check, isolation)


LOG = b"".join(
    [
        packed(0, [b"a", b"b", b"c"]),
        packed(3, [b"taken back"], producer=7),
        packed(4, [b"stays"], producer=8),
        packed(5, [b""], producer=7, control=True),
        packed(9, [b"after a hole", b"last"]),
    ]
)


@pytest.mark.parametrize("position", [0, 1, 3, 4, 10, 11])
@pytest.mark.parametrize("isolation", [READ_COMMITTED, READ_UNCOMMITTED])
@pytest.mark.parametrize("aborted", [(), ((7, 3),)])
def test_whole_batches_hold_what_aiokafka_reads_and_end_where_it_ends(
    position: int, isolation: int, aborted: Sequence[tuple[int, int]]
) -> None:
    one_by_one = fetched(LOG, position, aborted, isolation, check=False)
    want = [(record.offset, record.timestamp, record.key, record.value, list(record.headers)) for record in one_by_one]
    ours = fetched(LOG, position, aborted, isolation, check=False)
    held = WholeBatches()
    held[HERE] = _RESULT(HERE, assignment=None, partition_records=ours, backoff=0)
    got = flat(ours)
    assert [(record.offset, record.timestamp, record.key, record.value, list(record.headers)) for record in got] == want
    assert ours.next_fetch_offset == one_by_one.next_fetch_offset == 11


def test_a_batch_with_a_wrong_checksum_raises() -> None:
    broken = bytearray(packed(0, [b"a"]))
    broken[-1] ^= 1
    ours = fetched(bytes(broken), 0, (), READ_COMMITTED, check=True)
    WholeBatches()[HERE] = _RESULT(HERE, assignment=None, partition_records=ours, backoff=0)
    with pytest.raises(CorruptRecordException):
        flat(ours)


def test_what_was_fetched_before_gives_whole_batches_too() -> None:
    ours = fetched(LOG, 0, (), READ_COMMITTED, check=False)
    WholeBatches({HERE: _RESULT(HERE, assignment=None, partition_records=ours, backoff=0)})
    assert isinstance(next(iter(ours)), list)
