"""How many events ingest accepts over HTTP, beside kafka-python alone, and what it holds meanwhile: `python -m benchmarks.ingest`.

Ingest is the real process on the embedded Kafka, acks=all; the clients run here and take their part of the processor. Each way sends the same
events (an interest, some 500 bytes) under ids of its own: one a request over CONNECTIONS connections, BATCH a request, or as lines of one request.
kafka-python alone writes the same records from this process, idempotent and with acks=all: all are handed over, then all are waited for. It does so
first and again after the others; the faster time counts.

Paced: single events at a fixed rate, each sent on schedule whether earlier ones were answered or not. Long: lines without an end in sight, with the
resident memory of ingest at each tenth of the way. Right: every event was accepted, and the topics have as many records more as were sent.
"""

import argparse
import http.client
import itertools
import json
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psutil
from kafka import KafkaProducer

from benchmarks.report import Report, machine, markdown_row, markdown_table, parser_of, publish
from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import KafkaReader, ensure_topics
from neutrality.events.cloudevent import event_from_document
from services.ingest.handlers import INPUT_TOPICS, to_record
from tests.support.ingest import answers, running_ingest, wait_for

SUBJECTS: Final = 1_000
CONNECTIONS: Final = 16
BATCH: Final = 500
LINES_A_CHUNK: Final = 200
STRUCTURED: Final = "application/cloudevents+json"
BATCHES: Final = "application/cloudevents-batch+json"
ALONE: Final = "kafka-python alone"
LINES: Final = "application/x-ndjson"
COLUMNS: Final = ("way", "events", "events/s", "against kafka-python", "ingest's CPU µs/event", "p50 ms", "p99 ms", "result")
_numbers = itertools.count()


@dataclass(frozen=True)
class Run:
    """One row. `answers_s`: how long each request took; `resident`: memory of ingest at each tenth of the way, bytes."""

    way: str
    events: int
    seconds: float
    cpu_s: float
    answers_s: Sequence[float]
    resident: Sequence[int] = ()
    right: bool = True


def documents(count: int) -> Iterator[dict[str, Any]]:
    """Events under ids that were never used before."""
    for _ in range(count):
        number = next(_numbers)
        subject = f"vendor-{number % SUBJECTS}"
        yield {
            "specversion": "1.0",
            "id": f"bench-{number}",
            "source": "https://example.org/register",
            "type": "watch.neutrality.interest.v1",
            "time": "2026-01-15T09:00:00Z",
            "subject": subject,
            "data": {
                "subject": subject,
                "claim_id": f"equity-{number % 7}",
                "status": "completed",
                "effective_time": "2026-01-14T00:00:00Z",
                "interested_party": f"owner-{number % 97}",
                "interest_type": "shareholding",
                "share": {"exact": (number % 90) / 1000},
                "evidence": [
                    {"kind": "filing", "publisher": "Companies Registry", "url": f"https://example.org/filings/{number}"}
                ],
            },
        }


def bodies(count: int, each: int, make: Callable[[list[dict[str, Any]]], bytes]) -> list[bytes]:
    """Request bodies, or chunks of one, of `each` events."""
    found = documents(count)
    return [make(list(itertools.islice(found, min(each, count - start)))) for start in range(0, count, each)]


def as_lines(found: list[dict[str, Any]]) -> bytes:
    """One event a line."""
    return b"".join(json.dumps(document).encode() + b"\n" for document in found)


def post(connection: http.client.HTTPConnection, body: bytes, media_type: str) -> float:
    """Send one request; returns how long it took, s. Raises RuntimeError if it was not accepted."""
    began_s = time.perf_counter()
    connection.request("POST", "/events", body, {"content-type": media_type})
    response = connection.getresponse()
    text = response.read()
    if response.status != http.client.ACCEPTED:
        raise RuntimeError(f"{response.status}: {text[:300]!r}")
    return time.perf_counter() - began_s


class Bench:
    """Runs one way after another against one ingest."""

    def __init__(self, port: int, process: psutil.Process, servers: str) -> None:
        self._port, self._process, self._servers = port, process, servers

    def requests(self, way: str, found: list[bytes], media_type: str, events: int) -> Run:
        """As many requests at a time as there are connections."""
        waiting = iter(found)
        lock = threading.Lock()

        def client(_: int) -> list[float]:
            connection = self._connect()
            taken: list[float] = []
            while True:
                with lock:
                    body = next(waiting, None)
                if body is None:
                    connection.close()
                    return taken
                taken.append(post(connection, body, media_type))

        def run() -> list[float]:
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                return [answer for answers_s in pool.map(client, range(CONNECTIONS)) for answer in answers_s]

        return self._measured(way, events, run)

    def paced(self, rate: int, seconds: float) -> Run:
        """Single events at a rate."""
        found = bodies(int(rate * seconds), 1, lambda one: json.dumps(one[0]).encode())
        idle = deque(self._connect() for _ in range(CONNECTIONS))
        for connection in idle:
            connection.connect()
        began_s = time.perf_counter()

        def one(place: int) -> float:
            due_s = began_s + place / rate
            time.sleep(max(0.0, due_s - time.perf_counter()))
            connection = idle.popleft()  # in turn: the server closes what is idle for 5 s
            post(connection, found[place], STRUCTURED)
            idle.append(connection)
            return time.perf_counter() - due_s

        def run() -> list[float]:
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                return list(pool.map(one, range(len(found))))

        return self._measured(f"single, {rate}/s", len(found), run)

    def lines(self, way: str, chunks: Iterator[bytes], events: int, *, minimal: bool) -> Run:
        """One request of lines; its answer is read when all are sent."""
        resident: list[int] = []
        chunks_a_tenth = max(1, events // LINES_A_CHUNK // 10)

        def watched() -> Iterator[bytes]:
            for number, chunk in enumerate(chunks):
                if number % chunks_a_tenth == 0:
                    resident.append(self._process.memory_info().rss)
                yield chunk

        def run() -> list[float]:
            connection = self._connect()
            headers = {"content-type": LINES, "transfer-encoding": "chunked"} | ({"prefer": "return=minimal"} if minimal else {})
            connection.request("POST", "/events", watched(), headers, encode_chunked=True)
            *_, last = connection.getresponse().read().splitlines()
            resident.append(self._process.memory_info().rss)
            summary = json.loads(last)["summary"]
            if summary != {"complete": True, "accepted": events, "duplicate": 0, "rejected": 0, "failed": 0}:
                raise RuntimeError(f"{way}: {summary}")
            return []

        return self._measured(way, events, run, resident)

    def raw(self, count: int) -> Run:
        """kafka-python alone."""
        moment = datetime.now(UTC)
        records = [to_record(event_from_document(document), moment) for document in documents(count)]
        producer = KafkaProducer(bootstrap_servers=self._servers.split(","), acks="all", enable_idempotence=True)

        def run() -> list[float]:
            sent = [
                producer.send(it.topic, key=it.key, value=it.value, headers=list(it.headers), timestamp_ms=it.timestamp_ms)
                for it in records
            ]
            for future in sent:
                future.get(60)
            return []

        try:
            return self._measured(ALONE, count, run)
        finally:
            producer.close()
            self._settle()

    def _settle(self) -> None:
        """Until ingest has taken in what it reads because another wrote it."""
        while True:
            before_s = self._cpu_s()
            time.sleep(1.0)
            if self._cpu_s() - before_s < 0.1:
                return

    def _measured(self, way: str, events: int, run: Callable[[], list[float]], resident: Sequence[int] = ()) -> Run:
        before = self._records()
        began_s, began_cpu_s = time.perf_counter(), self._cpu_s()
        answers_s = run()
        seconds, cpu_s = time.perf_counter() - began_s, self._cpu_s() - began_cpu_s
        found = Run(way, events, seconds, cpu_s, sorted(answers_s), resident, self._records() - before == events)
        print(markdown_row(cells(found, None)), file=sys.stderr, flush=True)
        return found

    def _records(self) -> int:
        reader = KafkaReader(self._servers, [topic.name for topic in INPUT_TOPICS], client_id="bench", start="end")
        try:
            return sum(reader.end_offsets().values())
        finally:
            reader.close()

    def _cpu_s(self) -> float:
        times = self._process.cpu_times()
        return times.user + times.system

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)


def cells(run: Run, raw: Run | None) -> list[str]:
    """One row of the table."""
    return [
        run.way,
        f"{run.events:,}",
        f"{run.events / run.seconds:,.0f}",
        f"{run.events / run.seconds / (raw.events / raw.seconds):.2f}" if raw else "-",
        "-" if run.way == ALONE else f"{1e6 * run.cpu_s / run.events:.0f}",
        f"{1000 * run.answers_s[len(run.answers_s) // 2]:.1f}" if run.answers_s else "-",
        f"{1000 * run.answers_s[int(len(run.answers_s) * 0.99)]:.1f}" if run.answers_s else "-",
        "right" if run.right else "WRONG: the topics do not have as many more",
    ]


def text(runs: Sequence[Run]) -> str:
    """The whole text in Markdown."""
    raw = min((run for run in runs if run.way == ALONE), key=lambda run: run.seconds / run.events)
    long = runs[-1]
    tenths = ", ".join(f"{size / 2**20:.0f}" for size in long.resident)
    return (
        f"## Ingest: events accepted over HTTP\n\nacks=all; {CONNECTIONS} connections, {BATCH} events a batch; {machine()}.\n\n"
        f"{markdown_table(COLUMNS, [cells(run, raw) for run in runs])}\n\n"
        f"Ingest's resident memory at each tenth of the last row, MiB: {tenths}.\n"
    )


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = parser_of(__doc__ or "")
    options.add_argument("--lines", type=int, help="of the long stream (2,000,000; quick: 20,000)")
    return options


def run(options: argparse.Namespace) -> Report:
    """All ways, one after another."""
    quick = options.quick
    single, many, long = (500, 5_000, options.lines or 20_000) if quick else (10_000, 100_000, options.lines or 2_000_000)
    with tempfile.TemporaryDirectory(prefix="neutrality-bench-") as found:
        folder = Path(found)
        with EmbeddedKafka(data_dir=folder / "kafka", port=0) as kafka:
            servers = kafka.bootstrap_servers
            ensure_topics(servers, INPUT_TOPICS)
            with running_ingest(servers, folder / "ingest.log", INGEST_DEADLINE_S="30") as (process, client):
                wait_for(lambda: answers(client, "/health/ready"), 30)
                bench = Bench(client.base_url.port or 0, psutil.Process(process.pid), servers)
                bench.requests("warm-up", bodies(many // 10, BATCH, lambda it: json.dumps(it).encode()), BATCHES, many // 10)
                runs = [
                    bench.raw(many),
                    bench.requests("single", bodies(single, 1, lambda it: json.dumps(it[0]).encode()), STRUCTURED, single),
                    bench.requests("batch", bodies(many, BATCH, lambda it: json.dumps(it).encode()), BATCHES, many),
                    bench.lines("lines", iter(bodies(many, LINES_A_CHUNK, as_lines)), many, minimal=False),
                    bench.paced(100, 5 if quick else 60),  # before what ingest has to read since others wrote it
                    bench.raw(many),
                    bench.lines("lines, long, minimal", _endless(long), long, minimal=True),
                ]
    return Report(text(runs), all(it.right for it in runs))


def _endless(count: int) -> Iterator[bytes]:
    """Chunks that are made while they are sent: nobody holds them all."""
    found = documents(count)
    while chunk := list(itertools.islice(found, LINES_A_CHUNK)):
        yield as_lines(chunk)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if all events arrived."""
    options = parser().parse_args(arguments)
    return publish(run(options), options.output)


if __name__ == "__main__":
    sys.exit(main())
