"""Takes in assessments: decides, and commits the decisions with the offset that they come from in one transaction.

A crash before the commit leaves nothing, and the batch is read again; after it, everything stands. So no assessment is decided on twice, and
none is skipped. A version that is not newer than the known one is a repeat and changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.broker.port import ConsumedRecord, TopicPartition
from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment, InvalidAssessment, parse_assessment
from neutrality.events.vocabulary import iso
from services.alerts.database import Database, assessments_of, keep, references_of, subscriptions_of
from services.alerts.domain.endpoint import Endpoint
from services.alerts.domain.rules import decide
from services.alerts.domain.subscription import ByVendor, Subscription
from services.alerts.metrics import AlertsMetrics
from services.alerts.webhooks import store as webhooks
from services.alerts.webhooks.sealing import Sealer

REMEMBERED_VENDORS: Final = 5_000  # some 10 kB each; beyond that the database is asked

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Intake:
    """Applies batches and changes of subscriptions, one at a time. `committed` gets the alerts of each commit that raised any.

    What the database says of vendors and subscriptions is remembered, which is sound because no other instance writes there.
    """

    def __init__(
        self,
        database: Database,
        metrics: AlertsMetrics,
        sealer: Sealer,
        *,
        clock: Callable[[], datetime],
        committed: Callable[[Sequence[Alert]], None],
    ) -> None:
        """Who makes it owns the database."""
        self._database = database
        self._metrics = metrics
        self._sealer = sealer
        self._clock = clock
        self._committed = committed
        self._gate = asyncio.Lock()
        self._subscriptions: ByVendor | None = None
        self._endpoints: tuple[Endpoint, ...] = ()
        self._known: dict[str, Assessment | None] = {}
        self._references: dict[tuple[str, str, str], float] = {}

    async def put_subscription(self, wanted: Subscription) -> bool:
        """Make or replace a subscription; whether it is new. Only changes after it are told."""
        async with self._gate:
            self._forget()
            return await self._database.put_subscription(wanted)

    async def delete_subscription(self, lab: str, name: str) -> bool:
        """Remove a subscription; whether there was one."""
        async with self._gate:
            self._forget()
            return await self._database.delete_subscription(lab, name)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction between two batches, in which endpoints may be changed."""
        async with self._gate:
            self._forget()
            async with self._database.transaction() as connection:
                yield connection

    async def apply(self, records: Sequence[ConsumedRecord]) -> tuple[Alert, ...]:
        """Decide on a batch and commit it; returns the alerts raised."""
        found = [(record, self._read(record)) for record in records]
        offsets: dict[TopicPartition, int] = {(record.topic, record.partition): record.offset + 1 for record in records}
        raised = self._clock()
        raised_at = iso(raised)
        alerts: list[Alert] = []
        changed: dict[str, Assessment] = {}
        moved: dict[tuple[str, str, str], float] = {}
        async with self._gate:
            async with self._database.transaction() as connection:
                subscriptions = await self._recall(connection, {item.vendor for _, item in found if item is not None})
                for _, current in found:
                    if current is None:
                        continue
                    previous = changed.get(current.vendor) or self._known.get(current.vendor)
                    if previous is not None and current.version <= previous.version:
                        continue
                    for subscription in subscriptions.of(current.vendor):
                        key = subscription.lab, subscription.name, current.vendor
                        reference = moved.get(key, self._references.get(key))
                        decision = decide(previous, current, subscription, reference, raised_at=raised_at)
                        alerts += decision.alerts
                        if decision.reference != reference:
                            moved[key] = decision.reference
                    changed[current.vendor] = current
                await keep(connection, assessments=changed, references=moved, alerts=alerts, offsets=offsets)
                await webhooks.deliver(connection, self._recipients(alerts), int(raised.timestamp() * 1000))
            self._known.update(changed)
            self._references.update(moved)
        self._metrics.read.inc(len(changed))
        for alert in alerts:
            self._metrics.raised.labels(alert.rule).inc()
        if alerts:
            self._committed(alerts)
        return tuple(alerts)

    def _recipients(self, alerts: Iterable[Alert]) -> Iterator[tuple[Endpoint, Alert]]:
        for alert in alerts:
            for endpoint in self._endpoints:
                if endpoint.lab == alert.lab and endpoint.terms.covers(alert.subscription):
                    yield endpoint, alert

    async def _recall(self, connection: AsyncConnection, vendors: Iterable[str]) -> ByVendor:
        """Know what the database says of these vendors; returns all subscriptions."""
        if self._subscriptions is None:
            self._subscriptions = ByVendor(await subscriptions_of(connection))
            self._endpoints = await webhooks.endpoints(connection, self._sealer)
        if len(self._known) > REMEMBERED_VENDORS:
            self._known.clear()
            self._references.clear()
        unknown = sorted(vendor for vendor in vendors if vendor not in self._known)
        if unknown:
            self._known |= dict.fromkeys(unknown) | await assessments_of(connection, unknown)
            self._references |= await references_of(connection, unknown)
        return self._subscriptions

    def _forget(self) -> None:
        self._subscriptions = None
        self._known.clear()
        self._references.clear()

    def _read(self, record: ConsumedRecord) -> Assessment | None:
        found = InvalidAssessment("a record without a value") if record.value is None else parse_assessment(record.value)
        if isinstance(found, Assessment):
            return found
        self._metrics.unreadable.inc()
        log.warning("assessment_unreadable", topic=record.topic, partition=record.partition, offset=record.offset)
        return None
