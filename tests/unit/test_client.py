"""The client of ingest: each event has its result, whatever is away in between, and nothing is read ahead of what Kafka takes."""

import asyncio
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import httpx
import pytest

from neutrality.broker.memory import MemoryBroker
from neutrality.broker.port import BrokerUnavailable
from neutrality.client import MAX_LINES, Accepted, AsyncClient, Client, EventRejected, IngestError, Rejected, describe
from services.ingest.entrypoints.openapi import EXAMPLES
from tests.support.events import vendor
from tests.support.ingest import served_ingest


def event(number: int) -> dict[str, Any]:
    return EXAMPLES["interest"] | {"id": f"event-{number}"}


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def url(broker: MemoryBroker) -> Iterator[str]:
    with served_ingest(broker) as found:
        yield found


class Answering:
    """A real HTTP server that gives the prepared answers, in order, the last one for ever. None: it breaks the connection."""

    def __init__(self, *answers: tuple[int, dict[str, str], bytes] | None) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        answering = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answering.bodies.append(self.rfile.read(int(self.headers["content-length"])))
                answer = answering.answers.pop(0) if len(answering.answers) > 1 else answering.answers[0]
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, body = answer
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def accepted(line: int) -> bytes:
    place = {"source": "s", "id": f"{line}", "type": "t", "topic": "neutrality.ownership", "partition": 0, "offset": line}
    return json.dumps({"line": line, "status": "accepted", **place}).encode() + b"\n"


def summary(*, complete: bool) -> bytes:
    problem = {} if complete else {"problem": {"detail": "Kafka did not acknowledge"}}
    return json.dumps({"summary": {"complete": complete, **problem}}).encode() + b"\n"


AWAY = (503, {"retry-after": "3"}, b'{"detail": "Kafka is away"}')


def test_events_of_any_form_are_published_with_their_places(url: str, broker: MemoryBroker) -> None:
    with Client(url) as client:
        results = list(client.publish_all([vendor("v"), event(1), json.dumps(event(2), indent=2).encode()]))
    assert all(isinstance(result, Accepted) for result in results)
    assert [result.place for result in results] == [1, 2, 3]
    found = broker.records("neutrality.ownership")
    assert {(result.partition, result.offset) for result in results if isinstance(result, Accepted)} == {
        (record.partition, record.offset) for record in found
    }


def test_what_is_no_event_is_told_with_its_problems_and_the_rest_is_published(url: str, broker: MemoryBroker) -> None:
    with Client(url) as client:
        first, second, third, fourth = client.publish_all([event(1), event(2) | {"type": "x"}, b"\n \n", event(3)])
    assert isinstance(second, Rejected)
    assert (second.place, second.problems[0].pointer) == (2, "/type")
    assert isinstance(third, Rejected)
    assert isinstance(first, Accepted)
    assert isinstance(fourth, Accepted)
    assert len(broker.records("neutrality.ownership")) == 2


def test_one_event_is_accepted_or_raised(url: str) -> None:
    with Client(url) as client:
        assert client.publish(event(1)).id == "event-1"
        with pytest.raises(EventRejected, match="/type") as caught:
            client.publish(event(2) | {"type": "x"})
        assert not caught.value.unreachable
        assert client.send([event(3), event(4)]) == 2


def test_on_an_event_loop_it_is_the_same(url: str, broker: MemoryBroker) -> None:
    async def work() -> None:
        async with AsyncClient(url) as client:
            results = [result async for result in client.publish_all(event(number) for number in range(MAX_LINES + 1))]
            assert [result.place for result in results] == list(range(1, MAX_LINES + 2))
            assert (await client.publish(event(-1))).id == "event--1"

    asyncio.run(work())
    assert len(broker.records("neutrality.ownership")) == MAX_LINES + 2


def test_events_are_read_no_faster_than_they_are_taken(url: str) -> None:
    read = 0

    def endless() -> Iterator[dict[str, Any]]:
        nonlocal read
        while True:
            read += 1
            yield event(read)

    with Client(url) as client:
        results = client.publish_all(endless())
        assert isinstance(next(results), Accepted)
    assert read == MAX_LINES + 1


def test_through_an_outage_only_what_has_no_result_is_sent_again() -> None:
    paused: list[float] = []
    nothing: dict[str, str] = {}
    broken_off = (200, nothing, accepted(1) + accepted(2) + b'{"line": 3, "sta')
    failed = accepted(1) + b'{"line": 2, "status": "failed", "problem": {"detail": "no answer"}}\n' + summary(complete=False)
    with Answering(
        AWAY, None, broken_off, (200, nothing, failed), (200, nothing, accepted(1) + summary(complete=True))
    ) as server:
        with Client(server.url, sleep=paused.append) as client:
            results = list(client.publish_all([{"n": number} for number in range(4)]))
        assert [result.place for result in results] == [1, 2, 3, 4]
        assert [len(body.splitlines()) for body in server.bodies] == [4, 4, 4, 2, 1]
        assert json.loads(server.bodies[-1]) == {"n": 3}
        assert paused == [3.0, 1.0, 1.0, 1.0]


def test_patience_is_for_waiting_without_progress(url: str, broker: MemoryBroker) -> None:
    paused: list[float] = []
    with Answering(AWAY) as server, Client(server.url, patience=timedelta(seconds=7), sleep=paused.append) as client:
        with pytest.raises(IngestError, match="Kafka is away") as caught:
            client.publish(event(1))
        assert caught.value.unreachable
        assert paused == [3.0, 3.0]
    broker.fail_with(BrokerUnavailable("away"))
    with Client(url, patience=timedelta(0)) as client, pytest.raises(IngestError, match="did not acknowledge"):
        client.publish(event(1))


def test_a_refusal_of_the_whole_request_is_not_tried_again() -> None:
    paused: list[float] = []
    with Answering((401, {}, b'{"detail": "no key"}')) as server, Client(server.url, sleep=paused.append) as client:
        with pytest.raises(IngestError, match="401: no key") as caught:
            client.publish(event(1))
        assert not caught.value.unreachable
        assert paused == []


def test_a_refusal_names_each_wrong_field() -> None:
    problem = {
        "title": "invalid",
        "detail": "One event is invalid.",
        "errors": [{"pointer": "/0/data/share", "detail": "too much"}],
    }
    said = describe(httpx.Response(422, json=problem))
    assert said == "ingest answered 422: One event is invalid.\n  /0/data/share: too much"
    assert describe(httpx.Response(500, text="oops")) == "ingest answered 500: oops"
