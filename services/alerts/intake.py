"""Takes in assessments: decides, and commits the decisions with the offset that they come from in one transaction.

A crash before the commit leaves nothing, and the batch is read again; after it, everything stands. So no assessment is decided on twice, and
none is skipped. A version that is not newer than the known one is a repeat and changes nothing.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from neutrality.broker.port import ConsumedRecord, TopicPartition
from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment, InvalidAssessment, parse_assessment
from neutrality.events.vocabulary import iso
from services.alerts.database import Database, assessments_of, keep, references_of, subscriptions_of
from services.alerts.domain.rules import decide
from services.alerts.metrics import AlertsMetrics

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Intake:
    """Applies batches, one at a time. `committed` is called after each commit that raised alerts."""

    def __init__(
        self, database: Database, metrics: AlertsMetrics, *, clock: Callable[[], datetime], committed: Callable[[], None]
    ) -> None:
        """Who makes it owns the database."""
        self._database = database
        self._metrics = metrics
        self._clock = clock
        self._committed = committed

    async def apply(self, records: Sequence[ConsumedRecord]) -> tuple[Alert, ...]:
        """Decide on a batch and commit it; returns the alerts raised."""
        found = [(record, self._read(record)) for record in records]
        offsets: dict[TopicPartition, int] = {(record.topic, record.partition): record.offset + 1 for record in records}
        raised_at = iso(self._clock())
        alerts: list[Alert] = []
        async with self._database.transaction() as connection:
            vendors = sorted({assessment.vendor for _, assessment in found if assessment is not None})
            known = await assessments_of(connection, vendors)
            references = await references_of(connection, vendors)
            subscriptions = await subscriptions_of(connection)
            changed: dict[str, Assessment] = {}
            moved: dict[tuple[str, str, str], float] = {}
            for _, current in found:
                if current is None or (current.vendor in known and current.version <= known[current.vendor].version):
                    continue
                previous = known.get(current.vendor)
                for subscription in subscriptions:
                    if not subscription.covers(current.vendor):
                        continue
                    key = subscription.lab, subscription.name, current.vendor
                    decision = decide(previous, current, subscription, references.get(key), raised_at=raised_at)
                    alerts += decision.alerts
                    references[key] = moved[key] = decision.reference
                known[current.vendor] = changed[current.vendor] = current
            await keep(connection, assessments=changed, references=moved, alerts=alerts, offsets=offsets)
        self._metrics.read.inc(len(changed))
        for alert in alerts:
            self._metrics.raised.labels(alert.rule).inc()
        if alerts:
            self._committed()
        return tuple(alerts)

    def _read(self, record: ConsumedRecord) -> Assessment | None:
        found = InvalidAssessment("a record without a value") if record.value is None else parse_assessment(record.value)
        if isinstance(found, Assessment):
            return found
        self._metrics.unreadable.inc()
        log.warning("assessment_unreadable", topic=record.topic, partition=record.partition, offset=record.offset)
        return None
