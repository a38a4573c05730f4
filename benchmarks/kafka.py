"""What benchmarks do with Kafka beside the engine that is measured: write a load in whole batches, look at offsets, read what came out."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError

_PRODUCER: Final[Any] = AIOKafkaProducer
_CONSUMER: Final[Any] = AIOKafkaConsumer
_ADMIN: Final[Any] = AIOKafkaAdminClient
BATCH_BYTES: Final = 256 * 1024
LARGEST_BYTES: Final = 8 * 1024 * 1024

Headers = Sequence[tuple[str, bytes | None]]


class Written(NamedTuple):
    """One record to write."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Packed(NamedTuple):
    """A whole batch for one partition."""

    topic: str
    partition: int
    builder: Any


class Load:
    """A producer that writes whole batches, which cost a fifth of single sends."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def pack(self, records: Iterable[Written]) -> Iterator[Packed]:
        """Batches, as they fill up; order within a partition is kept."""
        batches: dict[tuple[str, int], Any] = {}
        for topic, partition, key, value, found in records:
            headers = list(found)  # aiokafka takes no tuple
            batch = batches.get((topic, partition)) or self._producer.create_batch()
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                yield Packed(topic, partition, batch)
                batch = self._producer.create_batch()
                if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                    raise ValueError(f"a record of {len(value or b'')} bytes fits no batch of {topic}")
            batches[topic, partition] = batch
        for (topic, partition), batch in batches.items():
            yield Packed(topic, partition, batch)

    async def send(self, batches: Iterable[Packed]) -> None:
        """Return when Kafka has them all."""
        sent = [await self._producer.send_batch(builder, topic, partition=partition) for topic, partition, builder in batches]
        await asyncio.gather(*sent)


@asynccontextmanager
async def load(servers: str) -> AsyncIterator[Load]:
    """A `Load` for this Kafka."""
    producer = _PRODUCER(bootstrap_servers=servers, acks="all", max_batch_size=BATCH_BYTES, max_request_size=LARGEST_BYTES)
    await producer.start()
    try:
        yield Load(producer)
    finally:
        await producer.stop()


class Offsets:
    """Ends of topics, and what groups have committed. Topics have `partitions` partitions."""

    def __init__(self, consumer: Any, admin: Any, partitions: int) -> None:
        self._consumer, self._admin, self._partitions = consumer, admin, partitions

    async def ends(self, *topics: str) -> dict[TopicPartition, int]:
        """The offset after the last record, by partition."""
        tps = [TopicPartition(topic, partition) for topic in topics for partition in range(self._partitions)]
        found: dict[TopicPartition, int] = await self._consumer.end_offsets(tps)
        return found

    async def count(self, *topics: str) -> int:
        """Records ever written to topics of which nothing was written by transactions."""
        return sum((await self.ends(*topics)).values())

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """What a group has committed, by partition."""
        try:
            found = await self._admin.list_consumer_group_offsets(group)
        except GroupCoordinatorNotAvailableError:  # Kafka makes the topic for offsets when the first group asks for it
            return {}
        return {tp: committed.offset for tp, committed in found.items()}


@asynccontextmanager
async def offsets(servers: str, partitions: int) -> AsyncIterator[Offsets]:
    """`Offsets` of this Kafka."""
    consumer, admin = _CONSUMER(bootstrap_servers=servers), _ADMIN(bootstrap_servers=servers)
    await consumer.start()
    try:
        await admin.start()
        yield Offsets(consumer, admin, partitions)
    finally:
        await admin.close()
        await consumer.stop()


async def read_all(servers: str, topic: str, partitions: int, take: Callable[[Any], None], *, last_only: bool = False) -> None:
    """Hand every record of a topic to `take`, as aiokafka has it; with `last_only`, the last of each partition."""
    consumer = _CONSUMER(
        bootstrap_servers=servers,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_bytes=LARGEST_BYTES,
        max_partition_fetch_bytes=LARGEST_BYTES,
    )
    await consumer.start()
    try:
        tps = [TopicPartition(topic, partition) for partition in range(partitions)]
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        if last_only:
            for tp in tps:
                consumer.seek(tp, max(0, ends[tp] - 1))
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    take(record)
    finally:
        await consumer.stop()
