"""What `POST /events` answers to lines of events, over a broker in memory."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrality.broker.port import BrokerUnavailable, Overloaded
from services.ingest.entrypoints.openapi import EXAMPLES
from services.ingest.streams import GROUP_LINES, WINDOW
from tests.support.ingest import Ingest, problem

NDJSON = {"content-type": "application/x-ndjson"}
GOOD = json.dumps(EXAMPLES["interest"]).encode()


def event(number: int) -> bytes:
    return json.dumps(EXAMPLES["interest"] | {"id": f"event-{number}"}).encode()


def send(ingest: Ingest, body: bytes | AsyncIterator[bytes], **headers: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The results and the summary."""
    response = ingest.post(body, NDJSON | {name.replace("_", "-"): value for name, value in headers.items()})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-ndjson"
    *results, last = [json.loads(line) for line in response.content.splitlines()]
    return results, last["summary"]


async def slowly(parts: Iterable[bytes], pause_s: float = 0.0) -> AsyncIterator[bytes]:
    for part in parts:
        yield part
        await asyncio.sleep(pause_s)


@pytest.fixture
def ingest() -> Ingest:
    return Ingest()


def test_each_line_has_a_result_of_its_own_in_order_and_what_is_good_is_written(ingest: Ingest) -> None:
    body = b"\n".join([event(1), b"{no json", b"", event(2), json.dumps(EXAMPLES["interest"] | {"type": "x"}).encode(), event(3)])
    results, summary = send(ingest, body)
    assert [(result["line"], result["status"]) for result in results] == [
        (1, "accepted"),
        (2, "rejected"),
        (4, "accepted"),
        (5, "rejected"),
        (6, "accepted"),
    ]
    assert results[0] == {
        "line": 1,
        "status": "accepted",
        "source": EXAMPLES["interest"]["source"],
        "id": "event-1",
        "type": "watch.neutrality.interest.v1",
        "topic": "neutrality.ownership",
        "partition": results[0]["partition"],
        "offset": 0,
    }
    assert results[3]["problem"]["errors"][0]["pointer"] == "/type"
    assert results[3]["problem"]["type"] == "urn:neutrality-watch:problem:invalid-event"
    assert summary == {"complete": True, "accepted": 3, "duplicate": 0, "rejected": 2, "failed": 0}
    assert ingest.records() == 3
    assert ingest.count("ingest_events_accepted_total", type="interest") == 3
    assert ingest.count("ingest_events_rejected_total", reason="invalid_event") == 2


def test_repeats_and_conflicts_are_told_line_by_line(ingest: Ingest) -> None:
    other = json.dumps(EXAMPLES["interest"] | {"id": "event-1", "time": "2025-06-13T12:00:00Z"}).encode()
    results, summary = send(ingest, b"\n".join([event(1), event(2), event(1), other]))
    assert [result["status"] for result in results] == ["accepted", "accepted", "duplicate", "rejected"]
    assert results[2] | {"line": 1, "status": "accepted"} == results[0]
    assert results[3]["problem"]["status"] == 409
    assert summary == {"complete": True, "accepted": 2, "duplicate": 1, "rejected": 1, "failed": 0}
    results, _ = send(ingest, b"\n".join([event(1), other]))
    assert [result["status"] for result in results] == ["duplicate", "rejected"]
    assert ingest.records() == 2


def test_an_event_must_name_its_specversion_in_a_line_too(ingest: Ingest) -> None:
    line = {name: value for name, value in EXAMPLES["interest"].items() if name != "specversion"}
    [result], _ = send(ingest, json.dumps(line).encode())
    assert result["problem"]["errors"][0]["pointer"] == "/specversion"


def test_many_more_lines_than_are_in_hand_at_a_time_keep_their_order(ingest: Ingest) -> None:
    count = GROUP_LINES * WINDOW * 3 + 1
    results, summary = send(ingest, slowly([b"\n".join(event(number) for number in range(count))]))
    assert [result["id"] for result in results] == [f"event-{number}" for number in range(count)]
    assert summary["accepted"] == ingest.records() == count


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_compressed_lines_are_inflated_as_they_come(ingest: Ingest, encoding: str, compress: Any) -> None:
    sent = compress(b"\n".join(event(number) for number in range(500)))
    results, summary = send(
        ingest, slowly(sent[start : start + 100] for start in range(0, len(sent), 100)), content_encoding=encoding
    )
    assert len(results) == summary["accepted"] == 500


def test_lines_before_the_compression_breaks_are_taken_and_the_summary_says_what_was_wrong(ingest: Ingest) -> None:
    sent = gzip.compress(b"\n".join(event(number) for number in range(5)) + b"\n") + b"garbage"
    results, summary = send(ingest, sent, content_encoding="gzip")
    assert len(results) == summary["accepted"] == 5
    assert not summary["complete"]
    assert summary["problem"]["type"].endswith("bad-compression")


def test_a_bomb_ends_the_stream(ingest: Ingest) -> None:
    _, summary = send(ingest, gzip.compress(bytes(50_000_000)), content_encoding="gzip")
    assert summary["problem"]["type"].endswith("body-too-large")


def test_an_unknown_encoding_is_answered_with_the_known_ones(ingest: Ingest) -> None:
    for headers in (NDJSON, {"content-type": "application/cloudevents+json"}):
        response = ingest.post(GOOD, headers | {"content-encoding": "br"})
        problem(response, 415, "unsupported-encoding")
        assert response.headers["accept-encoding"] == "gzip, zstd"


def test_a_line_over_the_bound_is_rejected_and_those_after_it_are_taken(ingest: Ingest) -> None:
    results, summary = send(ingest, slowly([event(1) + b"\n", *[b"x" * 500_000] * 6, b"\n" + event(2)]))
    assert [result["status"] for result in results] == ["accepted", "rejected", "accepted"]
    assert "longer than 1048576 bytes" in results[1]["problem"]["errors"][0]["detail"]
    assert summary["complete"]


def test_when_kafka_does_not_answer_no_more_is_read_and_every_line_read_has_its_result(ingest: Ingest) -> None:
    sent = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal sent
        for number in range(100_000):
            sent += 1
            if number == 250:
                ingest.broker.fail_with(BrokerUnavailable("away"))
            yield event(number) + b"\n"
            await asyncio.sleep(0)

    results, summary = send(ingest, body())
    accepted = [result for result in results if result["status"] == "accepted"]
    failed = [result for result in results if result["status"] == "failed"]
    assert [result["line"] for result in results] == list(range(1, len(results) + 1))
    assert len(accepted) == ingest.records() == summary["accepted"]
    assert failed
    assert failed[0]["problem"]["status"] == 503
    assert not summary["complete"]
    assert summary["problem"]["type"].endswith("broker-unavailable")
    assert ingest.count("ingest_broker_errors_total", kind="unavailable")


def test_an_overload_makes_the_stream_wait(ingest: Ingest) -> None:
    async def body() -> AsyncIterator[bytes]:
        ingest.broker.fail_with(Overloaded("full"))
        yield event(1) + b"\n"
        await asyncio.sleep(0.1)
        ingest.broker.fail_with(None)
        yield event(2) + b"\n"

    _, summary = send(ingest, body())
    assert summary == {"complete": True, "accepted": 2, "duplicate": 0, "rejected": 0, "failed": 0}


def test_before_there_are_topics_a_stream_is_not_begun(ingest: Ingest) -> None:
    ingest.prepared = False
    response = ingest.post(GOOD, NDJSON)
    problem(response, 503, "broker-unavailable")
    assert response.headers["retry-after"]


def test_a_client_that_wants_little_is_told_only_what_was_not_accepted(ingest: Ingest) -> None:
    results, summary = send(ingest, event(1) + b"\nwrong\n" + event(2), prefer="return=minimal")
    assert [result["line"] for result in results] == [2]
    assert summary["accepted"] == 2


def test_a_stream_that_pauses_too_long_is_ended_with_what_it_brought(ingest: Ingest) -> None:
    results, summary = send(ingest, slowly([event(1) + b"\n", event(2)], pause_s=0.6))
    assert [result["line"] for result in results] == [1]
    assert summary["problem"]["type"].endswith("body-too-slow")


def test_a_client_that_does_not_read_its_results_is_cut_off(ingest: Ingest) -> None:
    ingest.max_unread_bytes = 1024
    results, summary = send(ingest, b"\n".join(event(number) for number in range(GROUP_LINES * 30)))
    assert summary["problem"]["type"].endswith("results-not-read")
    assert summary["accepted"] == len(results) < GROUP_LINES * 30


def test_an_empty_stream_is_complete(ingest: Ingest) -> None:
    assert send(ingest, b"") == ([], {"complete": True, "accepted": 0, "duplicate": 0, "rejected": 0, "failed": 0})


@settings(max_examples=30, deadline=None)
@given(lines=st.lists(st.sampled_from([GOOD, b"{}", b"[1]", b"", b"\xff", b'{"a":NaN}', GOOD[:-1]]), max_size=30), data=st.data())
def test_where_the_chunks_end_makes_no_difference(lines: list[bytes], data: st.DataObject) -> None:
    whole = b"\n".join(lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    chunks = [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert send(Ingest(), slowly(chunks)) == send(Ingest(), whole)
