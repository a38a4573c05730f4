from collections.abc import Callable

import pytest

from neutrality.events.structs import EntityEvent, as_struct
from neutrality.model.messages import Message, message_to_bytes
from neutrality.model.vertex import Input
from neutrality.topics import FORWARDED_HEADER, MESSAGES
from services.scoring.handlers.intake import Forwarded, Rejected, label_of, read_batch, read_record
from services.scoring.partitions import partition_of
from tests.support.events import stake, vendor
from tests.support.scoring import Consumed, consumed_event


def here(_: bytes) -> int:
    return 0


def read(record: Consumed, home: Callable[[bytes], int]) -> Input | Rejected | Forwarded:
    return read_record(record.topic, record.partition, record, home)


def test_an_event_is_accepted_with_the_place_and_time_at_which_kafka_took_it() -> None:
    event = vendor("scale-ai")
    found = read(consumed_event(event, 7), here)
    assert isinstance(found, Input)
    assert isinstance(found.body, EntityEvent)
    assert (label_of(found), found.body.data) == ("entity", as_struct(event).data)
    assert (found.origin.topic, found.origin.offset, found.origin.timestamp_ms) == (
        "neutrality.ownership",
        7,
        1_700_000_000_000,
    )


def test_a_message_is_accepted_for_its_receiver() -> None:
    message = Message("released", "meta", "scale-ai", 3)
    found = read(Consumed(MESSAGES.name, 0, 1, b"scale-ai", message_to_bytes(message)), here)
    assert isinstance(found, Input)
    assert (label_of(found), found.body) == ("message", message)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Consumed("neutrality.ownership", 0, 1, b"k", b"\x00garbage"), "invalid_event"),
        (Consumed("neutrality.ownership", 0, 1, b"k", None), "invalid_event"),
        (Consumed("neutrality.ownership", 0, 1, None, b"[]"), "invalid_event"),
        (Consumed("neutrality.ownership", 0, 1, b"k", b"{}", (("ce_id", b"\xff"),)), "invalid_event"),
        (Consumed("neutrality.ownership", 0, 1, b"k", b"{}", (("ce_id", None),)), "invalid_event"),
        (Consumed("neutrality.ownership", 0, 1, b"k", b"[" * 100_000), "invalid_event"),
        (Consumed("neutrality.contracts", 0, 1, b"k", b'{"type": 3}'), "invalid_event"),
        (Consumed(MESSAGES.name, 0, 1, b"k", b"{}"), "invalid_message"),
        (Consumed(MESSAGES.name, 0, 1, b"k", None), "invalid_message"),
        (Consumed(MESSAGES.name, 0, 1, b"k", message_to_bytes(Message("released", "a", "b", 1))), "wrong_key"),
        (consumed_event(vendor("scale-ai"), 1, key=b"turing"), "wrong_key"),
        (consumed_event(vendor("scale-ai"), 1, key=b'"scale-ai"'), "wrong_key"),
    ],
)
def test_what_cannot_be_used_is_rejected_with_its_reason_and_never_raises(record: Consumed, reason: str) -> None:
    found = read(record, here)
    assert isinstance(found, Rejected)
    assert found.reason == reason
    assert found.problems


def test_an_event_in_another_partition_than_its_entity_is_forwarded_there_once() -> None:
    event = vendor("scale-ai")
    home = partition_of(12)
    away = (home(b"scale-ai") + 1) % 12
    found = read(consumed_event(event, 7, partition=away), home)
    assert isinstance(found, Forwarded)
    assert found.partition == home(b"scale-ai")
    stray = consumed_event(event, 7, partition=away)
    again = Consumed(MESSAGES.name, away, 8, stray.key, stray.value, (*stray.headers, (FORWARDED_HEADER, b"x")))
    assert isinstance(read(again, home), Rejected)


def test_a_forwarded_event_is_accepted_at_home() -> None:
    event = vendor("scale-ai")
    record = consumed_event(event, 7)
    forwarded = Consumed(MESSAGES.name, 0, 3, record.key, record.value, (*record.headers, (FORWARDED_HEADER, b"x")))
    found = read(forwarded, here)
    assert isinstance(found, Input)
    assert isinstance(found.body, EntityEvent)
    assert (found.body.data, found.origin.topic) == (as_struct(event).data, MESSAGES.name)


def test_a_batch_is_merged_per_entity_in_offset_order() -> None:
    first, second, other = stake("meta", "scale-ai", 0.1), stake("meta", "scale-ai", 0.49), vendor("turing")
    garbage = Consumed("neutrality.ownership", 0, 4, b"k", b"garbage")
    records = [consumed_event(first, 1), consumed_event(other, 2), consumed_event(second, 3), garbage]
    found = read_batch("neutrality.ownership", 0, records, here)
    assert {key: [item.origin.offset for item in items] for key, items in found.inputs.items()} == {
        b"scale-ai": [1, 3],
        b"turing": [2],
    }
    assert found.labels == {"interest": 2, "entity": 1}
    assert [rejected.record.offset for rejected in found.rejected] == [4]
