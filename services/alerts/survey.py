"""What is measured by looking every few seconds rather than counted: the outbox's age, the lag, and the scores that are shown to operators.

All of it is asked of the database and of Kafka, so every instance tells the same, and a restart forgets nothing. Which vendors are shown follows from
public claims alone (those whose score has changed most often): choosing them by subscriptions would tell whom a lab watches.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Final

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import column, select, table
from sqlalchemy.exc import SQLAlchemyError

from neutrality.broker.port import BrokerError, RecordReader
from neutrality.events.assessment import Assessment, Attribution, attribute
from services.alerts import outbox
from services.alerts.database import Database, DatabaseUnavailable
from services.alerts.metrics import AlertsMetrics
from services.alerts.state import assessments_of, offsets_of
from services.alerts.tables import VENDORS

LOOK_S: Final = 5.0
MAX_VIEWS: Final = 50  # labs with a score of their own, of one vendor
HEADLINE: Final = "headline"

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class ShownScores(Collector):
    """The last assessments of some vendors as metrics; `shown` is replaced as a whole. A vendor of which nothing is known has no score."""

    LABELS: Final = {
        "neutrality_score": ("vendor", "view"),
        "neutrality_projected_score": ("vendor", "view"),
        "neutrality_influence_points": ("vendor", "lab", "channel"),
        "neutrality_score_moved_timestamp_seconds": ("vendor", "claim", "summary"),
    }

    def __init__(self, registry: CollectorRegistry) -> None:
        """Nothing is shown yet."""
        self.shown: Sequence[Assessment] = ()
        registry.register(self)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """See Collector."""
        confirmed = self._family(
            "neutrality_score", "Confirmed score of a vendor towards a lab, or towards one without ties (view headline)."
        )
        projected = self._family("neutrality_projected_score", "The same with what is announced or rumoured.")
        influence = self._family(
            "neutrality_influence_points", "Points of the headline score that a lab's influence takes through a channel."
        )
        moved = self._family(
            "neutrality_score_moved_timestamp_seconds",
            "When Kafka took the event that moved a vendor's score last, and the claim behind most of that.",
        )
        for found in self.shown:
            for view, score in [(HEADLINE, found.headline), *sorted(found.labs.items())[:MAX_VIEWS]]:
                confirmed.add_metric((found.vendor, view), score.confirmed)
                projected.add_metric((found.vendor, view), score.projected)
            for (lab, channel), points in points_by_channel(attribute(found, None)).items():
                influence.add_metric((found.vendor, lab, channel), points)
            if found.cause is not None:
                claim, summary = moved_by(found)
                moved.add_metric((found.vendor, claim, summary), found.cause.accepted_ms / 1000)
        return iter((confirmed, projected, influence, moved))

    def _family(self, name: str, documentation: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, documentation, labels=self.LABELS[name])


def points_by_channel(rows: Sequence[Attribution]) -> dict[tuple[str, str], float]:
    """Points by (lab, channel)."""
    found: dict[tuple[str, str], float] = {}
    for row in rows:
        found[row.lab, row.channel] = found.get((row.lab, row.channel), 0.0) + row.points
    return found


def moved_by(current: Assessment) -> tuple[str, str]:
    """The claim whose points changed most since the version before, and what it says; the event's id if none did."""
    after = _points_by_claim(attribute(current, None))
    before = {} if current.before is None else _points_by_claim(attribute(current.before, None))
    moved = {claim: abs(after.get(claim, 0.0) - before.get(claim, 0.0)) for claim in after.keys() | before.keys()}
    claim = max(moved, key=lambda claim: (moved[claim], claim), default="")
    if not moved.get(claim):
        claim = "" if current.cause is None else current.cause.event_id
    note = current.claim(claim)
    return claim, claim if note is None else note.summary


def _points_by_claim(rows: Sequence[Attribution]) -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows:
        found[row.claim_id] = found.get(row.claim_id, 0.0) + row.points
    return found


class Survey:
    """Looks every `LOOK_S` seconds. What fails is told and tried again: nothing depends on it but what operators see."""

    def __init__(
        self,
        database: Database,
        metrics: AlertsMetrics,
        scores: ShownScores,
        *,
        open_reader: Callable[[], RecordReader],
        shown: int,
        clock: Callable[[], datetime],
    ) -> None:
        """`open_reader` reads neutrality.scores; it blocks and may raise BrokerError. `shown`: how many vendors' scores."""
        self._database, self._metrics, self._scores = database, metrics, scores
        self._open_reader, self._shown, self._clock = open_reader, shown, clock
        self._reader: RecordReader | None = None

    async def run(self) -> None:
        """For ever."""
        try:
            while True:
                await self.look()
                await asyncio.sleep(LOOK_S)
        finally:
            self._let_go()

    async def look(self) -> None:
        """Once."""
        try:
            await self._look_at_schema()
            await self._look_at_outbox()
            await self._look_at_scores()
            await self._look_at_lag()
        except BrokerError as error:
            self._let_go()
            self._metrics.broker_errors.inc()
            log.warning("survey_postponed", error=str(error))
        except (DatabaseUnavailable, SQLAlchemyError) as error:
            log.warning("survey_postponed", error=type(error).__name__)

    async def _look_at_schema(self) -> None:
        async with self._database.reading() as connection:
            found = (await connection.execute(select(column("version_num")).select_from(table("alembic_version")))).scalar()
        self._metrics.database_revision.clear()
        self._metrics.database_revision.labels(found or "unknown").set(1)

    async def _look_at_outbox(self) -> None:
        oldest = await self._database.read(outbox.oldest_undelivered)
        age_s = 0.0 if oldest is None else (self._clock() - datetime.fromisoformat(oldest.raised_at)).total_seconds()
        self._metrics.outbox_oldest.set(max(0.0, age_s))

    async def _look_at_scores(self) -> None:
        async with self._database.reading() as connection:
            most = select(VENDORS.c.vendor).order_by(VENDORS.c.version.desc(), VENDORS.c.vendor).limit(self._shown)
            vendors = (await connection.execute(most)).scalars().all()
            found = await assessments_of(connection, vendors)
        self._scores.shown = tuple(item for _, item in sorted(found.items()) if item.headline.grade != "NR")

    async def _look_at_lag(self) -> None:
        if self._reader is None:
            self._reader = await asyncio.to_thread(self._open_reader)
        ends = await asyncio.to_thread(self._reader.end_offsets)
        known = await self._database.read(offsets_of)
        self._metrics.lag.set(sum(max(0, end - known.get(partition, 0)) for partition, end in ends.items()))

    def _let_go(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None
