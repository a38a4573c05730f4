"""The ports that services use instead of a Kafka client. `kafka` and `memory` are held to one contract suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

from neutrality.broker.errors import BrokerError, BrokerUnavailable, Overloaded, RecordTooLarge, TopicMismatch

TopicPartition = tuple[str, int]


@dataclass(frozen=True, slots=True)
class OutgoingRecord:
    """A record to be written; Kafka's own partitioner picks the partition from the key."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()
    timestamp_ms: int | None = None


@dataclass(frozen=True, slots=True)
class PublishedRecord:
    """Where a record lies, once all in-sync replicas have it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class ConsumedRecord:
    """A record as read."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class RecordPublisher(Protocol):
    """Writes records with acks=all, for use on one event loop."""

    async def publish(self, record: OutgoingRecord) -> PublishedRecord:
        """Write one record; returns once all in-sync replicas have it.

        Raises:
            BrokerUnavailable: no answer within the deadline; the record may or may not have been written.
            Overloaded: too many records are on their way.
            RecordTooLarge: Kafka will not take it.
        """
        ...

    async def publish_all(self, records: Sequence[OutgoingRecord]) -> tuple[PublishedRecord, ...]:
        """Write records, in order within a key; the first error is raised once all have ended, and any of them may have been written."""
        ...

    async def publish_each(self, records: Sequence[OutgoingRecord]) -> tuple[PublishedRecord | BrokerError, ...]:
        """Write records, in order within a key, and tell what became of each.

        Raises:
            Overloaded: too many records are on their way; none of these was sent.
        """
        ...

    async def is_reachable(self) -> bool:
        """Whether the broker answers now."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, within the deadline."""
        ...


def all_published(outcomes: Sequence[PublishedRecord | BrokerError]) -> tuple[PublishedRecord, ...]:
    """The records, if all were written. Raises the first BrokerError."""
    published = []
    for outcome in outcomes:
        if isinstance(outcome, BrokerError):
            raise outcome
        published.append(outcome)
    return tuple(published)


class RecordReader(Protocol):
    """Reads partitions of some topics from given offsets, outside any consumer group; blocking, for use in one thread."""

    def partitions(self) -> tuple[TopicPartition, ...]:
        """All that it reads."""
        ...

    def beginning_offsets(self) -> dict[TopicPartition, int]:
        """First offset kept. Raises BrokerUnavailable."""
        ...

    def end_offsets(self) -> dict[TopicPartition, int]:
        """Offset after the last record. Raises BrokerUnavailable."""
        ...

    def positions(self) -> dict[TopicPartition, int]:
        """Offset of what it will hand out next; moves past what is no record too (markers of transactions). Raises BrokerUnavailable."""
        ...

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Go on from this offset; what was fetched before it is not handed out."""
        ...

    def poll(self, wait: timedelta) -> tuple[ConsumedRecord, ...]:
        """What has come in, in order within a partition; empty after `wait` without any, also while Kafka is away.

        Raises:
            BrokerUnavailable: it cannot go on from here; open a new reader.
        """
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


__all__ = [
    "BrokerError",
    "BrokerUnavailable",
    "ConsumedRecord",
    "OutgoingRecord",
    "Overloaded",
    "PublishedRecord",
    "RecordPublisher",
    "RecordReader",
    "RecordTooLarge",
    "TopicMismatch",
    "TopicPartition",
    "all_published",
]
