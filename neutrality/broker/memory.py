"""A broker in memory, with the semantics of the ports: for tests of services, and for tools that need no Kafka.

Held to the contract suite that Kafka's adapter is held to. Keys are spread over partitions by CRC-32, not by Kafka's murmur2.
"""

import asyncio
import threading
import zlib
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Literal

from neutrality.broker.port import (
    BrokerError,
    ConsumedRecord,
    OutgoingRecord,
    Overloaded,
    PublishedRecord,
    RecordTooLarge,
    TopicPartition,
    all_published,
)

MAX_RECORD_BYTES = 1024 * 1024  # Kafka's default


class MemoryBroker:
    """Topics come into being when they are first written to or read."""

    def __init__(self, partitions: int = 12) -> None:
        """Every topic has the same number of partitions."""
        self._partition_count = partitions
        self._logs: dict[TopicPartition, list[ConsumedRecord]] = {}
        self._written = threading.Condition()
        self._failure: BrokerError | None = None
        self._clock_ms = 0

    def publisher(self) -> "MemoryPublisher":
        """A RecordPublisher on this broker."""
        return MemoryPublisher(self)

    def reader(
        self,
        topics: Sequence[str],
        start: Mapping[TopicPartition, int] | Literal["beginning", "end"] = "beginning",
        only: Collection[TopicPartition] | None = None,
    ) -> "MemoryReader":
        """A RecordReader on this broker. `only`: these of the topics' partitions."""
        return MemoryReader(self, topics, start, only)

    def fail_with(self, error: BrokerError | None) -> None:
        """From now on publishing raises `error`; None: it works again."""
        self._failure = error

    @property
    def failure(self) -> BrokerError | None:
        """What publishing raises now."""
        return self._failure

    def records(self, topic: str) -> tuple[ConsumedRecord, ...]:
        """Everything in a topic, by partition and offset."""
        with self._written:
            return tuple(record for partition in self.partitions(topic) for record in self._logs.get(partition, ()))

    def partitions(self, topic: str) -> tuple[TopicPartition, ...]:
        """The partitions of a topic."""
        return tuple((topic, number) for number in range(self._partition_count))

    def append(self, record: OutgoingRecord) -> PublishedRecord:
        """Write one record."""
        if self._failure is not None:
            raise self._failure
        if len(record.key) + len(record.value) > MAX_RECORD_BYTES:
            raise RecordTooLarge(f"{len(record.value)} bytes; at most {MAX_RECORD_BYTES}")
        with self._written:
            partition = zlib.crc32(record.key) % self._partition_count
            log = self._logs.setdefault((record.topic, partition), [])
            self._clock_ms += 1
            timestamp_ms = self._clock_ms if record.timestamp_ms is None else record.timestamp_ms
            log.append(
                ConsumedRecord(record.topic, partition, len(log), timestamp_ms, record.key, record.value, tuple(record.headers))
            )
            self._written.notify_all()
            return PublishedRecord(record.topic, partition, len(log) - 1, timestamp_ms)

    def end_offset(self, partition: TopicPartition) -> int:
        """Offset after the last record."""
        return len(self._logs.get(partition, ()))

    def read(self, positions: dict[TopicPartition, int], wait: timedelta) -> tuple[ConsumedRecord, ...]:
        """Records after the positions, which move on; waits for the first."""
        with self._written:
            self._written.wait_for(
                lambda: any(self.end_offset(partition) > at for partition, at in positions.items()), wait.total_seconds()
            )
            found: list[ConsumedRecord] = []
            for partition, at in positions.items():
                new = self._logs.get(partition, [])[at:]
                positions[partition] = at + len(new)
                found += new
            return tuple(found)


class MemoryPublisher:
    """A RecordPublisher in memory."""

    def __init__(self, broker: MemoryBroker) -> None:
        """Made by `MemoryBroker.publisher`."""
        self._broker = broker

    async def publish(self, record: OutgoingRecord) -> PublishedRecord:
        """See RecordPublisher."""
        return (await self.publish_all([record]))[0]

    async def publish_all(self, records: Sequence[OutgoingRecord]) -> tuple[PublishedRecord, ...]:
        """See RecordPublisher."""
        return all_published(await self.publish_each(records))

    async def publish_each(self, records: Sequence[OutgoingRecord]) -> tuple[PublishedRecord | BrokerError, ...]:
        """See RecordPublisher."""
        await asyncio.sleep(0)
        if isinstance(self._broker.failure, Overloaded):
            raise self._broker.failure
        return tuple([self._append(record) for record in records])

    def _append(self, record: OutgoingRecord) -> PublishedRecord | BrokerError:
        try:
            return self._broker.append(record)
        except BrokerError as error:
            return error

    async def is_reachable(self) -> bool:
        """Whether publishing works now."""
        return self._broker.failure is None

    async def close(self) -> None:
        """Nothing is held back."""


class MemoryReader:
    """A RecordReader in memory."""

    def __init__(
        self,
        broker: MemoryBroker,
        topics: Sequence[str],
        start: Mapping[TopicPartition, int] | Literal["beginning", "end"],
        only: Collection[TopicPartition] | None,
    ) -> None:
        """Made by `MemoryBroker.reader`."""
        self._broker = broker
        every = [partition for topic in topics for partition in broker.partitions(topic)]
        self._partitions = tuple(partition for partition in every if only is None or partition in only)
        if start == "end":
            self._positions = {partition: broker.end_offset(partition) for partition in self._partitions}
        else:
            given: Mapping[TopicPartition, int] = {} if start == "beginning" else start
            self._positions = {partition: given.get(partition, 0) for partition in self._partitions}

    def partitions(self) -> tuple[TopicPartition, ...]:
        """See RecordReader."""
        return self._partitions

    def beginning_offsets(self) -> dict[TopicPartition, int]:
        """See RecordReader."""
        return dict.fromkeys(self._partitions, 0)

    def end_offsets(self) -> dict[TopicPartition, int]:
        """See RecordReader."""
        return {partition: self._broker.end_offset(partition) for partition in self._partitions}

    def positions(self) -> dict[TopicPartition, int]:
        """See RecordReader."""
        return dict(self._positions)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See RecordReader."""
        self._positions[partition] = offset

    def poll(self, wait: timedelta) -> tuple[ConsumedRecord, ...]:
        """See RecordReader."""
        return self._broker.read(self._positions, wait)

    def close(self) -> None:
        """Nothing to let go of."""
