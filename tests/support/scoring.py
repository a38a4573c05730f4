"""Hand-written stand-ins for what surrounds scoring's engine."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from faust.types import TP

from neutrality.events.cloudevent import Event, event_to_kafka, topic_kind
from neutrality.topics import MESSAGES, SCORES
from services.scoring.batching.ledger import Admission, OffsetLedger
from services.scoring.batching.records import RecordBatch
from services.scoring.records import OutgoingRecord
from services.scoring.results import Found, Range


@dataclass(frozen=True, slots=True)
class Consumed:
    """A consumed record."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp: int = 1_700_000_000_000


def consumed_event(event: Event, offset: int, *, partition: int = 0, key: bytes | None = None) -> Consumed:
    headers, value = event_to_kafka(event)
    return Consumed(f"neutrality.{topic_kind(event)}", partition, offset, key or event.key, value, tuple(headers))


def consumed_message(record: OutgoingRecord, offset: int) -> Consumed:
    return Consumed(MESSAGES.name, record.partition, offset, record.key, record.value, record.headers)


def batch(*records: Consumed, start: int | None = None, end: int | None = None) -> RecordBatch:
    first, last = records[0], records[-1]
    return RecordBatch(
        TP(first.topic, first.partition),
        records,
        first.offset if start is None else start,
        last.offset + 1 if end is None else end,
    )


async def nothing_to_commit() -> None:
    """What a rebalance settles, where nothing was applied."""


@dataclass
class FakeReader:
    """A consumer's ledger without a consumer."""

    ledger: OffsetLedger = field(default_factory=OffsetLedger)
    seeks: int = 0
    lag: int = 0

    def admit(self, found: RecordBatch) -> Admission:
        return self.ledger.admit(found.tp, found.start, found.end)

    def applied(self, found: RecordBatch) -> None:
        self.ledger.applied(found.tp, found.start, found.end)

    def lag_records(self) -> int:
        return self.lag

    def expect(self, ends: Mapping[TP, int]) -> None:
        pass

    async def read_again(self, tp: TP) -> bool:
        self.seeks += 1
        return True

    async def group_lag(self) -> tuple[int, int]:
        return self.lag_records(), 0


@dataclass
class FakeWriter:
    """A log in memory. `fails_at` counts calls: that one writes nothing and raises."""

    writes: list[list[OutgoingRecord]] = field(default_factory=list)
    fails_at: int | None = None
    offsets: dict[TP, int] = field(default_factory=dict)
    calls: int = 0

    async def write(self, records: Sequence[OutgoingRecord]) -> Mapping[TP, tuple[int, int]]:
        self.calls += 1
        if self.calls == self.fails_at:
            raise ConnectionError("Kafka is away")
        self.writes.append(list(records))
        written: dict[TP, tuple[int, int]] = {}
        for record in records:
            tp = TP(record.topic, record.partition)
            offset = self.offsets.get(tp, 0)
            self.offsets[tp] = offset + 1
            written[tp] = (written.get(tp, (offset, offset))[0], offset)
        return written

    def to(self, topic: str) -> list[OutgoingRecord]:
        return [record for write in self.writes for record in write if record.topic == topic]


@dataclass
class OwnScores:
    """The scores that a fake writer took; nobody else writes any."""

    writer: FakeWriter

    async def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        return {partition: self.writer.offsets.get(TP(SCORES.name, partition), 0) for partition in partitions}

    async def read(self, found: Range) -> list[Found]:
        raise AssertionError(f"{found} was not written by another")
