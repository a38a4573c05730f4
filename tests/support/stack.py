"""The real product for the end-to-end tests: Kafka and the three services as processes, one stack a session.

Tests keep apart by worlds: the same facts about entities of other names (`World`). Scoring's clock starts half a day after the scenario's last row.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from neutrality.broker.kafka import KafkaReader
from neutrality.cli.alert_stream import put_subscription, stream_alerts
from neutrality.cli.score_log import keep_newest, read_to_end
from neutrality.cli.stack import Ports, Stack
from neutrality.cli.supervisor import Backoff
from neutrality.client import Client
from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment
from neutrality.events.cloudevent import Event, event_from_document
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.topics import SCORES
from tests.support.background import Background
from tests.support.mailbox import Mailbox, mailbox

CLOCK = datetime(2025, 6, 13, 12, tzinfo=UTC)
PATIENCE_S = 45.0
ENTITY_FIELDS = ("subject", "interested_party", "person", "left_for", "represents", "customer", "group")


def settings_for(post: Mailbox) -> dict[str, str]:
    """Mail goes to this server, and webhooks may come to this machine."""
    return {
        "ALERTS_SMTP_HOST": "127.0.0.1",
        "ALERTS_SMTP_PORT": str(post.port),
        "ALERTS_SMTP_SECURITY": "none",
        "ALERTS_SMTP_SENDER": "alerts@watch.example",
        "ALERTS_WEBHOOK_ALLOW_HTTP": "true",
        "ALERTS_WEBHOOK_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    }


@pytest.fixture(scope="session")
def post() -> Iterator[Mailbox]:
    """The SMTP server that the stack hands its mail to."""
    with Background() as servers:
        yield servers.enter(mailbox())


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, post: Mailbox) -> Iterator[Stack]:
    """All of it, up and ready."""
    told: list[str] = []
    running = Stack(
        folder=tmp_path_factory.mktemp("stack"),
        ports=Ports.free(),
        tell=told.append,
        clock_starts_at=CLOCK,
        settings=settings_for(post),
        backoff=Backoff(first_pause_s=0.2, attempts=20),
    )
    with running:
        yield running


@dataclass(frozen=True)
class World:
    """Renames every entity and event of some facts, so that they are about others."""

    prefix: str

    def entity(self, name: str) -> str:
        return f"{self.prefix}-{name}"

    def document(self, document: Mapping[str, Any]) -> dict[str, Any]:
        data = {key: self.entity(value) if key in ENTITY_FIELDS else value for key, value in document["data"].items()}
        renamed = {**document, "id": f"{self.prefix}/{document['id']}", "data": data}
        if "subject" in document:
            renamed["subject"] = data["subject"]
        return renamed

    def documents(self, documents: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [self.document(document) for document in documents]


class Scores:
    """The newest assessments, read from Kafka as a subscriber does."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._reader = KafkaReader(stack.bootstrap_servers, (SCORES.name,), client_id="test-scores")
        self.newest: dict[str, Assessment] = read_to_end(self._reader)

    def close(self) -> None:
        self._reader.close()

    def wait_for(self, vendor: str, what: Callable[[Assessment], bool], patience_s: float = PATIENCE_S) -> Assessment:
        """The first assessment of the vendor that is as wanted; fails with the newest one if none is in time."""
        deadline = time.monotonic() + patience_s
        while True:
            known = self.newest.get(vendor)
            if known is not None and what(known):
                return known
            if time.monotonic() > deadline:
                raise AssertionError(f"{vendor} did not become as wanted; the newest is {known}")
            self._stack.watch()
            for record in self._reader.poll(timedelta(milliseconds=50)):
                keep_newest(self.newest, record)


@pytest.fixture
def scores(stack: Stack) -> Iterator[Scores]:
    reader = Scores(stack)
    yield reader
    reader.close()


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    with Client(stack.ingest_url) as client:
        yield client


@dataclass
class Subscriber:
    """A lab that is subscribed (to some vendors, or all) and listens by server-sent events; de-duplicates by id."""

    stack: Stack
    lab: str
    vendors: Sequence[str] = ()
    alerts: list[Alert] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        put_subscription(self.stack.alerts_url, self.lab, "test", vendors=self.vendors)
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self._stopped.set()

    def wait_for(self, what: Callable[[Alert], bool], patience_s: float = PATIENCE_S) -> Alert:
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            for alert in list(self.alerts):
                if what(alert):
                    return alert
            self.stack.watch()
            time.sleep(0.02)
        raise AssertionError(f"{self.lab} did not get it; it got {[(a.rule, a.title) for a in self.alerts]}")

    def _listen(self) -> None:
        stream = stream_alerts(
            self.stack.alerts_url, self.lab, after=None, stopped=self._stopped.is_set, noticed=self.notices.append
        )
        for alert in stream:
            self.alerts.append(alert)
            if self._stopped.is_set():
                return


def in_process(documents: Iterable[Mapping[str, Any]]) -> dict[str, Assessment]:
    """What the undisturbed in-process runner makes of the same events."""
    runner = LocalRunner(load_methodology(), CLOCK)
    events: list[Event] = [event_from_document(dict(document)) for document in documents]
    runner.apply(events)
    return runner.assessments


def substance(assessment: Assessment) -> tuple[object, ...]:
    """All of an assessment but how it came about: version and cause."""
    return (
        assessment.headline,
        assessment.labs,
        assessment.excluded,
        assessment.confirmed,
        assessment.projected,
        assessment.coverage,
        assessment.claims,
        assessment.flags,
    )
