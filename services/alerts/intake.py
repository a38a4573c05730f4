"""Takes in assessments: decides, and commits the decisions with the offset that they come from in one transaction.

A crash before the commit leaves nothing, and the batch is read again; after it, everything stands. The transaction finds the offsets where the
batch begins, or commits nothing: so no assessment is decided on twice, not by two instances either, and none is skipped. A version that is not
newer than the known one is a repeat and changes nothing. What is due later is worked off in the same manner.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.broker.port import ConsumedRecord, TopicPartition
from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment, InvalidAssessment, parse_assessment
from services.alerts import history, state
from services.alerts.database import Database
from services.alerts.decisions import store
from services.alerts.decisions.decider import Batch, Decider
from services.alerts.decisions.release import release
from services.alerts.decisions.timers import MOST_AT_ONCE, work_off
from services.alerts.decisions.wishes import Wishes
from services.alerts.domain.subscription import Subscription
from services.alerts.endpoints.sealing import Sealer
from services.alerts.metrics import AlertsMetrics

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Intake:
    """Applies batches, due timers and changes of what labs wish, one at a time."""

    def __init__(self, database: Database, metrics: AlertsMetrics, sealer: Sealer, *, clock: Callable[[], datetime]) -> None:
        """Who makes it owns the database."""
        self._database = database
        self._metrics = metrics
        self._decider = Decider(sealer)
        self._clock = clock
        self._gate = asyncio.Lock()

    async def put_subscription(self, wanted: Subscription) -> bool:
        """Make or replace a subscription; whether it is new. Only changes after it are told; new terms begin anew."""
        async with self.changing() as connection:
            put = await state.put_subscription(connection, wanted)
            if put is not state.Put.SAME:
                await store.forget_subscription(connection, wanted.lab, wanted.name)
            return put is state.Put.NEW

    async def delete_subscription(self, lab: str, name: str) -> bool:
        """Remove a subscription; whether there was one. What waits is not sent any more."""
        async with self.changing() as connection:
            await store.forget_subscription(connection, lab, name)
            await store.cancel_held(connection, lab, name, "the subscription was ended")
            return await state.delete_subscription(connection, lab, name)

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction between the batches of all instances, in which what labs wish may be changed."""
        async with self._database.transaction() as connection:
            await state.change_terms(connection)
            yield connection

    def forget(self) -> None:
        """Another instance may have taken in scores of the same partitions."""
        self._decider.forget()

    async def apply(self, records: Sequence[ConsumedRecord], since: Mapping[TopicPartition, int]) -> tuple[Alert, ...]:
        """Decide on a batch and commit it; returns the alerts sent. `since`: the stored offsets of its partitions, as they are believed to be.

        Raises:
            OffsetMoved: they are others; nothing was done.
            DatabaseUnavailable: whether it was committed is not known.
        """
        found = [(record.partition, assessment) for record in records if (assessment := self._read(record)) is not None]
        offsets: dict[TopicPartition, int] = {(record.topic, record.partition): record.offset + 1 for record in records}
        batch = Batch(self._clock(), {assessment.vendor: partition for partition, assessment in found})
        async with self._deciding(batch) as (connection, wishes):
            await state.move_offsets(connection, since, offsets)
            await self._decider.stand_on(connection, {partition: offset for (_, partition), offset in since.items()})
            await self._decider.recall(connection, batch.partitions)
            for _, current in found:
                await self._decider.take(connection, batch, wishes, current)
            await state.put_assessments(connection, batch.assessments.values())
            await history.keep(connection, batch.steps)
        self._decider.moved({partition: offset for (_, partition), offset in offsets.items()})
        self._metrics.read.inc(len(batch.assessments))
        return tuple(batch.sent)

    async def work_off_timers(self, partitions: Collection[int]) -> int:
        """Work off what is due, of these partitions of the scores and of none; how many timers there were. Raises DatabaseUnavailable."""
        batch = Batch(self._clock())
        async with self._deciding(batch) as (connection, wishes):
            due = await store.due_timers(connection, store.to_ms(batch.now), partitions, MOST_AT_ONCE)
            settling = sorted({timer.due.partition for timer in due if timer.due.partition is not None})
            if settling:
                standing = await state.lock_offsets(connection, settling)
                await self._decider.stand_on(connection, standing)
                await self._decider.settles(connection, settling)
                await self._decider.recall(connection, {timer.key.subject for timer in due if timer.key.kind == "settle"})
            await work_off(connection, batch, wishes, self._decider, due)
        self._metrics.timers.inc(len(due))
        return len(due)

    async def next_timer_ms(self, partitions: Collection[int]) -> int | None:
        """When the next of them is due, in ms since 1970."""
        return await self._database.read(store.next_timer_ms, partitions)

    @asynccontextmanager
    async def _deciding(self, batch: Batch) -> AsyncIterator[tuple[AsyncConnection, Wishes]]:
        """A transaction that decides: what is in the batch at its end is kept and sent."""
        async with self._gate:
            try:
                async with self._database.transaction() as connection:
                    wishes = await self._decider.wishes(connection)
                    yield connection, wishes
                    await batch.write(connection)
                    await release(connection, batch.sent, wishes, batch.now)
            except BaseException:
                self.forget()
                raise
            self._decider.committed(batch)
        for alert in batch.sent:
            self._metrics.raised.labels(alert.rule).inc()
        for one in batch.unsent.values():
            self._metrics.unsent.labels(one.outcome).inc()

    def _read(self, record: ConsumedRecord) -> Assessment | None:
        found = InvalidAssessment("a record without a value") if record.value is None else parse_assessment(record.value)
        if isinstance(found, Assessment):
            return found
        self._metrics.unreadable.inc()
        log.warning("assessment_unreadable", topic=record.topic, partition=record.partition, offset=record.offset)
        return None
