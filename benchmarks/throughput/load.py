"""The input topic, and the state that every engine must arrive at."""

import asyncio
import random
from collections.abc import Iterator
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.throughput.fold import PARTITIONS, Event, State, decode, encode, fold
from services.scoring.partitions import partition_of

_PRODUCER: Final[Any] = AIOKafkaProducer
_CONSUMER: Final[Any] = AIOKafkaConsumer
START_MS: Final = 1_735_689_600_000
BATCH_BYTES: Final = 256 * 1024
SOURCES: Final = ("companies-register", "press-release", "quarterly-report", "court-filing", "regulator-note")


def events(count: int, keys: int, seed: int = 4) -> Iterator[tuple[bytes, Event]]:
    """Every key equally often, in a random order; each event with a time of its own, not in the order of arrival."""
    order = random.Random(seed)
    numbers = list(range(count))
    order.shuffle(numbers)
    times = list(range(count))
    order.shuffle(times)
    for number, time in zip(numbers, times, strict=True):
        key = f"entity-{number % keys:07d}"
        event = {
            "id": f"{number:012d}",
            "subject": key,
            "time": START_MS + time,
            "value": number * 7919 % 1_000_003,
            "source": SOURCES[number % len(SOURCES)],
            "kind": "shareholding",
            "status": "completed",
        }
        yield key.encode(), event


def expected(count: int, keys: int) -> dict[bytes, State]:
    """The state of each key after all events."""
    states: dict[bytes, State] = {}
    for key, event in events(count, keys):
        states[key] = fold(states.get(key), event)
    return states


async def fill(servers: str, topic: str, count: int, keys: int) -> None:
    """Write all events, each to the partition of the Java client's default."""
    home = partition_of(PARTITIONS)
    producer = _PRODUCER(bootstrap_servers=servers, acks="all", max_batch_size=BATCH_BYTES, max_request_size=4 * BATCH_BYTES)
    await producer.start()
    try:
        batches = {partition: producer.create_batch() for partition in range(PARTITIONS)}
        sent = []
        for key, event in events(count, keys):
            partition, value = home(key), encode(event)
            if batches[partition].append(timestamp=None, key=key, value=value) is None:
                sent.append(await producer.send_batch(batches[partition], topic, partition=partition))
                batches[partition] = producer.create_batch()
                batches[partition].append(timestamp=None, key=key, value=value)
        for partition, batch in batches.items():
            if batch.record_count():
                sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def read_states(servers: str, topic: str) -> tuple[dict[bytes, State], int, int]:
    """The last state of each key in an output topic, the number of records, and when Kafka appended the last, in ms."""
    tps = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
    consumer = _CONSUMER(bootstrap_servers=servers, enable_auto_commit=False, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(tps)
        ends = await consumer.end_offsets(tps)
        newest: dict[bytes, bytes] = {}
        count = last_ms = 0
        while any([await consumer.position(tp) < ends[tp] for tp in tps]):
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                count += len(records)
                last_ms = max(last_ms, records[-1].timestamp)
                newest.update((record.key, record.value) for record in records)
        return {key: decode(value) for key, value in newest.items()}, count, last_ms
    finally:
        await consumer.stop()
