"""What was received before: the same in memory and on disk, rebuilt from the topics, and never believed of other topics."""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from neutrality.broker.memory import MemoryBroker, MemoryReader
from neutrality.broker.port import BrokerUnavailable, ConsumedRecord, OutgoingRecord, RecordReader, TopicPartition
from neutrality.events.cloudevent import event_from_document, event_to_kafka
from services.ingest.entrypoints.openapi import EXAMPLES
from services.ingest.following import Following
from services.ingest.handlers import to_record
from services.ingest.kept import ReceivedOnDisk, StoreInUse
from services.ingest.received import Known, OwnWrites, Received, ReceivedInMemory, content_of, name_of, read_event
from tests.support.events import vendor
from tests.support.ingest import NOW, new_identities

FIRST = Known(b"1" * 16, "neutrality.ownership", 3, 2**40)
OTHER = Known(b"2" * 16, "neutrality.contracts", 0, 0)
TOPIC = "neutrality.ownership"


@pytest.fixture(params=["memory", "disk"])
def received(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Received]:
    if request.param == "memory":
        yield ReceivedInMemory()
        return
    kept = ReceivedOnDisk(tmp_path / "ingest")
    yield kept
    kept.close()


def test_the_first_under_a_name_stays(received: Received) -> None:
    received.keep({b"a": FIRST}, {})
    received.keep({b"a": OTHER, b"b": OTHER}, {})
    assert received.look_up([b"b", b"a", b"c"]) == [OTHER, FIRST, None]
    assert received.look_up([]) == []


def test_positions_are_kept_by_partition_and_move_on(received: Received) -> None:
    assert received.positions() == {}
    received.keep({}, {(TOPIC, 0): 7, (TOPIC, 11): 300})
    received.keep({}, {(TOPIC, 0): 8, ("neutrality.contracts", 0): 1})
    assert received.positions() == {(TOPIC, 0): 8, (TOPIC, 11): 300, ("neutrality.contracts", 0): 1}


def test_what_is_of_other_topics_is_forgotten(received: Received) -> None:
    received.belongs_to("one")
    received.keep({b"a": FIRST}, {(TOPIC, 0): 7})
    received.belongs_to("one")
    assert received.look_up([b"a"]) == [FIRST]
    received.belongs_to("another")
    assert received.look_up([b"a"]) == [None]
    assert received.positions() == {}


def test_on_disk_it_outlives_the_process_and_has_one_owner(tmp_path: Path) -> None:
    kept = ReceivedOnDisk(tmp_path)
    kept.belongs_to("one")
    kept.keep({b"a": FIRST}, {(TOPIC, 0): 7})
    with pytest.raises(StoreInUse, match="another ingest"):
        ReceivedOnDisk(tmp_path)
    kept.close()
    again = ReceivedOnDisk(tmp_path)
    again.belongs_to("one")
    assert (again.look_up([b"a"]), again.positions()) == ([FIRST], {(TOPIC, 0): 7})
    again.close()


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_record_has_the_content_of_its_event_in_whatever_form_it_was_written(name: str) -> None:
    event = event_from_document(EXAMPLES[name])
    headers, value = event_to_kafka(event)
    broker = MemoryBroker()
    spaced = value.replace(b",", b" , ").replace(b":", b" : ") if b"http" not in value else value + b" "
    for written in (value, spaced):
        broker.append(OutgoingRecord(TOPIC, event.key, written, (*headers, ("ce_traceparent", b"00-a-b-01"))))
    first, second = [(read.name, read.known) for record in broker.records(TOPIC) if (read := read_event(record))]
    assert first is not None
    assert second is not None
    assert first[0] == second[0] == name_of(event)
    assert first[1].content == second[1].content == content_of(event, value)


def test_another_time_type_or_share_is_another_content() -> None:
    def of(**changes: object) -> bytes:
        event = event_from_document(EXAMPLES["interest"] | changes)
        return content_of(event, event_to_kafka(event)[1])

    data = EXAMPLES["interest"]["data"]
    found = [of(), of(time="2025-06-12T12:00:01Z"), of(data=data | {"share": {"exact": 0.48}}), of(dataschema="urn:x")]
    assert len(set(found)) == len(found)


def test_a_record_that_holds_no_event_is_passed_over() -> None:
    broker = MemoryBroker()
    broker.append(OutgoingRecord(TOPIC, b"k", b"garbage"))
    assert [read_event(record) for record in broker.records(TOPIC)] == [None]


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Topics:
    """The topics of a broker in memory, for a follower."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker, self.identity, self.opened, self.away = broker, "one", 0, 0
        self.own = OwnWrites()
        self.error: Exception = BrokerUnavailable("away")

    def open(self, *, start: Mapping[TopicPartition, int]) -> RecordReader:
        self.opened += 1
        if self.opened <= self.away:
            raise self.error
        return self.broker.reader([TOPIC], start)

    def follow(self, received: Received, condition: Callable[[Following], bool]) -> None:
        """Follow until the condition holds."""

        async def work() -> None:
            following = Following(received, self.own, new_identities(), self.open, lambda: self.identity)
            try:
                await asyncio.to_thread(until, lambda: condition(following))
            finally:
                following.stop()

        asyncio.run(work())


def write(broker: MemoryBroker, *names: str) -> None:
    for name in names:
        broker.append(to_record(vendor(name), NOW))


def knows(received: Received, name: str) -> bool:
    return received.look_up([name_of(vendor(name))]) != [None]


def test_it_has_caught_up_once_it_knows_what_was_there_and_then_learns_what_others_write() -> None:
    topics, received = Topics(MemoryBroker()), ReceivedInMemory()
    write(topics.broker, *(f"v{number}" for number in range(500)))

    def then_another(following: Following) -> bool:
        if following.caught_up and not knows(received, "later"):
            assert all(knows(received, f"v{number}") for number in range(500))
            write(topics.broker, "later")
        return knows(received, "later")

    topics.follow(received, then_another)


def test_it_goes_on_from_where_it_was_and_not_from_other_topics(tmp_path: Path) -> None:
    topics, received = Topics(MemoryBroker()), ReceivedOnDisk(tmp_path)
    write(topics.broker, "first")
    topics.follow(received, lambda following: following.caught_up)
    known = received.positions()
    assert sum(known.values()) == 1

    anew = Topics(MemoryBroker())
    anew.identity = "another"
    write(anew.broker, "second", "third")
    anew.follow(received, lambda following: following.caught_up and knows(received, "third"))
    assert not knows(received, "first")
    received.close()


def test_a_log_that_ends_before_it_was_read_to_is_read_from_its_beginning() -> None:
    topics, received = Topics(MemoryBroker()), ReceivedInMemory()
    received.belongs_to("one")
    received.keep({b"lost": FIRST}, {(TOPIC, number): 10 for number in range(12)})
    write(topics.broker, "v")
    topics.follow(received, lambda following: following.caught_up and knows(received, "v"))
    assert received.look_up([b"lost"]) == [None]


def test_own_writes_are_not_read_again(received: Received) -> None:
    topics = Topics(MemoryBroker())
    write(topics.broker, "own", "others")
    [own, others] = sorted(topics.broker.records(TOPIC), key=lambda record: record.key != b"own")
    topics.own.add(Known(b"0" * 16, own.topic, own.partition, own.offset))
    topics.follow(received, lambda following: following.caught_up and knows(received, "others"))
    assert not knows(received, "own"), "whoever wrote it keeps it"
    assert not topics.own.take(own)
    assert not topics.own.take(others)


def test_a_run_of_own_writes_is_passed_over_and_where_it_ends_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    topics, received = Topics(MemoryBroker(1)), ReceivedInMemory()
    write(topics.broker, *(f"own-{number}" for number in range(100)), "others", "own-100")
    for record in topics.broker.records(TOPIC):
        if record.key is not None and record.key.startswith(b"own"):
            topics.own.add(Known(b"0" * 16, record.topic, record.partition, record.offset))
    fetched: list[bytes] = []
    poll = MemoryReader.poll

    def watched(self: MemoryReader, wait: timedelta) -> tuple[ConsumedRecord, ...]:
        found = poll(self, wait)
        fetched.extend(record.key or b"" for record in found)
        return found

    monkeypatch.setattr(MemoryReader, "poll", watched)
    topics.follow(received, lambda following: received.positions() == {(TOPIC, 0): 102})
    assert fetched == [b"others", b"own-100"]


@pytest.mark.parametrize("error", [BrokerUnavailable("away"), RuntimeError("a defect")])
def test_while_kafka_is_away_or_reading_fails_it_has_not_caught_up_and_tries_again(error: Exception) -> None:
    topics, received = Topics(MemoryBroker()), ReceivedInMemory()
    topics.away, topics.error = 2, error
    topics.follow(received, lambda following: following.caught_up)
    assert topics.opened == 3
