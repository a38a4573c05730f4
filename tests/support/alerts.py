"""The parts of alerts over a real database file and the broker in memory."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path

from cryptography.fernet import Fernet
from prometheus_client import CollectorRegistry

from neutrality.broker.memory import MemoryBroker
from neutrality.broker.port import ConsumedRecord
from neutrality.events.alert import Alert, parse_alert
from neutrality.events.assessment import Assessment, assessment_to_kafka
from neutrality.topics import SCORES, alerts_topic
from services.alerts.channels.email import Mailer, Relay
from services.alerts.channels.senders import Senders
from services.alerts.database import Database
from services.alerts.delivery import Delivery
from services.alerts.endpoints.making import Endpoints
from services.alerts.endpoints.sealing import Sealer
from services.alerts.endpoints.worker import EndpointWorker
from services.alerts.gate import LabGate
from services.alerts.http import Commits
from services.alerts.intake import Intake
from services.alerts.lab_data_http import LabDataApi
from services.alerts.leases import ENDPOINT, TOPIC, Leases
from services.alerts.metrics import AlertsMetrics
from services.alerts.state import assessments_of, offsets_of

NOW = datetime(2025, 6, 12, 12, tzinfo=UTC)
ALLOWED = (ip_network("127.0.0.0/8"),)
RENEW_S = 0.2  # leases last as long as in production: a machine that stands still for a second lets none lapse
SCHEDULE_S = (0.05, 0.05, 0.05)
_offsets = itertools.count()
_instances = itertools.count(1)


def _now() -> datetime:
    return datetime.now(UTC)


class _TopicsThere:
    async def ensure(self, labs: Iterable[str]) -> None:
        """In memory they come by themselves."""

    def forget(self, lab: str) -> None:
        """Nothing is remembered."""


class AlertsParts:
    """One instance over one database."""

    def __init__(self, database: Database, broker: MemoryBroker, instance: str, senders: Senders | None = None) -> None:
        self.database = database
        self.broker = broker
        self.registry = CollectorRegistry()
        self.metrics = AlertsMetrics(self.registry)
        self.commits = Commits()
        self.gates: list[LabGate] = []
        self.removed_topics: list[str] = []
        self.delivery = Delivery(
            database, broker.publisher(), _TopicsThere(), self.metrics, now_ms=lambda: NOW.timestamp() * 1000
        )
        self.sealer = Sealer([Fernet.generate_key().decode()])
        self.senders = senders or senders_to()
        self.worker = EndpointWorker(
            database, self.sealer, self.senders, self.metrics, clock=_now, chance=lambda: 0.5, schedule_s=SCHEDULE_S
        )
        self.clock = NOW  # of decisions; the tests move it
        self.intake = Intake(database, self.metrics, self.sealer, clock=self.now)
        self.leases = Leases(database, instance, {TOPIC: self.delivery, ENDPOINT: self.worker}, clock=_now, renew_s=RENEW_S)
        for listener in (self.commits.hear, self.delivery.hear, self.worker.hear, self.leases.hear):
            database.follow(listener)
        self.lab_data = LabDataApi(database, self.intake, self.removed_topics.append, _now, let_go_s=0.0)
        self.endpoints = Endpoints(database, self.intake, self.sealer, self.worker, self.senders, _now, allow_http=True)

    def now(self) -> datetime:
        return self.clock

    async def at(self, moment: datetime) -> None:
        """It is later, and what was due has been worked off."""
        self.clock = moment
        while await self.intake.work_off_timers([0]):
            pass

    def gate(self, keys: Path | None = None) -> LabGate:
        self.gates.append(LabGate(keys, self.metrics, clock=_now))
        return self.gates[-1]

    async def take_in(self, *found: Assessment) -> tuple[Alert, ...]:
        return await self.apply(records(found))

    async def apply(self, batch: Sequence[ConsumedRecord]) -> tuple[Alert, ...]:
        places = {(record.topic, record.partition) for record in batch}
        known = await self.database.read(offsets_of, places)
        return await self.intake.apply(batch, {place: known.get(place, 0) for place in places})

    async def vendor(self, vendor: str) -> Assessment | None:
        return (await self.database.read(assessments_of, [vendor])).get(vendor)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """It serves its share of endpoints, topics and streams."""
        parts = (self.worker.run(), self.delivery.run(), self.database.listen(), self.leases.run())
        running = [asyncio.create_task(part) for part in parts]
        try:
            yield
        finally:
            for task in reversed(running):  # leases first
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    async def deliver(self) -> None:
        """To the topics of the labs that are this instance's."""
        await self.leases.tick()
        await self.delivery.work_off()

    def received(self, lab: str) -> list[Alert]:
        return [parse_alert(record.value or b"") for record in self.broker.records(alerts_topic(lab).name)]


@asynccontextmanager
async def alerts(url: str, broker: MemoryBroker | None = None, senders: Senders | None = None) -> AsyncIterator[AlertsParts]:
    instance = f"instance-{next(_instances)}"
    database = await Database.open(url, instance)
    try:
        yield AlertsParts(database, broker or MemoryBroker(), instance, senders)
    finally:
        await database.close()


def senders_to(smtp_port: int | None = None, public_url: str | None = None) -> Senders:
    """Webhooks and Apprise's `json` may reach loopback; mail goes to a relay there, if there is one."""
    relay = None if smtp_port is None else Relay("127.0.0.1", smtp_port, "none", "alerts@watch.example", timeout_s=2.0)
    return Senders(
        allowed=ALLOWED,
        webhook_timeout_s=1.0,
        mailer=None if relay is None else Mailer(relay),
        public_url=public_url,
        apprise_schemes=("json", "slack"),
        apprise_timeout_s=2.0,
    )


def records(found: Sequence[Assessment]) -> list[ConsumedRecord]:
    """Assessments as they are read from `neutrality.scores`."""
    made = []
    for item in found:
        headers, value = assessment_to_kafka(item, "2025-06-12T00:00:00Z")
        made.append(ConsumedRecord(SCORES.name, 0, next(_offsets), 0, item.vendor.encode(), value, tuple(headers)))
    return made
