"""What `POST /events` answers, over a broker in memory."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from neutrality.broker.port import BrokerError, BrokerUnavailable, Overloaded, RecordTooLarge
from neutrality.events.cloudevent import event_from_kafka, event_to_document
from services.ingest.content import MAX_BATCH_EVENTS
from services.ingest.entrypoints.openapi import EXAMPLES
from tests.support.ingest import Ingest, problem

NOW_MS = 1795435200123
BATCH = {"content-type": "application/cloudevents-batch+json"}


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


def changed(name: str, **data: Any) -> dict[str, Any]:
    return EXAMPLES[name] | {"data": EXAMPLES[name]["data"] | data}


@pytest.mark.parametrize(
    ("name", "topic"),
    [
        ("entity", "neutrality.ownership"),
        ("interest", "neutrality.ownership"),
        ("role", "neutrality.ownership"),
        ("correction", "neutrality.ownership"),
        ("contract", "neutrality.contracts"),
        ("revenue", "neutrality.contracts"),
    ],
)
def test_an_accepted_event_is_in_its_topic_with_the_subject_as_key(ingest: Ingest, name: str, topic: str) -> None:
    response = ingest.post(EXAMPLES[name])
    assert response.status_code == 202, response.text
    (record,) = ingest.broker.records(topic)
    assert response.json() == {
        "accepted": [
            {
                "source": "https://example.org/newsroom",
                "id": f"example-{name}-1",
                "type": f"watch.neutrality.{name}.v1",
                "topic": topic,
                "partition": record.partition,
                "offset": record.offset,
                "duplicate": False,
            }
        ]
    }
    assert record.key == b"example-vendor"
    assert record.timestamp_ms == NOW_MS
    assert event_to_document(event_from_kafka(record.headers, record.value))["data"]["subject"] == "example-vendor"
    assert ingest.count("ingest_events_accepted_total", type=name) == 1


def test_binary_mode_takes_attributes_from_percent_encoded_headers(ingest: Ingest) -> None:
    event = EXAMPLES["interest"]
    headers = {f"ce-{name}": event[name] for name in ("specversion", "type", "time", "subject")}
    headers |= {"content-type": "application/json; charset=UTF-8", "ce-id": "Gr%C3%BC%C3%9Fe%20%251", "CE-Source": '"urn:a"'}
    response = ingest.post(event["data"], headers)
    assert response.status_code == 202, response.text
    accepted = response.json()["accepted"][0]
    assert (accepted["id"], accepted["source"]) == ("Grüße %1", "urn:a")


@pytest.mark.parametrize(
    ("header", "pointer"),
    [(("ce-id", "%zz"), "/id"), (("ce-id", "%FF"), "/id"), (("ce-data", "x"), "/data"), (("ce-type", "x"), "/type")],
)
def test_a_wrong_header_of_binary_mode_is_named(ingest: Ingest, header: tuple[str, str], pointer: str) -> None:
    event = EXAMPLES["interest"]
    headers = [
        (f"ce-{name}", event[name]) for name in ("specversion", "id", "source", "type", "time") if f"ce-{name}" != header[0]
    ]
    if header[0] == "ce-type":
        headers.append(header)  # twice
    response = ingest.post(event["data"], [("content-type", "application/json"), *headers, header])
    assert problem(response, 422, "invalid-event")["errors"][0]["pointer"] == pointer


def test_json_without_ce_headers_is_told_about_structured_mode(ingest: Ingest) -> None:
    response = ingest.post(EXAMPLES["role"], {"content-type": "application/json"})
    assert "application/cloudevents+json" in problem(response, 422, "invalid-event")["errors"][0]["detail"]


def test_a_batch_is_answered_in_its_order(ingest: Ingest) -> None:
    response = ingest.post(list(EXAMPLES.values()), BATCH)
    assert response.status_code == 202
    assert [item["id"] for item in response.json()["accepted"]] == [event["id"] for event in EXAMPLES.values()]
    assert ingest.records() == len(EXAMPLES)


def test_a_repeat_with_the_same_content_is_a_duplicate_and_one_with_another_a_conflict(ingest: Ingest) -> None:
    first = ingest.post(EXAMPLES["role"]).json()["accepted"][0]
    spaced = json.dumps(dict(reversed(EXAMPLES["role"].items())), indent=4).encode()
    again = ingest.post(spaced)
    assert again.status_code == 202
    assert again.json()["accepted"] == [first | {"duplicate": True}]
    assert ingest.count("ingest_events_duplicate_total", type="role") == 1
    assert ingest.count("ingest_events_accepted_total", type="role") == 0
    other = EXAMPLES["role"] | {"time": "2025-06-13T12:00:00Z"}
    document = problem(ingest.post(other), 409, "event-conflict")
    assert document["errors"][0]["pointer"] == "/id"
    assert f"offset {first['offset']}" in document["errors"][0]["detail"]
    assert ingest.count("ingest_events_rejected_total", reason="conflict") == 1
    assert ingest.records() == 1


def test_a_batch_with_a_conflict_is_not_written_at_all(ingest: Ingest) -> None:
    role = EXAMPLES["role"]
    ingest.post(role)
    changed_role = role | {"time": "2025-06-13T12:00:00Z"}
    document = problem(ingest.post([EXAMPLES["interest"], changed_role], BATCH), 409, "event-conflict")
    assert [error["pointer"] for error in document["errors"]] == ["/1/id"]
    new = EXAMPLES["entity"]
    document = problem(ingest.post([new, new | {"time": "2025-06-13T12:00:00Z"}], BATCH), 409, "event-conflict")
    assert "is being written" in document["errors"][0]["detail"]
    assert ingest.records() == 1


def test_repeats_within_a_batch_are_written_once(ingest: Ingest) -> None:
    response = ingest.post([EXAMPLES["role"], EXAMPLES["entity"], EXAMPLES["role"]], BATCH)
    assert [item["duplicate"] for item in response.json()["accepted"]] == [False, False, True]
    assert response.json()["accepted"][0]["offset"] == response.json()["accepted"][2]["offset"]
    assert ingest.records() == 2


def test_what_kafka_did_not_take_is_no_duplicate_afterwards(ingest: Ingest) -> None:
    ingest.broker.fail_with(BrokerUnavailable("away"))
    assert ingest.post(EXAMPLES["role"]).status_code == 503
    ingest.broker.fail_with(None)
    assert ingest.post(EXAMPLES["role"]).json()["accepted"][0]["duplicate"] is False


def test_an_empty_batch_is_accepted(ingest: Ingest) -> None:
    assert ingest.post([], BATCH).json() == {"accepted": []}


def test_nothing_of_a_batch_with_an_invalid_event_is_written_and_all_problems_are_listed(ingest: Ingest) -> None:
    batch = [EXAMPLES["role"], EXAMPLES["role"], 7, changed("interest", share={"exact": 49}), {"type": "x"}]
    document = problem(ingest.post(batch, BATCH), 422, "invalid-event")
    assert [error["pointer"] for error in document["errors"]] == ["/2", "/3/data/share/exact", "/4/type"]
    assert ingest.records() == 0
    assert ingest.count("ingest_events_rejected_total", reason="invalid_event") == len(batch)


def test_a_batch_may_not_be_longer_than_the_limit(ingest: Ingest) -> None:
    problem(ingest.post([1] * (MAX_BATCH_EVENTS + 1), BATCH), 413, "batch-too-large")
    problem(ingest.post({}, BATCH), 422, "invalid-event")


@pytest.mark.parametrize("missing", ["specversion", "id", "source", "type", "time", "data"])
def test_a_required_attribute_is_never_made_up(ingest: Ingest, missing: str) -> None:
    document = problem(
        ingest.post({name: value for name, value in EXAMPLES["role"].items() if name != missing}), 422, "invalid-event"
    )
    assert [error["pointer"] for error in document["errors"]] == [f"/{missing}"]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000, b'"\\ud800"'])
def test_what_is_not_json_is_a_bad_request(ingest: Ingest, body: bytes) -> None:
    problem(ingest.post(body), 400, "invalid-json")
    assert ingest.count("ingest_events_rejected_total", reason="invalid_json") == 1


@pytest.mark.parametrize("media_type", ["text/plain", "", "application/cloudevents+xml", "application/json; charset=utf-16"])
def test_another_media_type_is_refused(ingest: Ingest, media_type: str) -> None:
    problem(ingest.post(EXAMPLES["role"], {"content-type": media_type}), 415, "unsupported-media-type")


def test_a_declared_body_over_the_limit_is_refused(ingest: Ingest) -> None:
    problem(ingest.post(b" " * (1024 * 1024 + 1)), 413, "body-too-large")
    assert ingest.count("ingest_events_rejected_total", reason="too_large") == 1


def test_a_streamed_body_over_the_limit_is_refused(ingest: Ingest) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(160):
            yield b" " * 65536

    problem(ingest.post(chunks()), 413, "body-too-large")


def test_a_body_that_does_not_come_is_not_waited_for(ingest: Ingest) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(30)

    problem(ingest.post(chunks()), 408, "body-too-slow")
    assert ingest.count("ingest_events_rejected_total", reason="body_not_received") == 1


@pytest.mark.parametrize(("letter", "status"), [("a", 202), ("\U0001f4c8", 422)])
def test_an_event_larger_than_readers_take_is_refused(ingest: Ingest, letter: str, status: int) -> None:
    evidence = [{"kind": "rumour", "publisher": "p", "quote": letter * 2000, "url": "https://a/" + letter * 1900}] * 50
    event = changed("correction", evidence=evidence)
    response = ingest.post(json.dumps(event, ensure_ascii=False).encode())
    assert response.status_code == status
    if status == 422:
        assert [error["pointer"] for error in problem(response, 422, "invalid-event")["errors"]] == ["/data"]


@pytest.mark.parametrize(
    ("error", "status", "kind", "metric"),
    [
        (BrokerUnavailable("secret host"), 503, "broker-unavailable", "unavailable"),
        (Overloaded("secret host"), 503, "overloaded", "overloaded"),
        (RecordTooLarge("secret host"), 413, "event-too-large", "record_too_large"),
        (BrokerError("secret host"), 503, "broker-unavailable", "other"),
    ],
)
def test_what_kafka_does_not_take_is_not_accepted(
    ingest: Ingest, error: BrokerError, status: int, kind: str, metric: str
) -> None:
    ingest.broker.fail_with(error)
    response = ingest.post(EXAMPLES["role"])
    problem(response, status, kind)
    assert "secret" not in response.text
    assert (int(response.headers["retry-after"]) > 0) if status == 503 else ("retry-after" not in response.headers)
    assert ingest.count("ingest_broker_errors_total", kind=metric) == 1
    assert ingest.count("ingest_events_accepted_total", type="role") == 0


def test_no_event_is_taken_before_the_topics_are_there(ingest: Ingest) -> None:
    ingest.prepared = False
    response = ingest.post(EXAMPLES["role"])
    problem(response, 503, "broker-unavailable")
    assert response.headers["retry-after"]
    assert ingest.records() == 0
    problem(ingest.ask("GET", "/health/ready"), 503, "not-ready")
    assert ingest.ask("GET", "/health/live").status_code == 200


def test_readiness_is_the_brokers(ingest: Ingest) -> None:
    assert ingest.ask("GET", "/health/ready").text == "ready\n"
    ingest.broker.fail_with(BrokerUnavailable("away"))
    problem(ingest.ask("GET", "/health/ready"), 503, "not-ready")


def test_a_defect_shows_nothing_of_the_inside_and_is_logged(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> datetime:
        raise RuntimeError("the inside")

    ingest.clock = broken
    with caplog.at_level(logging.ERROR):
        response = ingest.post(EXAMPLES["role"])
    problem(response, 500, "internal-error")
    assert "inside" not in response.text


def test_unknown_paths_and_methods_are_problems(ingest: Ingest) -> None:
    problem(ingest.ask("GET", "/nothing"), 404, "not-found")
    problem(ingest.ask("GET", "/events"), 405, "method-not-allowed")


def test_every_series_is_there_from_the_start(ingest: Ingest) -> None:
    text = ingest.ask("GET", "/metrics").text
    for series in (
        'ingest_events_accepted_total{type="correction"} 0.0',
        'ingest_events_rejected_total{reason="unsupported_media_type"} 0.0',
        'ingest_broker_errors_total{kind="overloaded"} 0.0',
        'ingest_publish_seconds_bucket{le="0.001"} 0.0',
        "ingest_requests_in_flight 0.0",
    ):
        assert series in text


def test_the_documentation_asks_no_other_site(ingest: Ingest) -> None:
    page = ingest.ask("GET", "/docs").text
    assert "http://" not in page
    assert "https://" not in page
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css"):
        assert f"/docs/assets/{asset}" in page
        assert ingest.ask("GET", f"/docs/assets/{asset}").status_code == 200
