"""What is taken as an event, and how wrong input is told."""

from typing import Any

import orjson
import pytest

from neutrality.events.cloudevent import (
    EVENT_TYPES,
    InvalidEvent,
    document_from_kafka,
    event_from_document,
    event_from_kafka,
    event_to_document,
    event_to_kafka,
    parse_event,
    short_type,
    topic_kind,
)
from tests.support.events import event, lab, stake


def document(**data: Any) -> dict[str, Any]:
    found = event_to_document(stake("meta", "scale-ai", 0.49, id="e", claim_id="c"))
    found["data"] = {**found["data"], **data}
    return found


def pointers(wrong: Any) -> set[str]:
    with pytest.raises(InvalidEvent) as error:
        event_from_document(wrong)
    return {problem.pointer for problem in error.value.problems}


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        (document(share={"exact": 1.01}), "/data/share/exact"),
        (document(share={"exact": -0.1}), "/data/share/exact"),
        (document(share={"exact": "0.5"}), "/data/share/exact"),
        (document(share={"minimum": 0.5}), "/data/share"),
        (document(share={"minimum": 0.5, "maximum": 0.4}), "/data/share"),
        (document(effective_time="last week"), "/data/effective_time"),
        (document(effective_time="2025-06-12T00:00:00"), "/data/effective_time"),
        (document(evidence=[]), "/data/evidence"),
        (document(status="done"), "/data/status"),
        (document(subject="Scale AI"), "/data/subject"),
        (document(interested_party="scale-ai"), "/data"),
        (document(end_time="2024-01-01T00:00:00Z"), "/data"),
        (document(colour="red"), "/data/colour"),
        ({**document(), "type": "watch.neutrality.interest.v9"}, "/type"),
        ({key: value for key, value in document().items() if key != "id"}, "/id"),
        ({key: value for key, value in document().items() if key != "time"}, "/time"),
        ({**document(), "specversion": "0.3"}, "/specversion"),
        ({**document(), "subject": "openai"}, ""),
        ([document()], ""),
        ("an event", ""),
    ],
)
def test_each_wrong_field_is_named_by_a_json_pointer(wrong: Any, pointer: str) -> None:
    assert pointers(wrong) == {pointer}


def test_every_problem_is_told_at_once() -> None:
    assert pointers(document(share={"exact": 2.0}, status="x", effective_time="y")) == {
        "/data/share/exact",
        "/data/status",
        "/data/effective_time",
    }


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b'{"a": NaN}', b"[" * 100_000])
def test_what_is_no_json_is_refused_as_a_whole(text: bytes) -> None:
    with pytest.raises(InvalidEvent) as error:
        parse_event(text)
    assert error.value.problems[0].pointer == ""


def test_a_correction_has_exactly_one_target() -> None:
    with pytest.raises(InvalidEvent):
        event("correction", subject="v", reason="both", retracts_claim="c", retracts_event={"source": "s", "id": "i"})
    with pytest.raises(InvalidEvent):
        event("correction", subject="v", reason="none")


def test_an_event_survives_kafkas_binary_mode_and_structured_mode() -> None:
    original = stake("meta", "scale-ai", 0.49)
    headers, value = event_to_kafka(original)
    assert event_to_document(event_from_kafka(headers, value)) == event_to_document(original)
    structured = orjson.dumps(event_to_document(original))
    assert event_to_document(
        event_from_kafka([("content-type", b"application/cloudevents+json")], structured)
    ) == event_to_document(original)


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ([], None),
        ([], b"garbage"),
        ([], b"[1]"),
        ([("ce_id", b"\xff")], b"{}"),
        ([("ce_type", b"watch.neutrality.interest.v1")], b"{}"),
        ([], b'"' + b"x" * 600_000 + b'"'),
    ],
)
def test_garbage_from_kafka_is_refused_not_raised_otherwise(headers: list[tuple[str, bytes]], value: bytes | None) -> None:
    with pytest.raises(InvalidEvent):
        event_from_kafka(headers, value)


def test_headers_and_data_come_together_again() -> None:
    assert document_from_kafka([("ce_id", b"1"), ("other", None)], b'{"a":1}') == {"id": "1", "data": {"a": 1}}


def test_the_key_is_the_raw_bytes_of_the_subject_and_contracts_have_their_own_topic() -> None:
    assert stake("meta", "scale-ai", 0.49).key == b"scale-ai"
    assert topic_kind(lab("meta")) == "ownership"
    assert topic_kind(event("contract", subject="v", customer="meta")) == "contracts"
    assert [short_type(name) for name in EVENT_TYPES] == ["entity", "interest", "role", "contract", "revenue", "correction"]


def test_specversion_is_required_on_the_wire() -> None:
    assert pointers({key: value for key, value in document().items() if key != "specversion"}) == {"/specversion"}
