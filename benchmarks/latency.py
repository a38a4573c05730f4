"""How long from an accepted event to an alert that a subscriber can read: `python -m benchmarks.latency` (`make bench-latency`).

The real stack in a folder of its own: Kafka, ingest, scoring and alerts as processes on this machine; the load, the subscriber by server-sent
events and the Kafka consumers run here, and take their part of the processor. The load is an open loop: events leave on schedule, whether
earlier ones were answered or not.

Every measured event must cause exactly one alert: a rival's share in a vendor rises by 4 % of the equity each time, so that the vendor's score
falls, and the lab subscribes to falls alone. Events and alerts are matched by `cause.event_id`. Times are of one clock on one machine.
"""

import argparse
import asyncio
import platform
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import httpx

from neutrality.broker.kafka import KafkaReader, ensure_topics
from neutrality.broker.port import ConsumedRecord
from neutrality.cli.intake import Intake
from neutrality.cli.score_log import TopicFollower
from neutrality.cli.stack import Ports, Stack
from neutrality.cli.subscriptions import put_subscription, stream_alerts
from neutrality.events.alert import parse_alert
from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.topics import SCORES, alerts_topic

LAB: Final = "bench-lab"
RIVAL: Final = "bench-rival"
STEPS: Final = 20  # a vendor's shares: 4 %, 8 %, ... 80 %
STRUCTURED: Final = {"content-type": "application/cloudevents+json"}
WAIT_FOR_THE_LAST_S: Final = 30.0
WARM_UP: Final = 100
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
        stake(f"event-{number}", number + 1, number % vendors, round(0.04 * (number // vendors + 1), 4))
        for number in range(count)
    ]


async def drive(url: str, documents: Sequence[dict[str, Any]], rate_per_s: float, times: Times) -> float:
    """Send on schedule; how late the last event left, in seconds, which tells whether the load kept its pace."""
    late_s = 0.0
    async with httpx.AsyncClient(timeout=30.0, limits=httpx.Limits(max_connections=64)) as client, asyncio.TaskGroup() as group:

        async def send(document: dict[str, Any]) -> None:
            identity = document["id"]
            times.sent[identity] = time.monotonic()
            response = await client.post(f"{url}/events", json=document, headers=STRUCTURED)
            times.accepted[identity] = time.monotonic()
            if response.status_code != httpx.codes.ACCEPTED:
                raise RuntimeError(f"ingest answered {response.status_code}: {response.text}")

        start_s = time.monotonic()
        for number, document in enumerate(documents):
            due_s = start_s + number / rate_per_s
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            late_s = time.monotonic() - due_s
            group.create_task(send(document))
    return late_s


def note_first(book: dict[str, float], cause_id: str | None) -> None:
    """Keep when an event's effect was first seen."""
    if cause_id is not None:
        book.setdefault(cause_id, time.monotonic())


class Watchers:
    """Readers of scores, of the lab's topic and of its stream."""

    def __init__(self, stack: Stack, times: Times) -> None:
        self._times = times
        self._stopped = threading.Event()
        self._stack = stack
        self._followers = (
            self._follow(SCORES.name, self._take_score),
            self._follow(alerts_topic(LAB).name, self._take_alert),
        )
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


def measure(stack: Stack, rate_per_s: float, seconds: float) -> tuple[Times, list[str], float]:
    """Warm up, then send; the times, the ids that were measured, and how late the load ended."""
    count = int(rate_per_s * seconds)
    vendors = -(-(count + WARM_UP) // STEPS)
    with Intake(stack.ingest_url) as intake:
        intake.send(preamble(vendors))
    put_subscription(stack.alerts_url, LAB, "bench", rules=["score_drop"], drop_points=0.5)
    ensure_topics(stack.bootstrap_servers, [alerts_topic(LAB)])  # alerts makes it with the first alert; we read from before
    times = Times()
    await_score_of(stack, f"first-{vendors - 1}")
    watchers = Watchers(stack, times)
    time.sleep(1.0)
    documents = load(count + WARM_UP, vendors)
    asyncio.run(drive(stack.ingest_url, documents[:WARM_UP], rate_per_s, times))
    late_s = asyncio.run(drive(stack.ingest_url, documents[WARM_UP:], rate_per_s, times))
    measured = [document["id"] for document in documents[WARM_UP:]]
    deadline = time.monotonic() + WAIT_FOR_THE_LAST_S
    while time.monotonic() < deadline and not all(i in times.on_topic and i in times.on_stream for i in measured):
        stack.watch()
        time.sleep(0.05)
    watchers.close()
    return times, measured, late_s


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
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="neutrality-bench-") as folder:
        quiet: list[str] = []
        with Stack(folder=Path(folder), ports=Ports.free(), tell=quiet.append) as stack:
            times, measured, late_s = measure(stack, options.rate, options.seconds)
    missing = [identity for identity in measured if identity not in times.on_topic or identity not in times.on_stream]
    table = [
        row("accepted (202) to alert by server-sent events", times.accepted, times.on_stream, measured),
        row("accepted (202) to alert by Kafka", times.accepted, times.on_topic, measured),
        row("accepted (202) to score in Kafka", times.accepted, times.scored, measured),
        row("sent to accepted (202)", times.sent, times.accepted, measured),
        row("sent to alert by server-sent events", times.sent, times.on_stream, measured),
        row("sent to alert by Kafka", times.sent, times.on_topic, measured),
    ]
    print(f"{options.rate:g} events/s for {options.seconds:g} s, {platform.machine()}, Python {platform.python_version()}, ms\n")
    print("| from, to | events | p50 | p95 | p99 | max |\n|---|---|---|---|---|---|")
    for line, _ in table:
        print(line)
    print(f"\n{len(missing)} alerts missing; the last event left {1000 * late_s:.0f} ms late")
    worst = max(p99 for _, p99 in table[:2])
    return 0 if not missing and worst < TARGET_P99_MS else 1


if __name__ == "__main__":
    sys.exit(main())
