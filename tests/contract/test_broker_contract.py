"""What every broker must do: one suite for Kafka and for the broker in memory."""

import asyncio
import contextlib
import gc
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest
from confluent_kafka import KafkaError, KafkaException
from kafka import KafkaAdminClient

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import KafkaPublisher, KafkaReader, delete_topic, ensure_topics
from neutrality.broker.librdkafka import LibrdkafkaPublisher
from neutrality.broker.memory import MemoryBroker
from neutrality.broker.port import (
    BrokerError,
    BrokerUnavailable,
    ConsumedRecord,
    OutgoingRecord,
    Overloaded,
    PublishedRecord,
    RecordPublisher,
    RecordReader,
    RecordTooLarge,
    TopicMismatch,
    TopicPartition,
)
from neutrality.topics import Topic

PARTITIONS = 3
Start = Mapping[TopicPartition, int] | Literal["beginning", "end"]
_numbers = count(1)


class Broker(Protocol):
    """A way to get at either broker."""

    def publisher(self) -> RecordPublisher: ...

    def reader(self, topic: str, start: Start = "beginning", only: Collection[TopicPartition] | None = None) -> RecordReader: ...

    def topic(self) -> str: ...


class InMemory:
    def __init__(self) -> None:
        self._broker = MemoryBroker(PARTITIONS)
        self.opened: list[RecordReader] = []

    def publisher(self) -> RecordPublisher:
        return self._broker.publisher()

    def reader(self, topic: str, start: Start = "beginning", only: Collection[TopicPartition] | None = None) -> RecordReader:
        self.opened.append(self._broker.reader([topic], start, only))
        return self.opened[-1]

    def topic(self) -> str:
        return f"contract-{next(_numbers)}"


class OnKafka:
    def __init__(self, kafka: EmbeddedKafka, publisher: type[KafkaPublisher] | type[LibrdkafkaPublisher]) -> None:
        self._publisher = publisher
        self._servers = kafka.bootstrap_servers
        self.opened: list[RecordReader] = []

    def publisher(self) -> RecordPublisher:
        return self._publisher(self._servers, client_id="contract")

    def reader(self, topic: str, start: Start = "beginning", only: Collection[TopicPartition] | None = None) -> RecordReader:
        self.opened.append(KafkaReader(self._servers, [topic], client_id="contract", start=start, only=only))
        return self.opened[-1]

    def topic(self) -> str:
        name = f"contract-{next(_numbers)}"
        ensure_topics(self._servers, [_topic(name)], partitions=PARTITIONS)
        return name


def _topic(name: str, policy: str = "delete") -> Topic:
    return Topic(name, "a key", policy, "-1", ("test",), ("test",), "a test")


PUBLISHERS = [KafkaPublisher, LibrdkafkaPublisher]
on_both_libraries = pytest.mark.parametrize("library", PUBLISHERS)
Library = type[KafkaPublisher] | type[LibrdkafkaPublisher]


@pytest.fixture(params=["memory", *PUBLISHERS])
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    used = InMemory() if request.param == "memory" else OnKafka(request.getfixturevalue("kafka"), request.param)
    yield used
    for reader in used.opened:
        reader.close()


def record(topic: str, key: str, value: str, **more: int) -> OutgoingRecord:
    return OutgoingRecord(topic, key.encode(), value.encode(), (("ce_id", value.encode()),), **more)


def read(reader: RecordReader, number: int, limit_s: float = 10.0) -> list[ConsumedRecord]:
    found: list[ConsumedRecord] = []
    until = time.monotonic() + limit_s
    while len(found) < number and time.monotonic() < until:
        found += reader.poll(timedelta(milliseconds=200))
    return found


def publish(broker: Broker, records: Sequence[OutgoingRecord]) -> list[tuple[int, int]]:
    async def run() -> list[tuple[int, int]]:
        publisher = broker.publisher()
        try:
            return [(done.partition, done.offset) for done in await publisher.publish_all(records)]
        finally:
            await publisher.close()

    return asyncio.run(run())


def test_what_was_acknowledged_can_be_read_with_key_value_headers_and_timestamp(broker: Broker) -> None:
    topic = broker.topic()
    [(partition, offset)] = publish(broker, [record(topic, "scale-ai", "one", timestamp_ms=1_750_000_000_123)])
    [found] = read(broker.reader(topic), 1)
    assert found == ConsumedRecord(topic, partition, offset, 1_750_000_000_123, b"scale-ai", b"one", (("ce_id", b"one"),))


def test_records_of_one_key_keep_their_order_in_one_partition(broker: Broker) -> None:
    topic = broker.topic()
    places = publish(broker, [record(topic, f"key-{number % 5}", str(number)) for number in range(200)])
    found = read(broker.reader(topic), 200)
    for key in range(5):
        values = [int(item.value or b"") for item in found if item.key == f"key-{key}".encode()]
        assert values == list(range(key, 200, 5))
        assert len({item.partition for item in found if item.key == f"key-{key}".encode()}) == 1
    assert sorted(places) == sorted((item.partition, item.offset) for item in found)


def test_a_reader_goes_on_from_the_offsets_that_it_is_given(broker: Broker) -> None:
    topic = broker.topic()
    [(partition, _), *_] = publish(broker, [record(topic, "key", str(number)) for number in range(10)])
    reader = broker.reader(topic, {(topic, partition): 7})
    assert reader.positions()[topic, partition] == 7
    assert [item.value for item in read(reader, 3)] == [b"7", b"8", b"9"]
    assert reader.end_offsets()[topic, partition] == reader.positions()[topic, partition] == 10
    assert reader.beginning_offsets()[topic, partition] == 0
    assert len(reader.partitions()) == PARTITIONS


def test_a_reader_of_some_partitions_sees_no_others(broker: Broker) -> None:
    topic = broker.topic()
    places = publish(broker, [record(topic, str(number), str(number)) for number in range(20)])
    mine = (topic, places[0][0])
    reader = broker.reader(topic, only=[mine])
    expected = [str(number).encode() for number, place in enumerate(places) if (topic, place[0]) == mine]
    assert len(expected) < len(places)
    assert [item.value for item in read(reader, len(expected))] == expected
    assert reader.poll(timedelta(milliseconds=300)) == ()
    assert reader.partitions() == (mine,)
    assert set(reader.end_offsets()) == {mine}


def test_a_reader_passes_over_what_it_is_told_to(broker: Broker) -> None:
    topic = broker.topic()
    publish(broker, [record(topic, "k", str(number)) for number in range(5)])
    reader = broker.reader(topic)
    (first, *_) = read(reader, 5)
    reader.seek((topic, first.partition), 3)
    assert [found.value for found in read(reader, 2)] == [b"3", b"4"]
    assert reader.positions()[topic, first.partition] == 5


def test_a_reader_from_the_end_sees_only_what_comes_after(broker: Broker) -> None:
    topic = broker.topic()
    publish(broker, [record(topic, "key", "old")])
    reader = broker.reader(topic, "end")
    publish(broker, [record(topic, "key", "new")])
    assert [item.value for item in read(reader, 1)] == [b"new"]
    assert reader.poll(timedelta(milliseconds=300)) == ()


def test_a_record_that_is_too_large_is_refused_for_good(broker: Broker) -> None:
    topic = broker.topic()
    with pytest.raises(RecordTooLarge):
        publish(broker, [record(topic, "key", "x" * 2_000_000)])


def test_a_record_just_below_the_limit_is_taken(broker: Broker) -> None:
    [(_, offset)] = publish(broker, [record(broker.topic(), "k", "x" * 515_000)])  # the header holds it once more
    assert offset == 0


def test_each_record_has_an_outcome_of_its_own(broker: Broker) -> None:
    topic = broker.topic()

    async def run() -> tuple[PublishedRecord | BrokerError, ...]:
        publisher = broker.publisher()
        try:
            return await publisher.publish_each(
                [record(topic, "k", "1"), record(topic, "k", "x" * 2_000_000), record(topic, "k", "2")]
            )
        finally:
            await publisher.close()

    first, refused, second = asyncio.run(run())
    assert isinstance(refused, RecordTooLarge)
    assert isinstance(first, PublishedRecord)
    assert isinstance(second, PublishedRecord)
    assert (first.offset, second.offset) == (0, 1)
    assert [found.value for found in read(broker.reader(topic), 2)] == [b"1", b"2"]


def test_nothing_to_publish_is_published(broker: Broker) -> None:
    assert publish(broker, []) == []


def test_ensuring_topics_twice_changes_nothing_and_a_mismatch_is_named(kafka: EmbeddedKafka) -> None:
    name = f"contract-{next(_numbers)}"
    for _ in range(2):
        ensure_topics(kafka.bootstrap_servers, [_topic(name)], partitions=2)
    with pytest.raises(TopicMismatch, match=f"{name} has 2 partitions, not 5"):
        ensure_topics(kafka.bootstrap_servers, [_topic(name)], partitions=5)
    with pytest.raises(TopicMismatch, match=r"cleanup\.policy delete, not compact"):
        ensure_topics(kafka.bootstrap_servers, [_topic(name, "compact")], partitions=2)


def test_a_topic_has_as_many_partitions_as_it_declares_and_one_that_has_others_stays_as_it_is(kafka: EmbeddedKafka) -> None:
    made, there = (replace(_topic(f"contract-{next(_numbers)}"), partitions=1) for _ in range(2))
    ensure_topics(kafka.bootstrap_servers, [replace(there, partitions=None)], partitions=3)
    for _ in range(2):
        ensure_topics(kafka.bootstrap_servers, [made, there], partitions=2)
    for topic, partitions in ((made, 1), (there, 3)):
        with contextlib.closing(KafkaReader(kafka.bootstrap_servers, [topic.name], client_id="contract")) as reader:
            assert len(reader.partitions()) == partitions


@on_both_libraries
def test_without_kafka_every_publisher_is_answered_within_the_deadline(library: Library) -> None:
    async def run() -> None:
        publisher = library("127.0.0.1:1", client_id="nobody", deadline=timedelta(seconds=1))
        started = time.monotonic()
        results = await asyncio.gather(*[publisher.publish(record("t", "k", "v")) for _ in range(20)], return_exceptions=True)
        assert all(isinstance(result, BrokerUnavailable) for result in results)
        assert time.monotonic() - started < 2.0
        assert not await publisher.is_reachable()
        await publisher.close()

    asyncio.run(run())


def test_a_missing_topic_is_told_not_created(kafka: EmbeddedKafka) -> None:
    with pytest.raises(BrokerUnavailable, match="no-such-topic"):
        KafkaReader(kafka.bootstrap_servers, ["no-such-topic"], client_id="contract")


def test_a_topic_that_another_service_is_creating_is_waited_for(kafka: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"contract-{next(_numbers)}"
    ensure_topics(kafka.bootstrap_servers, [_topic(name)], partitions=2)
    told: Any = KafkaAdminClient.describe_topics

    def too_early(self: KafkaAdminClient, names: list[str]) -> list[dict[str, Any]]:
        return [{**found, "partitions": []} for found in told(self, names)]

    with monkeypatch.context() as early:
        early.setattr(KafkaAdminClient, "describe_topics", too_early)
        with pytest.raises(BrokerUnavailable, match=f"does not tell the partitions of {name} yet"):
            ensure_topics(kafka.bootstrap_servers, [_topic(name)], partitions=2)
    ensure_topics(kafka.bootstrap_servers, [_topic(name)], partitions=2)


def test_a_topic_that_would_forget_is_refused(kafka: EmbeddedKafka) -> None:
    name = f"contract-{next(_numbers)}"
    ensure_topics(
        kafka.bootstrap_servers, [Topic(name, "a key", "delete", "604800000", ("test",), ("test",), "a test")], partitions=1
    )
    with pytest.raises(TopicMismatch, match=rf"{name} has retention\.ms 604800000, not -1"):
        ensure_topics(kafka.bootstrap_servers, [_topic(name)], partitions=1)


@on_both_libraries
def test_a_record_that_cannot_be_sent_does_not_stop_those_after_it(kafka: EmbeddedKafka, library: Library) -> None:
    name = f"contract-{next(_numbers)}"
    ensure_topics(kafka.bootstrap_servers, [_topic(name)], partitions=1)

    async def run() -> None:
        publisher = library(kafka.bootstrap_servers, client_id="contract", deadline=timedelta(seconds=3))
        with pytest.raises(BrokerError) as refused:
            await publisher.publish(record("no topic: has a blank", "k", "v"))
        assert not refused.value.retriable
        assert (await publisher.publish(record(name, "k", "v"))).offset == 0
        await publisher.close()

    asyncio.run(run())


@on_both_libraries
def test_a_batch_over_the_bound_is_refused_before_any_of_it_is_sent(library: Library) -> None:
    async def run() -> None:
        publisher = library("127.0.0.1:1", client_id="nobody", deadline=timedelta(seconds=5), max_in_flight=5)
        started = time.monotonic()
        with pytest.raises(Overloaded):
            await publisher.publish_all([record("t", "k", "v")] * 6)
        assert time.monotonic() - started < 1.0
        await publisher.close()

    asyncio.run(run())


@on_both_libraries
def test_what_is_in_flight_is_bounded_in_bytes_too_but_one_batch_always_finds_room(library: Library) -> None:
    async def run() -> None:
        publisher = library("127.0.0.1:1", client_id="nobody", deadline=timedelta(seconds=1), max_in_flight_bytes=100)
        large = asyncio.create_task(publisher.publish(record("t", "k", "v" * 1000)))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="bytes are in flight"):
            await publisher.publish(record("t", "k", "v"))
        with pytest.raises(BrokerUnavailable):
            await large
        with pytest.raises(BrokerUnavailable):
            await publisher.publish(record("t", "k", "v"))
        await publisher.close()

    asyncio.run(run())


def test_a_producer_in_a_fatal_state_is_replaced_at_once(kafka: EmbeddedKafka) -> None:
    class Fatal:
        def produce(self, *_: Any, **__: Any) -> None:
            raise KafkaException(KafkaError(KafkaError._FATAL, "sequence numbers"))

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: None

    class FirstIsFatal(LibrdkafkaPublisher):
        connected = 0

        def _connect(self) -> Any:
            found: Any = super()._connect()
            self.connected += 1
            if self.connected == 1:
                found.producer = Fatal()
            return found

    name = f"contract-{next(_numbers)}"
    ensure_topics(kafka.bootstrap_servers, [_topic(name)], partitions=1)

    async def run() -> None:
        publisher = FirstIsFatal(kafka.bootstrap_servers, client_id="contract")
        with pytest.raises(BrokerUnavailable, match="sequence numbers"):
            await publisher.publish(record(name, "k", "v"))
        assert (await publisher.publish(record(name, "k", "v"))).offset == 0
        assert publisher.connected == 2
        await publisher.close()

    asyncio.run(run())


async def publish_at_last(publisher: RecordPublisher, value: str) -> None:
    """A broker that has just started may need longer than a short deadline."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(BrokerUnavailable):
            await publisher.publish(record("contract", "k", value))
            return
    pytest.fail("Kafka did not take it")


@on_both_libraries
def test_a_producer_that_is_replaced_in_an_outage_leaves_no_thread_behind(tmp_path: Path, library: Library) -> None:
    def network_threads() -> int:
        return sum(thread.name in {"replaced-network-thread", "replaced-reports"} for thread in threading.enumerate())

    async def run(broker: EmbeddedKafka) -> None:
        ensure_topics(broker.bootstrap_servers, [_topic("contract")], partitions=1)
        publisher = library(broker.bootstrap_servers, client_id="replaced", deadline=timedelta(milliseconds=500))
        await publish_at_last(publisher, "before")
        broker.kill()
        for _ in range(8):
            with pytest.raises(BrokerUnavailable):
                await publisher.publish(record("contract", "k", "during"))
        await asyncio.to_thread(broker.start)
        await publish_at_last(publisher, "after")
        await publisher.close()
        until = time.monotonic() + 20
        while network_threads() and time.monotonic() < until:
            await asyncio.sleep(0.1)
        assert network_threads() == 0
        gc.collect()  # kafka-python's destructor raises for a producer that still holds records

    with EmbeddedKafka(data_dir=tmp_path, port=0) as broker:
        asyncio.run(run(broker))


def test_a_topic_is_removed_with_all_that_is_in_it(kafka: EmbeddedKafka) -> None:
    broker = OnKafka(kafka, KafkaPublisher)
    topic = broker.topic()
    publish(broker, [record(topic, "key", "value")])
    delete_topic(kafka.bootstrap_servers, topic)
    delete_topic(kafka.bootstrap_servers, topic)  # it is gone already
    with pytest.raises(BrokerUnavailable):
        KafkaReader(kafka.bootstrap_servers, [topic], client_id="contract")
