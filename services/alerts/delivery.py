"""Works off the outbox: every alert goes to its lab's topic, at least once, in order per lab and vendor, under its one id."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import structlog

from neutrality.broker.port import BrokerError, OutgoingRecord, RecordPublisher
from neutrality.events.alert import alert_to_kafka
from neutrality.topics import alerts_topic
from services.alerts.database import Database, StoredAlert
from services.alerts.metrics import AlertsMetrics

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

BATCH: Final = 500
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0


class LabTopics(Protocol):
    """Makes sure that a lab's topic is there."""

    async def ensure(self, lab: str) -> None:
        """Raises BrokerError while it is not."""
        ...


class Delivery:
    """The one worker of the outbox. `wake` tells it that there is something; `run` never ends by itself."""

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
        self._woken = asyncio.Event()
        self._woken.set()  # what an earlier process left behind comes first

    def wake(self) -> None:
        """There are new alerts."""
        self._woken.set()

    async def run(self) -> None:
        """Deliver for ever; while Kafka is away try again, ever more slowly."""
        pause_s = FIRST_PAUSE_S
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                await self.work_off()
            except BrokerError as error:
                self._metrics.broker_errors.inc()
                log.warning("delivery_postponed", error=str(error), retry_in_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
                self._woken.set()
            else:
                pause_s = FIRST_PAUSE_S

    async def work_off(self) -> None:
        """Deliver all that is in the outbox. Raises BrokerError if Kafka did not take something; that stays there."""
        while batch := await self._database.outbox(BATCH):
            self._metrics.outbox_depth.set(await self._database.outbox_depth())
            queues: dict[tuple[str, str], list[StoredAlert]] = {}
            for stored in batch:
                queues.setdefault((stored.alert.lab, stored.alert.vendor), []).append(stored)
            outcomes = await asyncio.gather(*[self._deliver(queue) for queue in queues.values()])
            done = [position for delivered, _ in outcomes for position in delivered]
            if done:
                await self._database.mark_delivered(done)
            error = next((failure for _, failure in outcomes if failure is not None), None)
            if error is not None:
                raise error
        self._metrics.outbox_depth.set(0)

    async def _deliver(self, queue: Sequence[StoredAlert]) -> tuple[list[int], BrokerError | None]:
        """One lab's alerts on one vendor, one after another; the first failure ends it, so that none overtakes another."""
        delivered: list[int] = []
        for stored in queue:
            alert = stored.alert
            headers, value = alert_to_kafka(alert)
            try:
                await self._topics.ensure(alert.lab)
                record = OutgoingRecord(alerts_topic(alert.lab).name, alert.vendor.encode(), value, tuple(headers))
                await self._publisher.publish(record)
            except BrokerError as error:
                return delivered, error
            delivered.append(stored.position)
            self._metrics.delivered.labels("kafka").inc()
            if alert.cause is not None:
                self._metrics.event_to_alert.observe(max(0.0, (self._now_ms() - alert.cause.accepted_ms) / 1000.0))
        return delivered, None
