"""Whatever is sent to ingest: an answer below 500, problem details where it is refused, and only valid events in the topics.

The bodies are made by Hypothesis (`INGEST_BODIES` of them; `make fuzz` sends 10,000), and a corpus of hostile ones is kept by hand.
"""

import asyncio
import gc
import gzip
import json
import os
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any, Final

import httpx
import orjson
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from neutrality.broker.memory import MemoryBroker
from neutrality.events.cloudevent import event_from_kafka, topic_kind
from services.ingest.entrypoints.http import build_app
from services.ingest.entrypoints.ndjson import MEDIA_TYPE as NDJSON
from services.ingest.entrypoints.openapi import EXAMPLES
from services.ingest.handlers import Intake
from services.ingest.metrics import IngestMetrics
from services.ingest.received import OwnWrites, ReceivedInMemory
from services.ingest.settings import IngestSettings
from tests.support.ingest import NOW, new_identities

BODIES: Final = int(os.environ.get("INGEST_BODIES", "500"))
TOPICS: Final = ("neutrality.ownership", "neutrality.contracts")
ONE, BATCH, JSON = "application/cloudevents+json", "application/cloudevents-batch+json", "application/json"
MOST_ROUNDS: Final = 5
GROWTH_BYTES: Final = 256 * 1024  # of all that lives after a round of the corpus; what one body inflates to is more
Headers = dict[str, str]


class Door:
    """One ingest for many requests, whose topics are checked and emptied after each."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._app: Any = None
        self.anew()

    def anew(self) -> None:
        """Forget what was received."""
        self.broker, registry = MemoryBroker(1), CollectorRegistry()
        metrics = IngestMetrics(registry)
        intake = Intake(
            self.broker.publisher(),
            ReceivedInMemory(),
            OwnWrites(),
            new_identities(),
            metrics,
            clock=lambda: NOW,
            stopwatch_s=lambda: 0.0,
        )
        limits = IngestSettings.model_construct(body_deadline_s=5.0, stream_idle_s=5.0)
        self._app = build_app(limits, intake, metrics, registry, topics_are_ready=lambda: True)

    def send(self, body: bytes, headers: Headers) -> httpx.Response:
        """Send it and check what always holds."""
        before = self._records()
        response = self._runner.run(self._ask(body, headers))
        records = self._records()
        assert response.status_code < 500, response.text
        if response.status_code >= 400:
            assert response.headers["content-type"] == "application/problem+json"
            document = response.json()
            assert document["status"] == response.status_code
            assert document["detail"]
            assert all(fault["detail"] and fault["pointer"][:1] in ("", "/") for fault in document.get("errors", ()))
            assert len(records) == len(before)
        for record in records[len(before) :]:
            event = event_from_kafka(record.headers, record.value)  # raises InvalidEvent
            assert record.key == event.key
            assert record.topic == f"neutrality.{topic_kind(event)}"
        return response

    def close(self) -> None:
        """End the loop."""
        self._runner.close()

    def _records(self) -> tuple[Any, ...]:
        return tuple(record for topic in TOPICS for record in self.broker.records(topic))

    async def _ask(self, body: bytes, headers: Headers) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
            return await client.post("/events", content=body, headers=headers)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    found = Door()
    yield found
    found.close()


# What Hypothesis makes: anything at all, valid events with something changed somewhere, and both behind each media type and encoding.

numbers = st.one_of(
    st.integers(), st.floats(allow_nan=True), st.sampled_from([10**400, -(10**400), 1e308, -0.0, 5e-324, 2**53 + 1])
)
texts = st.one_of(
    st.text(), st.sampled_from(["", " ", "\x00", "\u202e", "é" * 300, "/" * 2000, "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z"])
)
anything = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def nearly_events(draw: st.DrawFn) -> Any:
    """An example event of which up to three places hold something else, are missing or are said by another name."""
    document = json.loads(json.dumps(EXAMPLES[draw(st.sampled_from(sorted(EXAMPLES)))]))
    document["id"] = draw(st.one_of(st.just(document["id"]), texts))
    for _ in range(draw(st.integers(0, 3))):
        place: Any = document
        while isinstance(place, dict | list) and place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else list(range(len(place)))))
            if isinstance(place[key], dict | list) and place[key] and draw(st.booleans()):
                place = place[key]
                continue
            change = draw(st.sampled_from(["other", "gone", "more"]))
            if change == "other":
                place[key] = draw(anything)
            elif change == "gone" or isinstance(place, list):
                del place[key]
            else:
                place[draw(texts)] = draw(anything)
            break
    return document


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, Headers]:
    """A body with its headers."""
    media_type = draw(st.sampled_from([ONE, BATCH, NDJSON, JSON, "text/plain", f"{ONE}; charset=utf-16", ""]))
    documents = draw(st.lists(st.one_of(nearly_events(), anything), min_size=1, max_size=4))
    match draw(st.sampled_from(["as it should be", "as it should be", "bytes", "cut", "spoilt"])):
        case "bytes":
            body = draw(st.binary(max_size=200))
        case how:
            dumped = [json.dumps(document).encode() for document in documents]
            body = b"\n".join(dumped) if media_type == NDJSON else json.dumps(documents).encode()
            body = dumped[0] if media_type in (ONE, JSON) else body
            if how == "cut":
                body = body[: draw(st.integers(0, len(body)))]
            elif how == "spoilt" and body:
                at = draw(st.integers(0, len(body) - 1))
                body = body[:at] + draw(st.binary(min_size=1, max_size=3)) + body[at + 1 :]
    headers = {"content-type": media_type} if media_type else {}
    encoding = draw(st.sampled_from(["", "", "gzip", "zstd", "br", "gzip, gzip"]))
    if encoding:
        headers["content-encoding"] = encoding
        if draw(st.booleans()):
            body = zstd.compress(body) if encoding == "zstd" else gzip.compress(body)
    if draw(st.booleans()):
        headers |= {f"ce-{name}": str(EXAMPLES["entity"][name]) for name in ("specversion", "id", "source", "type", "time")}
    return body, headers


@settings(max_examples=BODIES, deadline=None, suppress_health_check=list(HealthCheck))
@given(requests())
def test_whatever_is_sent_is_answered_below_500_and_only_valid_events_pass(
    door: Door, request_made: tuple[bytes, Headers]
) -> None:
    door.send(*request_made)


# The corpus.

VALID: Final = EXAMPLES["interest"]


def with_data(text: str, field: str = "share") -> bytes:
    """The example with this JSON in place of a field of its data."""
    document = VALID | {"id": "hostile", "data": {**VALID["data"], field: "@@"}}
    return json.dumps(document).replace('"@@"', text).encode()


def with_attribute(text: str, name: str = "id") -> bytes:
    """The example with this JSON in place of an attribute."""
    return json.dumps(VALID | {name: "@@"}).replace('"@@"', text).encode()


HOSTILE: Final[dict[str, bytes]] = {
    "nothing": b"",
    "spaces": b" \n\t ",
    "null": b"null",
    "deep arrays": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep arrays in a field": with_data("[" * 5_000 + "]" * 5_000),
    "deep objects in a field": with_data('{"exact":' * 5_000 + "1" + "}" * 5_000),
    "unclosed": b'{"specversion": "1.0"' + b',"a":[' * 10_000,
    "NaN": with_data('{"exact": NaN}'),
    "Infinity": with_data('{"exact": Infinity}'),
    "-Infinity": with_data('{"exact": -Infinity}'),
    "1e999": with_data('{"exact": 1e999}'),
    "1e-999": with_data('{"exact": 1e-999}'),
    "an integer of 5,000 digits": with_data('{"exact": ' + "9" * 5_000 + "}"),
    "a fraction of 100,000 digits": with_data('{"exact": 0.' + "3" * 100_000 + "}"),
    "an exponent of 10,000 digits": with_data('{"exact": 1e' + "9" * 10_000 + "}"),
    "minus nought": with_data('{"exact": -0.0}'),
    "a share that is text": with_data('{"exact": "0.5"}'),
    "a share that is true": with_data('{"exact": true}'),
    "a lone high surrogate": with_attribute('"\\ud800"'),
    "a lone low surrogate": with_attribute('"\\udc00"'),
    "a lone surrogate in a subject": with_data('"\\ud83d"', "subject"),
    "a lone surrogate in a name": with_attribute('1, "\\udfff": 2', "extra"),
    "a surrogate in bytes": with_attribute('"@"').replace(b'"@"', b'"\xed\xa0\x80"'),
    "a NUL in the id": with_attribute('"a\\u0000b"'),
    "a NUL in the subject": with_data('"a\\u0000b"', "subject"),
    "line ends in the id": with_attribute('"a\\r\\nx-injected: 1"'),
    "direction marks in the subject": with_data('"\\u202eelacs"', "subject"),
    "an id twice": with_attribute('"one", "id": "two"'),
    "data twice": b'{"data": {}, ' + json.dumps(VALID).encode()[1:],
    "a subject twice": with_data('"one", "subject": "two"', "subject"),
    "an id of a megabyte": with_attribute('"' + "x" * 1_000_000 + '"'),
    "a subject of 100 kB": with_data('"' + "x" * 100_000 + '"', "subject"),
    "100,000 fields": b"{" + b",".join(b'"f%d":1' % number for number in range(100_000)) + b"}",
    "100,000 pieces of evidence": with_data("[" + ",".join(["{}"] * 100_000) + "]", "evidence"),
    "colliding names": b"{" + b",".join(b'"__proto__":%d' % number for number in range(10_000)) + b"}",
    "utf-16": json.dumps(VALID).encode("utf-16"),
    "utf-32": json.dumps(VALID).encode("utf-32"),
    "latin-1": with_attribute('"@"').replace(b'"@"', b'"caf\xe9"'),
    "utf-7": b"+AHs-",
    "a byte order mark": b"\xef\xbb\xbf" + json.dumps(VALID).encode(),
    "overlong utf-8": with_attribute('"@"').replace(b'"@"', b'"\xc0\xaf"'),
    "beyond unicode": with_attribute('"@"').replace(b'"@"', b'"\xf5\x80\x80\x80"'),
    "the year 0": with_attribute('"0000-01-01T00:00:00Z"', "time"),
    "the year 10000": with_attribute('"10000-01-01T00:00:00Z"', "time"),
    "the last second": with_attribute('"9999-12-31T23:59:59-23:59"', "time"),
    "before the first second": with_attribute('"0001-01-01T00:00:00+23:59"', "time"),
    "a leap second": with_attribute('"2016-12-31T23:59:60Z"', "time"),
    "an effective time before all times": with_data('"0001-01-01T00:00:00+14:00"', "effective_time"),
    "a time as a number": with_attribute("1e308", "time"),
    "another version": with_attribute('"0.3"', "specversion"),
    "data as base64": json.dumps({**{k: v for k, v in VALID.items() if k != "data"}, "data_base64": "e30="}).encode(),
    "comments": b"/* */" + json.dumps(VALID).encode(),
    "two documents": json.dumps(VALID).encode() * 2,
    "single quotes": b"{'specversion': '1.0'}",
    "xml": b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>',
    "yaml": b"!!python/object/apply:os.system ['true']",
    "pickle": b"\x80\x04cposix\nsystem\n.",
}
BOMB: Final = b"[" * (64 * 1024 * 1024)
COMPRESSED: Final[dict[str, tuple[str, bytes]]] = {
    "a gzip bomb": ("gzip", gzip.compress(BOMB, 9)),
    "a zstd bomb": ("zstd", zstd.compress(BOMB)),
    "gzip in gzip": ("gzip", gzip.compress(gzip.compress(json.dumps(VALID).encode()))),
    "gzip said twice": ("gzip, gzip", gzip.compress(gzip.compress(json.dumps(VALID).encode()))),
    "cut gzip": ("gzip", gzip.compress(json.dumps(VALID).encode())[:-6]),
    "no gzip": ("gzip", json.dumps(VALID).encode()),
    "a wrong checksum": ("gzip", gzip.compress(json.dumps(VALID).encode())[:-8] + b"\x00" * 8),
    "gzip as zstd": ("zstd", gzip.compress(b"{}")),
    "10,000 empty members": ("gzip", gzip.compress(b"") * 10_000),
    "a zstd window of 2 GiB": ("zstd", b"\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"),
    "an unknown encoding": ("compress", b"\x1f\x9d"),
}


def corpus() -> Iterator[tuple[str, bytes, Headers]]:
    """Every hostile body, as one event, as a batch, as data in binary mode and as a line between two others."""
    binary = {f"ce-{name}": str(VALID[name]) for name in ("specversion", "id", "source", "type", "time")}
    for name, body in HOSTILE.items():
        yield f"{name}: one", body, {"content-type": ONE}
        yield f"{name}: batch", b"[" + body + b"]", {"content-type": BATCH}
        yield f"{name}: binary", body, {"content-type": JSON, **binary}
        yield f"{name}: line", b"{}\n" + body + b"\n{}", {"content-type": NDJSON}
    for name, (encoding, body) in COMPRESSED.items():
        for media_type in (ONE, NDJSON):
            yield f"{name}: {media_type}", body, {"content-type": media_type, "content-encoding": encoding}


@pytest.mark.parametrize(("body", "headers"), [pytest.param(body, headers, id=name) for name, body, headers in corpus()])
def test_a_hostile_body_is_answered_below_500_and_only_valid_events_pass(door: Door, body: bytes, headers: Headers) -> None:
    response = door.send(body, headers)
    if response.status_code == 200:
        *lines, summary = (orjson.loads(line) for line in response.content.splitlines())
        assert summary.keys() == {"summary"}
        assert all(line["status"] in {"accepted", "duplicate", "rejected"} for line in lines), lines


def test_a_body_that_was_cut_is_answered_at_once(door: Door) -> None:
    began_s = time.monotonic()
    encoding, body = COMPRESSED["cut gzip"]
    assert door.send(body, {"content-type": ONE, "content-encoding": encoding}).status_code == 400
    assert time.monotonic() - began_s < 3.0, "nothing more comes, so nothing is to be waited for"


def test_hostile_bodies_leave_nothing_in_memory(door: Door) -> None:
    def living_bytes() -> int:
        for name, body, headers in corpus():
            if not name.endswith((": batch", ": binary")):  # the same bodies, and each is slow to trace
                door.send(body, headers)
        door.anew()
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    living_bytes()
    tracemalloc.start()
    try:
        rounds = [living_bytes(), living_bytes()]
        # what else lives in this process may grow in one round; what leaks grows in each
        while rounds[-1] - rounds[-2] >= GROWTH_BYTES and len(rounds) < MOST_ROUNDS:
            rounds.append(living_bytes())
        assert rounds[-1] - rounds[-2] < GROWTH_BYTES, rounds
    finally:
        tracemalloc.stop()
