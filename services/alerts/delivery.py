"""Works off the outbox: every alert goes to its lab's topic, at least once, in order per lab and vendor, under its one id."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import structlog

from neutrality.broker.port import BrokerError, OutgoingRecord, RecordPublisher, RecordTooLarge
from neutrality.events.alert import Alert, alert_to_kafka
from neutrality.telemetry.metrics import exemplar
from neutrality.topics import alerts_topic
from services.alerts.database import Database
from services.alerts.metrics import AlertsMetrics

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

PAGE: Final = 500
MARK_EVERY_S: Final = 1.0
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0


class LabTopics(Protocol):
    """Makes sure that labs' topics are there."""

    async def ensure(self, labs: Iterable[str]) -> None:
        """Raises BrokerError while one of them is not."""
        ...

    def forget(self, lab: str) -> None:
        """It may be gone: look again."""
        ...


class Delivery:
    """The one worker of the outbox. What was committed is offered to it in memory; the database is asked only for what an earlier process left.

    What Kafka has is marked in the database once a second: a crash before that sends some alerts again, under their ids.
    """

    def __init__(
        self,
        database: Database,
        publisher: RecordPublisher,
        topics: LabTopics,
        metrics: AlertsMetrics,
        *,
        now_ms: Callable[[], float],
    ) -> None:
        """Who makes it owns the database and the publisher."""
        self._database = database
        self._publisher = publisher
        self._topics = topics
        self._metrics = metrics
        self._now_ms = now_ms
        self._waiting: list[Alert] = []
        self._unmarked: list[str] = []
        self._offered = asyncio.Event()

    def offer(self, alerts: Sequence[Alert]) -> None:
        """These were committed just now."""
        self._waiting += alerts
        self._offered.set()

    async def load(self) -> None:
        """Take up what an earlier process left behind; before anything is offered."""
        position = 0
        while batch := await self._database.outbox(position, PAGE):
            self.offer([stored.alert for stored in batch])
            position = batch[-1].position

    async def run(self) -> None:
        """Deliver for ever, after `load`; while Kafka is away try again, ever more slowly."""
        marking = asyncio.create_task(self._mark_for_ever())
        try:
            await self._deliver_for_ever(marking)
        finally:
            marking.cancel()
            await asyncio.gather(marking, return_exceptions=True)
            await self.mark()

    async def _deliver_for_ever(self, marking: "asyncio.Task[None]") -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            await self._offered.wait()
            self._offered.clear()
            if marking.done():
                marking.result()
            try:
                await self.work_off()
            except BrokerError as error:
                self._metrics.broker_errors.inc()
                log.warning("delivery_postponed", error=str(error), retry_in_s=pause_s)
                # not slept here: what is offered meanwhile, to other labs, need not wait
                asyncio.get_running_loop().call_later(pause_s, self._offered.set)
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
            else:
                pause_s = FIRST_PAUSE_S

    async def _mark_for_ever(self) -> None:
        while True:
            await asyncio.sleep(MARK_EVERY_S)
            await self.mark()

    async def mark(self) -> None:
        """Note in the database what Kafka has."""
        if self._unmarked:
            marked, self._unmarked = self._unmarked, []
            await self._database.mark_delivered(marked)

    async def work_off(self) -> None:
        """Deliver all that waits. Raises BrokerError if Kafka did not take something; that goes on waiting, in its order."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            self._metrics.outbox_depth.set(len(batch))
            queues: dict[tuple[str, str], list[Alert]] = {}
            for alert in batch:
                queues.setdefault((alert.lab, alert.vendor), []).append(alert)
            # all at once: an admin client for each lab would keep the first alerts after a start waiting for seconds
            with contextlib.suppress(BrokerError):  # which of them it is is told lab by lab
                await self._topics.ensure({alert.lab for alert in batch})
            outcomes = await asyncio.gather(*[self._deliver(queue) for queue in queues.values()])
            done = {identity for delivered, _ in outcomes for identity in delivered}
            self._unmarked += done
            error = next((failure for _, failure in outcomes if failure is not None), None)
            if error is not None:
                self._waiting = [alert for alert in batch if alert.id not in done] + self._waiting
                self._metrics.outbox_depth.set(len(self._waiting))
                raise error
        self._metrics.outbox_depth.set(0)

    async def _deliver(self, queue: Sequence[Alert]) -> tuple[list[str], BrokerError | None]:
        """One lab's alerts on one vendor, one after another; the first failure ends it, so that none overtakes another."""
        delivered: list[str] = []
        for alert in queue:
            headers, value = alert_to_kafka(alert)
            try:
                await self._topics.ensure((alert.lab,))
                record = OutgoingRecord(alerts_topic(alert.lab).name, alert.vendor.encode(), value, tuple(headers))
                try:
                    await self._publisher.publish(record)
                except RecordTooLarge:
                    log.warning("alert_sent_without_evidence", alert=alert.id)  # the API has it whole
                    await self._publisher.publish(replace(record, value=alert_to_kafka(_without_evidence(alert))[1]))
            except BrokerError as error:
                self._topics.forget(alert.lab)
                return delivered, error
            delivered.append(alert.id)
            self._metrics.delivered.labels("kafka").inc()
            if alert.cause is not None:
                self._metrics.event_to_alert.observe(
                    max(0.0, (self._now_ms() - alert.cause.accepted_ms) / 1000.0), exemplar(alert.cause.trace_id)
                )
        return delivered, None


def _without_evidence(alert: Alert) -> Alert:
    return replace(alert, reasons=tuple(replace(reason, evidence=()) for reason in alert.reasons))
