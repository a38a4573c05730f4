"""Handing events to ingest: bounds of a batch, refusals in words, and patience while Kafka is away."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import orjson
import pytest

from neutrality.cli.intake import MAX_BATCH_BYTES, MAX_BATCH_EVENTS, Intake, IntakeError, batches, describe


class Answering:
    """A real HTTP server that gives the prepared answers, in order, the last one for ever."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes]) -> None:
        self.answers = list(answers)
        self.bodies: list[Any] = []
        answering = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answering.bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
                status, headers, body = answering.answers.pop(0) if len(answering.answers) > 1 else answering.answers[0]
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def paused() -> list[float]:
    return []


def test_a_batch_is_bounded_by_count() -> None:
    found = list(batches({"n": number} for number in range(MAX_BATCH_EVENTS + 1)))
    assert [count for _, count in found] == [MAX_BATCH_EVENTS, 1]
    assert orjson.loads(found[1][0]) == [{"n": MAX_BATCH_EVENTS}]


def test_a_batch_is_bounded_by_size() -> None:
    half = "x" * (MAX_BATCH_BYTES // 2)
    found = list(batches([{"a": half}, {"b": half}, {"c": ""}]))
    assert [count for _, count in found] == [1, 2]


def test_no_events_are_no_batch() -> None:
    assert list(batches([])) == []


def test_a_refusal_names_each_wrong_field() -> None:
    problem = {
        "title": "invalid",
        "detail": "One event is invalid.",
        "errors": [{"pointer": "/0/data/share", "detail": "too much"}],
    }
    said = describe(httpx.Response(422, json=problem))
    assert said == "ingest answered 422: One event is invalid.\n  /0/data/share: too much"
    assert describe(httpx.Response(500, text="oops")) == "ingest answered 500: oops"


def _serve(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[Answering]:
    server = Answering(*answers)
    yield server
    server.close()


@pytest.fixture
def away_once() -> Iterator[Answering]:
    yield from _serve((503, {"retry-after": "3"}, b"{}"), (202, {}, b"{}"))


@pytest.fixture
def away() -> Iterator[Answering]:
    yield from _serve((503, {"retry-after": "3"}, b"{}"))


@pytest.fixture
def refusing() -> Iterator[Answering]:
    yield from _serve((422, {}, b'{"detail": "no"}'))


def test_while_kafka_is_away_the_same_is_sent_again_after_the_pause_asked_for(away_once: Answering, paused: list[float]) -> None:
    with Intake(away_once.url, sleep=paused.append) as intake:
        assert intake.send([{"id": "1"}]) == 1
    assert paused == [3.0]
    assert away_once.bodies == [[{"id": "1"}], [{"id": "1"}]]


def test_patience_has_an_end(away: Answering, paused: list[float]) -> None:
    with Intake(away.url, patience_s=7.0, sleep=paused.append) as intake, pytest.raises(IntakeError) as caught:
        intake.send([{"id": "1"}])
    assert caught.value.unreachable
    assert paused == [3.0, 3.0]


def test_a_refusal_is_not_tried_again(refusing: Answering, paused: list[float]) -> None:
    with Intake(refusing.url, sleep=paused.append) as intake, pytest.raises(IntakeError, match="422: no") as caught:
        intake.send([{"id": "1"}])
    assert not caught.value.unreachable
    assert paused == []
