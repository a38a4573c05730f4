"""The input topic, and the state that every engine must arrive at."""

import random
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.kafka import Written, load, read_all
from benchmarks.throughput.fold import PARTITIONS, Event, State, decode, encode, fold
from services.scoring.partitions import partition_of

START_MS: Final = 1_735_689_600_000
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
    async with load(servers) as to:
        await to.send(to.pack(Written(topic, home(key), key, encode(event)) for key, event in events(count, keys)))


async def read_states(servers: str, topic: str) -> tuple[dict[bytes, State], int, int]:
    """The last state of each key in an output topic, the number of records, and when Kafka appended the last, in ms."""
    newest: dict[bytes, bytes] = {}
    count = last_ms = 0

    def take(record: Any) -> None:
        nonlocal count, last_ms
        count += 1
        last_ms = max(last_ms, record.timestamp)
        newest[record.key] = record.value

    await read_all(servers, topic, PARTITIONS, take)
    return {key: decode(value) for key, value in newest.items()}, count, last_ms
