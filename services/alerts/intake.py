"""Takes in assessments: decides, and commits the decisions with the offset that they come from in one transaction.

A crash before the commit leaves nothing, and the batch is read again; after it, everything stands. The transaction finds the offsets where the
batch begins, or commits nothing: so no assessment is decided on twice, not by two instances either, and none is skipped. A version that is not
newer than the known one is a repeat and changes nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.broker.port import ConsumedRecord, TopicPartition
from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment, InvalidAssessment, parse_assessment
from neutrality.events.vocabulary import iso
from services.alerts import history, state
from services.alerts.database import Database
from services.alerts.domain.endpoint import Endpoint
from services.alerts.domain.history import Step, step_of
from services.alerts.domain.rules import decide
from services.alerts.domain.subscription import ByVendor, Subscription
from services.alerts.endpoints import store as webhooks
from services.alerts.endpoints.sealing import Sealer
from services.alerts.metrics import AlertsMetrics
from services.alerts.outbox import add_alerts

REMEMBERED_VENDORS: Final = 5_000  # some 10 kB each; beyond that the database is asked

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Intake:
    """Applies batches and changes of what labs wish, one at a time.

    What the database says of vendors is remembered while nobody else takes in their scores: `forget` tells that somebody may have. What it says
    of labs' wishes is remembered under its revision, which every batch looks at.
    """

    def __init__(self, database: Database, metrics: AlertsMetrics, sealer: Sealer, *, clock: Callable[[], datetime]) -> None:
        """Who makes it owns the database."""
        self._database = database
        self._metrics = metrics
        self._sealer = sealer
        self._clock = clock
        self._gate = asyncio.Lock()
        self._revision: int | None = None
        self._subscriptions = ByVendor(())
        self._endpoints: tuple[Endpoint, ...] = ()
        self._known: dict[str, Assessment | None] = {}
        self._references: dict[tuple[str, str, str], float] = {}

    async def put_subscription(self, wanted: Subscription) -> bool:
        """Make or replace a subscription; whether it is new. Only changes after it are told."""
        async with self.changing() as connection:
            return await state.put_subscription(connection, wanted)

    async def delete_subscription(self, lab: str, name: str) -> bool:
        """Remove a subscription; whether there was one."""
        async with self.changing() as connection:
            return await state.delete_subscription(connection, lab, name)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction between the batches of all instances, in which what labs wish may be changed."""
        async with self._database.transaction() as connection:
            await state.change_terms(connection)
            yield connection

    def forget(self) -> None:
        """Another instance may have taken in scores of the same partitions."""
        self._revision = None

    async def apply(self, records: Sequence[ConsumedRecord], since: Mapping[TopicPartition, int]) -> tuple[Alert, ...]:
        """Decide on a batch and commit it; returns the alerts raised. `since`: the stored offsets of its partitions, as they are believed to be.

        Raises:
            OffsetMoved: they are others; nothing was done.
            DatabaseUnavailable: whether it was committed is not known.
        """
        found = [(record, self._read(record)) for record in records]
        offsets: dict[TopicPartition, int] = {(record.topic, record.partition): record.offset + 1 for record in records}
        raised = self._clock()
        raised_at = iso(raised)
        alerts: list[Alert] = []
        changed: dict[str, Assessment] = {}
        steps: list[Step] = []
        moved: dict[tuple[str, str, str], float] = {}
        async with self._gate:
            try:
                async with self._database.transaction() as connection:
                    await self._recall(connection, {item.vendor for _, item in found if item is not None})
                    await state.move_offsets(connection, since, offsets)
                    for _, current in found:
                        if current is None:
                            continue
                        previous = changed.get(current.vendor) or self._known.get(current.vendor)
                        if previous is not None and current.version <= previous.version:
                            continue
                        for subscription in self._subscriptions.of(current.vendor):
                            key = subscription.lab, subscription.name, current.vendor
                            reference = moved.get(key, self._references.get(key))
                            decision = decide(previous, current, subscription, reference, raised_at=raised_at)
                            alerts += decision.alerts
                            if decision.reference != reference:
                                moved[key] = decision.reference
                        changed[current.vendor] = current
                        steps.append(step_of(previous, current, int(raised.timestamp() * 1000)))
                    await state.put_assessments(connection, changed.values())
                    await history.keep(connection, steps)
                    await state.put_references(connection, moved)
                    await add_alerts(connection, alerts)
                    await webhooks.deliver(connection, self._recipients(alerts), int(raised.timestamp() * 1000))
            except BaseException:
                self.forget()
                raise
            self._known.update(changed)
            self._references.update(moved)
        self._metrics.read.inc(len(changed))
        for alert in alerts:
            self._metrics.raised.labels(alert.rule).inc()
        return tuple(alerts)

    def _recipients(self, alerts: Iterable[Alert]) -> Iterator[tuple[Endpoint, Alert]]:
        for alert in alerts:
            for endpoint in self._endpoints:
                if endpoint.lab == alert.lab and endpoint.terms.covers(alert.subscription):
                    yield endpoint, alert

    async def _recall(self, connection: AsyncConnection, vendors: Iterable[str]) -> None:
        """Know what the database says of these vendors and of all wishes."""
        revision = await state.terms_revision(connection)
        if revision != self._revision:
            self._known.clear()
            self._references.clear()
            self._subscriptions = ByVendor(await state.subscriptions_of(connection))
            self._endpoints = await webhooks.endpoints(connection, self._sealer)
            self._revision = revision
        if len(self._known) > REMEMBERED_VENDORS:
            self._known.clear()
            self._references.clear()
        unknown = sorted(vendor for vendor in vendors if vendor not in self._known)
        if unknown:
            self._known |= dict.fromkeys(unknown) | await state.assessments_of(connection, unknown)
            self._references |= await state.references_of(connection, unknown)

    def _read(self, record: ConsumedRecord) -> Assessment | None:
        found = InvalidAssessment("a record without a value") if record.value is None else parse_assessment(record.value)
        if isinstance(found, Assessment):
            return found
        self._metrics.unreadable.inc()
        log.warning("assessment_unreadable", topic=record.topic, partition=record.partition, offset=record.offset)
        return None
