"""How long from an accepted event to an alert that a subscriber can read: `python -m benchmarks.latency` (`make bench-latency`).

The real stack in a folder of its own: Kafka, ingest, scoring and alerts as processes on this machine; the load, the subscriber by server-sent
events and the Kafka consumers run here, and take their part of the processor. The load is an open loop: events leave on schedule, whether
earlier ones were answered or not.

Every measured event must cause exactly one alert: a rival's share in a vendor rises by 8 % of the equity each time, so that the vendor's score
falls, and the lab subscribes to falls alone. Events and alerts are matched by `cause.event_id`. Times are of one clock on one machine.
"""

import argparse
import http.client
import json
import os
import platform
import queue
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psutil

from neutrality.broker.kafka import KafkaReader, ensure_topics
from neutrality.broker.port import ConsumedRecord
from neutrality.cli.alert_stream import put_subscription, stream_alerts
from neutrality.cli.score_log import TopicFollower
from neutrality.cli.stack import Ports, Stack
from neutrality.client import Client
from neutrality.events.alert import parse_alert
from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.topics import SCORES, alerts_topic

LAB: Final = "bench-lab"
RIVAL: Final = "bench-rival"
STEPS: Final = 10  # a vendor's shares: 8 %, 16 %, ... 80 %; so many vendors that one's events lie seconds apart
STRUCTURED: Final = {"content-type": "application/cloudevents+json"}
WAIT_FOR_THE_LAST_S: Final = 30.0
WARM_UP: Final = 200
CONNECTIONS: Final = 16
TARGET_P99_MS: Final = 500.0


@dataclass
class Times:
    """When each event got where, by event id, in seconds of one monotonic clock. Each dictionary has one writer."""

    sent: dict[str, float] = field(default_factory=dict)
    accepted: dict[str, float] = field(default_factory=dict)
    scored: dict[str, float] = field(default_factory=dict)
    on_topic: dict[str, float] = field(default_factory=dict)
    on_stream: dict[str, float] = field(default_factory=dict)
    alerts: int = 0


def event(kind: str, identity: str, number: int, **data: Any) -> dict[str, Any]:
    """A completed claim; later numbers are recorded later."""
    moment = (datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=number)).isoformat()
    evidence = [{"kind": "filing", "publisher": "a register"}]
    return {
        "specversion": "1.0",
        "id": identity,
        "source": "urn:bench:latency",
        "type": f"watch.neutrality.{kind}.v1",
        "time": moment,
        "data": {"status": "completed", "effective_time": moment, "evidence": evidence, **data},
    }


def preamble(vendors: int) -> list[dict[str, Any]]:
    """The labs and the vendors, each with a first share so that it is rated."""
    labs = [event("entity", f"lab-{name}", 0, subject=name, claim_id="what", is_lab=True) for name in (LAB, RIVAL)]
    entities = [event("entity", f"vendor-{n}", 0, subject=f"vendor-{n}", claim_id="what", is_vendor=True) for n in range(vendors)]
    return labs + entities + [stake(f"first-{n}", 0, n, 0.001) for n in range(vendors)]


def stake(identity: str, number: int, vendor: int, share: float) -> dict[str, Any]:
    """The rival's share in a vendor."""
    data = {"claim_id": "equity", "interested_party": RIVAL, "interest_type": "shareholding", "share": {"exact": share}}
    return event("interest", identity, number, subject=f"vendor-{vendor}", **data)


def load(count: int, vendors: int) -> list[dict[str, Any]]:
    """Rising shares, round the vendors, so that one vendor's events are far apart."""
    return [
        stake(f"event-{number}", number + 1, number % vendors, round(0.08 * (number // vendors + 1), 4))
        for number in range(count)
    ]


def drive(url: str, documents: Sequence[dict[str, Any]], rate_per_s: float, times: Times) -> float:
    """Send on schedule over kept connections; how late the latest event left, in seconds, which tells whether the load kept its pace."""
    host = url.removeprefix("http://")
    bodies = [(document["id"], json.dumps(document).encode()) for document in documents]
    waiting: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(len(bodies)):
        waiting.put(number)
    start_s = time.monotonic() + 0.1

    def send_some(_: int) -> float:
        # http.client and not httpx, which would take more of the machine than what is measured
        connection = http.client.HTTPConnection(host, timeout=30.0)
        late_s = 0.0
        while True:
            try:
                number = waiting.get_nowait()
            except queue.Empty:
                connection.close()
                return late_s
            due_s = start_s + number / rate_per_s
            time.sleep(max(0.0, due_s - time.monotonic()))
            identity, body = bodies[number]
            times.sent[identity] = time.monotonic()
            late_s = max(late_s, times.sent[identity] - due_s)
            connection.request("POST", "/events", body, STRUCTURED)
            answer = connection.getresponse()
            text = answer.read()
            times.accepted[identity] = time.monotonic()
            if answer.status != http.HTTPStatus.ACCEPTED:
                raise RuntimeError(f"ingest answered {answer.status}: {text!r}")

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return max(pool.map(send_some, range(CONNECTIONS)))


def note_first(book: dict[str, float], cause_id: str | None) -> None:
    """Keep when an event's effect was first seen."""
    if cause_id is not None:
        book.setdefault(cause_id, time.monotonic())


class Watchers:
    """Readers of scores, of the lab's topic and of its stream."""

    def __init__(self, stack: Stack, times: Times, *, stages: bool) -> None:
        self._times = times
        self._stopped = threading.Event()
        self._stack = stack
        self._followers = [self._follow(alerts_topic(LAB).name, self._take_alert)]
        if stages:
            self._followers.append(self._follow(SCORES.name, self._take_score))
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._stopped.set()
        for follower in self._followers:
            follower.close()

    def _follow(self, topic: str, take: Callable[[ConsumedRecord], None]) -> TopicFollower:
        reader = KafkaReader(self._stack.bootstrap_servers, (topic,), client_id=f"bench-{topic}", start="end")
        return TopicFollower(reader, take, topic)

    def _take_score(self, record: ConsumedRecord) -> None:
        found = parse_assessment(record.value or b"")
        if isinstance(found, Assessment) and found.cause is not None:
            note_first(self._times.scored, found.cause.event_id)

    def _take_alert(self, record: ConsumedRecord) -> None:
        alert = parse_alert(record.value or b"")
        self._times.alerts += 1
        note_first(self._times.on_topic, None if alert.cause is None else alert.cause.event_id)

    def _listen(self) -> None:
        for alert in stream_alerts(self._stack.alerts_url, LAB, after=None, stopped=self._stopped.is_set, noticed=print):
            note_first(self._times.on_stream, None if alert.cause is None else alert.cause.event_id)


def measure(stack: Stack, rate_per_s: float, seconds: float, *, stages: bool) -> tuple[Times, list[str], float, dict[str, float]]:
    """Warm up, then send; the times, the ids that were measured, how late the load was, and processor time by event in ms."""
    count = int(rate_per_s * seconds)
    vendors = -(-(count + WARM_UP) // STEPS)
    with Client(stack.ingest_url) as client:
        client.send(preamble(vendors))
    put_subscription(stack.alerts_url, LAB, "bench", rules=["score_drop"], drop_points=0.5)
    ensure_topics(stack.bootstrap_servers, [alerts_topic(LAB)])  # alerts makes it with the first alert; we read from before
    times = Times()
    await_score_of(stack, f"first-{vendors - 1}")
    watchers = Watchers(stack, times, stages=stages)
    time.sleep(1.0)
    documents = load(count + WARM_UP, vendors)
    drive(stack.ingest_url, documents[:WARM_UP], rate_per_s, times)
    spent_s = processor_s(stack)
    late_s = drive(stack.ingest_url, documents[WARM_UP:], rate_per_s, times)
    measured = [document["id"] for document in documents[WARM_UP:]]
    deadline = time.monotonic() + WAIT_FOR_THE_LAST_S
    while time.monotonic() < deadline and not all(i in times.on_topic and i in times.on_stream for i in measured):
        stack.watch()
        time.sleep(0.05)
    spent_ms = {name: 1000.0 * (total - spent_s[name]) / count for name, total in processor_s(stack).items()}
    watchers.close()
    return times, measured, late_s, spent_ms


def processor_s(stack: Stack) -> dict[str, float]:
    """Processor time that each process has taken so far."""
    pids = {
        "this benchmark": os.getpid(),
        "kafka": stack.kafka.pid,
        **{name: found.pid for name, found in stack.services.items()},
    }
    times = {name: psutil.Process(pid).cpu_times() for name, pid in pids.items() if pid is not None}
    return {name: found.user + found.system for name, found in times.items()}


def await_score_of(stack: Stack, event_id: str) -> None:
    """Wait until the preamble is through."""
    seen = threading.Event()

    def take(record: ConsumedRecord) -> None:
        found = parse_assessment(record.value or b"")
        if isinstance(found, Assessment) and any(note.event_id == event_id for note in found.claims):
            seen.set()

    follower = TopicFollower(KafkaReader(stack.bootstrap_servers, (SCORES.name,), client_id="bench-ready"), take, "ready")
    is_through = seen.wait(60.0)
    follower.close()
    if not is_through:
        raise RuntimeError("the vendors were not scored within 60 s")


def row(name: str, starts: dict[str, float], ends: dict[str, float], measured: Sequence[str]) -> tuple[str, float]:
    """One line of the table, and its p99 in ms."""
    values = sorted(
        1000.0 * (ends[identity] - starts[identity]) for identity in measured if identity in ends and identity in starts
    )
    if not values:
        return f"| {name} | 0 | - | - | - | - |", float("inf")

    def quantile(part: float) -> float:
        return values[min(len(values) - 1, int(part * len(values)))]

    p99 = quantile(0.99)
    cells = " | ".join(f"{value:.1f}" for value in (quantile(0.5), quantile(0.95), p99, values[-1]))
    return f"| {name} | {len(values)} | {cells} |", p99


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if no alert is missing and p99 is within the target, else 1."""
    parser = argparse.ArgumentParser(description="Event accepted to alert readable, over the real stack.")
    parser.add_argument("--rate", type=float, default=50.0, help="events per second (50)")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument(
        "--stages", action="store_true", help="also when the score was there; one more reader takes its part of the machine"
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="neutrality-bench-") as folder:
        quiet: list[str] = []
        with Stack(folder=Path(folder), ports=Ports.free(), tell=quiet.append) as stack:
            times, measured, late_s, spent_ms = measure(stack, options.rate, options.seconds, stages=options.stages)
    missing = [identity for identity in measured if identity not in times.on_topic or identity not in times.on_stream]
    table = [
        row("accepted (202) to alert by server-sent events", times.accepted, times.on_stream, measured),
        row("accepted (202) to alert by Kafka", times.accepted, times.on_topic, measured),
        *([row("accepted (202) to score in Kafka", times.accepted, times.scored, measured)] if options.stages else []),
        row("sent to accepted (202)", times.sent, times.accepted, measured),
        row("sent to alert by server-sent events", times.sent, times.on_stream, measured),
        row("sent to alert by Kafka", times.sent, times.on_topic, measured),
    ]
    print(f"{options.rate:g} events/s for {options.seconds:g} s, {platform.machine()}, Python {platform.python_version()}, ms\n")
    print("| from, to | events | p50 | p95 | p99 | max |\n|---|---|---|---|---|---|")
    for line, _ in table:
        print(line)
    print(f"\n{len(missing)} alerts missing; the latest event left {1000 * late_s:.0f} ms late")
    print("processor time per event, ms: " + ", ".join(f"{name} {value:.1f}" for name, value in spent_ms.items()))
    worst = max(p99 for _, p99 in table[:2])
    return 0 if not missing and worst < TARGET_P99_MS else 1


if __name__ == "__main__":
    sys.exit(main())
