"""One trial: score changes at a steady rate, subscriptions of many labs, endpoints of all kinds, kills of the service, and the verdict.

What must arrive is known beforehand: every so many versions a vendor's grade changes, and each subscription to it is told once.
"""

import asyncio
import contextlib
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, Self

import httpx
import psutil
from cryptography.fernet import Fernet
from testcontainers.community.postgres import PostgresContainer

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.embedded.ports import pick_free_port
from neutrality.broker.kafka import KafkaPublisher, KafkaReader, ensure_topics
from neutrality.broker.port import OutgoingRecord
from neutrality.events.alert import alert_id, parse_alert
from neutrality.events.assessment import Assessment, Cause, Score, assessment_to_kafka
from neutrality.topics import SCORES, alerts_topic
from tests.support.databases import IMAGE
from tests.support.ingest import answers, wait_for
from tests.support.receiver import OK, Answer, Received, garbage, message, receiver

REGRADED_EVERY: Final = 20  # versions
VENDORS_OF_A_SUBSCRIPTION: Final = 10
PATIENCE_S: Final = 120.0
KAFKA_PATIENCE_S: Final = 30.0
SLOW_S: Final = 5.0
LONGEST_P99_S: Final = 1.0
JUDGED_AFTER_S: Final = 120.0


@dataclass(frozen=True)
class Plan:
    """What is done: at `rate` changes a second for `seconds`, with so many kills spread over the time."""

    kills: int
    seed: int = 1
    labs: int = 50
    subscriptions: int = 1000
    vendors: int = 500
    rate: int = 200
    seconds: float = 300.0
    database: Literal["sqlite", "postgresql"] = "sqlite"
    instances: int = 1


@dataclass
class Outcome:
    """One row. Latencies from the score's record to the webhook, in seconds; memory of all instances in MiB."""

    plan: Plan
    expected: int
    missing: int = 0
    missing_on_kafka: int = 0
    repeated: int = 0
    repeated_on_kafka: int = 0
    out_of_order: int = 0
    strange: int = 0
    p50_s: float = 0.0
    p99_s: float = 0.0
    longest_s: float = 0.0
    rss_early_mib: float = 0.0
    rss_late_mib: float = 0.0
    seconds: float = 0.0

    @property
    def failures(self) -> tuple[str, ...]:
        """What is not as promised. Repeats and latencies are judged where nothing is killed, memory where there is time for it to grow."""
        wrong = {
            "missing at webhooks": self.missing,
            "missing on Kafka": self.missing_on_kafka,
            "out of order": self.out_of_order,
            "not expected": self.strange,
            "repeated without a kill": 0 if self.plan.kills else self.repeated + self.repeated_on_kafka,
            "ms at p99": 0 if self.plan.kills or self.p99_s < LONGEST_P99_S else round(self.p99_s * 1000),
            "MiB grown": 0 if self.plan.seconds < JUDGED_AFTER_S else max(0, round(self.rss_late_mib - self._most_mib)),
        }
        return tuple(f"{count} {what}" for what, count in wrong.items() if count)

    @property
    def _most_mib(self) -> float:
        """What memory may come to: caches are warm by the early measurement, all but a little."""
        return 1.15 * self.rss_early_mib + 10.0 * self.plan.instances


@dataclass
class Market:
    """Who watches what, and when grades change."""

    plan: Plan
    watched: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        draw = random.Random(self.plan.seed)
        vendors = [self.vendor(number) for number in range(self.plan.vendors)]
        for number in range(self.plan.subscriptions):
            key = f"lab-{number % self.plan.labs}", f"s{number // self.plan.labs}"
            self.watched[key] = tuple(draw.sample(vendors, min(VENDORS_OF_A_SUBSCRIPTION, len(vendors))))

    def vendor(self, number: int) -> str:
        return f"vendor-{number}"

    def grade(self, number: int, version: int) -> Any:
        """Changes every so many versions, at another one for each vendor."""
        return ("N1", "N2")[(version + number) // REGRADED_EVERY % 2]

    def assessment(self, number: int, version: int) -> Assessment:
        points = 90.0 - version % 7
        graded = Score(points, points, points, points, self.grade(number, version), "stable")
        accepted_ms = int(time.time() * 1000)
        vendor = self.vendor(number)
        cause = Cause("urn:test:alerts-trials", f"{vendor}-{version}", "neutrality.ownership", 0, version, accepted_ms)
        return Assessment(vendor, vendor, version, "2026.1", graded, {}, {}, (), (), {}, (), cause=cause)

    def expected(self, versions: dict[int, int]) -> dict[str, set[str]]:
        """The ids of a lab's alerts, once every vendor has reached its version."""
        watchers: dict[str, list[tuple[str, str]]] = {}
        for key, vendors in self.watched.items():
            for vendor in vendors:
                watchers.setdefault(vendor, []).append(key)
        found: dict[str, set[str]] = {lab: set() for lab, _ in self.watched}
        for number, last in versions.items():
            vendor = self.vendor(number)
            for version in range(2, last + 1):
                if self.grade(number, version) != self.grade(number, version - 1):
                    for lab, name in watchers.get(vendor, ()):
                        found[lab].add(alert_id(lab, name, "grade", vendor, version))
        return found


class Receivers:
    """Endpoints in a loop of their own: healthy for every lab; slow and garbage; and a port that nobody listens on."""

    def __init__(self) -> None:
        self.received: list[tuple[str, str, str, str, int, float]] = []  # lab, id, subscription, vendor, version, latency
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)
        self.urls: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10.0)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10.0)
        self._loop.close()

    async def _run(self) -> None:
        async def slow(one: Received, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(SLOW_S)
            await OK(one, writer)

        healthy: Answer = self._take
        async with receiver(then=healthy) as good, receiver(then=slow) as late, receiver(then=garbage) as bad:
            self.urls = {
                "healthy": good.url,
                "slow": late.url,
                "garbage": bad.url,
                "dead": f"http://127.0.0.1:{pick_free_port()}/",
            }
            self._ready.set()
            await self._stop.wait()

    async def _take(self, one: Received, writer: asyncio.StreamWriter) -> None:
        await OK(one, writer)
        told = message(one)["data"]
        latency_s = time.time() - told["cause"]["accepted_ms"] / 1000.0
        lab = one.path.rsplit("/", 1)[-1]
        self.received.append((lab, one.id, told["subscription"], told["vendor"], told["version"], latency_s))


def run_trial(plan: Plan, folder: Path) -> Outcome:
    """From a fresh broker to the verdict."""
    folder.mkdir(parents=True, exist_ok=True)
    began_s, market = time.monotonic(), Market(plan)
    with EmbeddedKafka(data_dir=folder / "kafka", port=0) as broker, Receivers() as receivers, contextlib.ExitStack() as stack:
        ensure_topics(broker.bootstrap_servers, [SCORES])
        keys = folder / "alerts.key"
        keys.write_bytes(Fernet.generate_key())
        settings = {
            "ALERTS_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "ALERTS_DATABASE_URL": stack.enter_context(_database(plan, folder)),
            "ALERTS_SECRETS_KEY_FILE": str(keys),
            "ALERTS_WEBHOOK_ALLOW_HTTP": "true",
            "ALERTS_WEBHOOK_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
        }
        services = [Service(settings, folder / f"alerts-{number}.log") for number in range(plan.instances)]
        for service in services:
            stack.callback(service.kill)
        with httpx.Client(base_url=services[0].url, trust_env=False, timeout=30) as client:
            for service in services:
                wait_for(partial(answers, client, f"{service.url}/health/ready"), 60)
            _subscribe(client, market, receivers.urls)
            versions = _load(plan, market, broker.bootstrap_servers, services)
            expected = market.expected(versions)
            count = sum(map(len, expected.values()))
            outcome = Outcome(plan, count, rss_early_mib=sum(service.early_mib for service in services))
            until_s = time.monotonic() + PATIENCE_S
            while len({identity for _, identity, *_ in receivers.received}) < count and time.monotonic() < until_s:
                time.sleep(0.2)
            time.sleep(1.0)  # what is too much would come now
            outcome.rss_late_mib = sum(service.rss_mib() for service in services)
        _judge(outcome, receivers.received, expected, broker.bootstrap_servers)
    outcome.seconds = time.monotonic() - began_s
    return outcome


@contextlib.contextmanager
def _database(plan: Plan, folder: Path) -> Iterator[str]:
    """Its URL."""
    if plan.database == "sqlite":
        yield f"sqlite+aiosqlite:///{folder / 'alerts.db'}"
        return
    with PostgresContainer(IMAGE, driver="asyncpg").with_bind_ports(5432, pick_free_port()) as server:
        yield server.get_connection_url()


class Service:
    """An instance of alerts; `kill` is SIGKILL."""

    def __init__(self, settings: dict[str, str], log: Path) -> None:
        port = pick_free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._settings, self._log = settings | {"ALERTS_PORT": str(port)}, log
        self.early_mib = 0.0
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            environment = {**os.environ, **self._settings}
            self._process = subprocess.Popen([sys.executable, "-m", "services.alerts"], env=environment, stdout=log, stderr=log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def rss_mib(self) -> float:
        return float(psutil.Process(self._process.pid).memory_info().rss) / 2**20


def _subscribe(client: httpx.Client, market: Market, urls: dict[str, str]) -> None:
    for (lab, name), vendors in market.watched.items():
        terms = {"vendors": vendors, "rules": ["grade"]}
        client.put(f"/labs/{lab}/subscriptions/{name}", json=terms).raise_for_status()
    for number, lab in enumerate(sorted({lab for lab, _ in market.watched})):
        kinds = ["healthy", *(["dead", "slow", "garbage"] if number == 0 else [])]
        for kind in kinds:
            url = urls[kind] + (f"/{lab}" if kind == "healthy" else "")
            client.put(f"/labs/{lab}/endpoints/{kind}", json={"url": url}).raise_for_status()


def _load(plan: Plan, market: Market, bootstrap_servers: str, services: Sequence[Service]) -> dict[int, int]:
    """Send the changes, and kill the instances in turn on the way; the last version of each vendor."""

    async def run() -> dict[int, int]:
        publisher = KafkaPublisher(bootstrap_servers, client_id="alerts-trials", deadline=timedelta(seconds=30))
        versions: dict[int, int] = {}
        began_s, total = time.monotonic(), int(plan.rate * plan.seconds)
        kills = [total * (number + 1) // (plan.kills + 1) for number in range(plan.kills)]
        sending: set[asyncio.Task[Any]] = set()
        for number in range(total):
            await asyncio.sleep(max(0.0, began_s + number / plan.rate - time.monotonic()))
            vendor = number % plan.vendors
            versions[vendor] = versions.get(vendor, 0) + 1
            found = market.assessment(vendor, versions[vendor])
            headers, value = assessment_to_kafka(found, datetime.now(UTC).isoformat())
            record = OutgoingRecord(SCORES.name, found.vendor.encode(), value, tuple(headers))
            task = asyncio.create_task(publisher.publish(record))
            sending.add(task)
            task.add_done_callback(sending.discard)
            if number == total // 5:
                for service in services:
                    service.early_mib = service.rss_mib()
            if number in kills:
                service = services[kills.index(number) % len(services)]
                service.kill()
                service.start()
        await asyncio.gather(*sending)
        await publisher.close()
        return versions

    return asyncio.run(run())


def _judge(
    outcome: Outcome,
    received: Sequence[tuple[str, str, str, str, int, float]],
    expected: dict[str, set[str]],
    bootstrap_servers: str,
) -> None:
    everything = set().union(*expected.values())
    seen = Counter(identity for _, identity, *_ in received)
    outcome.missing = len(everything - seen.keys())
    outcome.repeated = seen.total() - len(seen)
    outcome.strange = sum(identity not in expected.get(lab, ()) for lab, identity, *_ in received)
    newest: dict[tuple[str, str, str], int] = {}
    first: set[str] = set()
    for lab, identity, subscription, vendor, version, _ in received:
        if identity not in first:
            first.add(identity)
            key = lab, subscription, vendor
            outcome.out_of_order += version < newest.get(key, 0)
            newest[key] = version
    latencies = sorted(latency for *_, latency in received)
    if latencies:
        outcome.p50_s, outcome.p99_s = latencies[len(latencies) // 2], latencies[len(latencies) * 99 // 100]
        outcome.longest_s = latencies[-1]
    until_s = time.monotonic() + KAFKA_PATIENCE_S
    while True:
        on_kafka = Counter(identity for lab in expected for identity in _ids_on_kafka(bootstrap_servers, lab))
        outcome.missing_on_kafka = len(everything - on_kafka.keys())
        outcome.repeated_on_kafka = on_kafka.total() - len(on_kafka)
        if not outcome.missing_on_kafka or time.monotonic() > until_s:
            return


def _ids_on_kafka(bootstrap_servers: str, lab: str) -> Iterator[str]:
    topic = alerts_topic(lab)
    ensure_topics(bootstrap_servers, [topic])
    reader = KafkaReader(bootstrap_servers, [topic.name], client_id="alerts-trials")
    left = sum(reader.end_offsets().values())
    while left > 0:
        for record in reader.poll(timedelta(milliseconds=500)):
            left -= 1
            yield parse_alert(record.value or b"").id
    reader.close()
