"""Scores that somebody else wrote late: a worker that slept past its session may wake with results in its socket, older than what stands.

Receivers keep the higher version, but compaction keeps the last record. So each owner notes where its own scores went; what lies between them
is another's, and is read. Whoever keys it with a lower version than what was published since is asked to say again what stands.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from neutrality.broker.access import Where, cluster_at
from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.topics import LARGE_RECORD_BYTES, SCORES

PIECE_RECORDS: Final = 1_000  # some thousand are read in a second
ID_HEADER: Final = "ce_id"  # vendor:version
_CONSUMER: Final[Callable[..., Any]] = AIOKafkaConsumer


class Found(NamedTuple):
    """A record of `neutrality.scores`. Version -1: it has none, so any that was published is newer."""

    key: bytes
    version: int
    value: bytes | None


class Range(NamedTuple):
    """Offsets of one partition, `end` exclusive."""

    partition: int
    start: int
    end: int


class ScoresTopic(Protocol):
    """Where scores lie."""

    async def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """The offset after the last record, by partition."""

    async def read(self, found: Range) -> list[Found]:
        """The records of a range that have a key and are still there."""


class ForeignRanges:
    """What of the partitions held was not written by us, in pieces small enough to be read at once. Pure."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._ends: dict[int, int] = {}
        self._foreign: list[Range] = []

    def forget(self) -> None:
        """Other partitions come: whatever was written before they are first looked at is no concern of ours."""
        self._ends.clear()
        self._foreign.clear()

    def wrote(self, written: Mapping[TP, tuple[int, int]]) -> None:
        """Own records, first and last of each partition. Where Kafka tells no place, they count as another's: reading them does no harm."""
        for tp, (first, last) in written.items():
            if tp.topic == SCORES.name and tp.partition in self._ends:
                self._note(tp.partition, self._ends[tp.partition], first)
                self._ends[tp.partition] = last + 1

    def found(self, ends: Mapping[int, int]) -> list[Range]:
        """All that others wrote and that was not looked at yet, nothing of ours being on its way. A partition of unknown end begins here."""
        for partition, end in ends.items():
            self._note(partition, self._ends.get(partition, end), end)
            self._ends[partition] = end
        return list(self._foreign)

    def looked_at(self, found: Range) -> None:
        """This need not be found again."""
        self._foreign.remove(found)

    def _note(self, partition: int, start: int, end: int) -> None:
        self._foreign += pieces_of(partition, start, end)


def pieces_of(partition: int, start: int, end: int) -> list[Range]:
    """A range, in pieces small enough to be read at once."""
    return [Range(partition, at, min(at + PIECE_RECORDS, end)) for at in range(start, end, PIECE_RECORDS)]


def newest_of(records: Iterable[Found]) -> list[Found]:
    """Of each key the record with the highest version."""
    newest: dict[bytes, Found] = {}
    for found in records:
        if (known := newest.get(found.key)) is None or found.version > known.version:
            newest[found.key] = found
    return list(newest.values())


def said_in(records: Iterable[Found]) -> list[Assessment]:
    """The assessments; what is none, or is another vendor's than its key says, counts for nothing."""
    said = [(found.key, parse_assessment(found.value or b"")) for found in records]
    return [found for key, found in said if isinstance(found, Assessment) and found.vendor.encode() == key]


class KafkaScoresTopic:
    """The topic itself, by a consumer of its own without a group."""

    def __init__(self, where: Where) -> None:
        """Connect when first asked."""
        self._where = where
        self._consumer: Any = None

    async def ends(self, partitions: Collection[int]) -> dict[int, int]:
        """See `ScoresTopic`. Raises KafkaError if Kafka is away."""
        consumer = await self._connected()
        found = await consumer.end_offsets([TopicPartition(SCORES.name, partition) for partition in partitions])
        return {tp.partition: end for tp, end in found.items()}

    async def read(self, found: Range) -> list[Found]:
        """See `ScoresTopic`. Raises KafkaError if Kafka is away."""
        consumer = await self._connected()
        tp = TopicPartition(SCORES.name, found.partition)
        consumer.assign([tp])
        consumer.seek(tp, max(found.start, (await consumer.beginning_offsets([tp]))[tp]))
        records: list[Found] = []
        while await consumer.position(tp) < found.end:
            for batch in (await consumer.getmany(timeout_ms=1000)).values():
                records += [
                    Found(record.key, version_of(record.headers), record.value)
                    for record in batch
                    if record.key is not None and record.offset < found.end
                ]
        consumer.unsubscribe()
        return records

    async def close(self) -> None:
        """Let go of the connection."""
        if self._consumer is not None:
            await self._consumer.stop()

    async def _connected(self) -> Any:
        if self._consumer is None:
            consumer = _CONSUMER(
                **cluster_at(self._where).aiokafka(), enable_auto_commit=False, max_partition_fetch_bytes=LARGE_RECORD_BYTES
            )
            try:
                await consumer.start()
            except BaseException:  # a look that is cut off leaves no connection behind
                await consumer.stop()
                raise
            self._consumer = consumer
        return self._consumer


def version_of(headers: Iterable[tuple[str, bytes | None]]) -> int:
    """The version by the event's id; -1 if there is none."""
    _, _, version = next((value or b"" for name, value in headers if name == ID_HEADER), b"").rpartition(b":")
    return int(version) if version.isdigit() else -1
