"""Works off the outbox: every alert goes to its lab's topic, at least once, in order per lab and vendor, under its one id.

A lab's topic is one instance's to write, by its lease. What is committed wakes it, and the outbox is read from the database: what waits costs no
memory. Each lab is worked on by itself.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog

from neutrality.broker.port import BrokerError, OutgoingRecord, RecordPublisher, RecordTooLarge
from neutrality.events.alert import Alert, alert_to_kafka
from neutrality.telemetry.metrics import exemplar
from neutrality.topics import alerts_topic
from services.alerts import outbox
from services.alerts.database import Database, DatabaseUnavailable
from services.alerts.metrics import AlertsMetrics
from services.alerts.news import News
from services.alerts.outbox import StoredAlert

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


@dataclass
class _Lane:
    """A lab whose topic this instance writes.

    Kafka has all up to the position `after`, and what is `sent` behind it. `may_wait`: there may be more than what is `in_hand`.
    """

    lab: str
    after: int = 0
    sent: set[int] = field(default_factory=set)
    in_hand: int = 0
    may_wait: bool = True
    pause_s: float = FIRST_PAUSE_S
    task: "asyncio.Task[None] | None" = None

    def lacks(self, position: int) -> bool:
        """Whether Kafka is not known to have the alert there."""
        return position > self.after and position not in self.sent


class Delivery:
    """The worker of the outbox.

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
        self._lanes: dict[str, _Lane] = {}
        self._leaving: dict[str, _Lane] = {}
        self._unmarked: list[int] = []
        self._wake = asyncio.Event()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def hold(self, names: frozenset[str]) -> None:
        """See `leases.Holder`: these labs."""
        for lab in self._lanes.keys() - names:
            self._leaving[lab] = self._lanes.pop(lab)
        for lab in names - self._lanes.keys():
            self._lanes[lab] = _Lane(lab)
        self._wake.set()

    async def finish(self, names: frozenset[str]) -> None:
        """See `leases.Holder`."""
        left = [lane.task for lab in names if (lane := self._leaving.pop(lab, None)) is not None and lane.task is not None]
        await asyncio.gather(*left, return_exceptions=True)
        with contextlib.suppress(DatabaseUnavailable):  # then they are sent again
            await self.mark()

    def hear(self, news: News) -> None:
        """Alerts were committed."""
        for lane in self._lanes.values():
            if news.concerns(lane.lab):
                lane.may_wait = True
                self._wake.set()

    async def run(self) -> None:
        """Deliver for ever; while Kafka or the database is away try again, ever more slowly."""
        parts = [asyncio.create_task(self._look_for_ever()), asyncio.create_task(self._mark_for_ever())]
        try:
            done, _ = await asyncio.wait([*parts, self._failed], return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            working = [lane.task for lane in self._lanes.values() if lane.task is not None]
            for task in [*parts, *working]:
                task.cancel()
            await asyncio.gather(*parts, *working, return_exceptions=True)
            with contextlib.suppress(DatabaseUnavailable):
                await self.mark()

    async def work_off(self) -> None:
        """Deliver all that waits now. Raises BrokerError if Kafka did not take something; that goes on waiting, in its order."""
        while any(lane.may_wait for lane in self._lanes.values()):
            for lane, alerts in await self._look():
                await self._hand_over(lane, alerts)

    async def _look_for_ever(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                found = await self._look()
            except DatabaseUnavailable as error:
                log.warning("outbox_not_read", error=str(error))
                await asyncio.sleep(FIRST_PAUSE_S)
                self._wake.set()
                continue
            # all at once: an admin client for each lab would keep the first alerts after a start waiting for seconds
            with contextlib.suppress(BrokerError):  # which of them it is is told lab by lab
                await self._topics.ensure({lane.lab for lane, _ in found})
            for lane, alerts in found:
                lane.task = asyncio.create_task(self._work_on(lane, alerts), name="delivers to a lab's topic")
                lane.task.add_done_callback(self._worked)

    async def _look(self) -> list[tuple[_Lane, list[StoredAlert]]]:
        """What waits, of labs that are not worked on."""
        idle = {lane.lab: lane for lane in self._lanes.values() if lane.may_wait and lane.task is None}
        if not idle:
            return []
        for lane in idle.values():
            lane.may_wait = False  # unless it is told of from here on
        try:
            after = min(lane.after for lane in idle.values())
            page = await self._database.read(outbox.undelivered, idle.keys(), after, PAGE)
        except BaseException:
            for lane in idle.values():
                lane.may_wait = True
            raise
        found: dict[str, list[StoredAlert]] = {}
        for stored in page:
            if idle[stored.alert.lab].lacks(stored.position):
                found.setdefault(stored.alert.lab, []).append(stored)
        if len(page) == PAGE:
            await self._look_further(idle.values(), found)
        for lab, alerts in found.items():
            idle[lab].in_hand = len(alerts)
        self._count()
        return [(idle[lab], alerts) for lab, alerts in found.items()]

    async def _look_further(self, lanes: Iterable[_Lane], found: Collection[str]) -> None:
        for lane in lanes:
            lane.may_wait = True
        self._wake.set()
        if not found:  # the page was full of what Kafka has, and is only not marked yet
            await self.mark()

    async def _work_on(self, lane: _Lane, alerts: Sequence[StoredAlert]) -> None:
        try:
            await self._hand_over(lane, alerts)
        except BrokerError as error:
            self._metrics.broker_errors.inc()
            log.warning("delivery_postponed", error=str(error), retry_in_s=lane.pause_s)
            await asyncio.sleep(lane.pause_s)
            lane.pause_s = min(LONGEST_PAUSE_S, 2 * lane.pause_s)
        else:
            lane.pause_s = FIRST_PAUSE_S
        lane.task = None
        lane.in_hand = 0
        self._wake.set()

    def _worked(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _mark_for_ever(self) -> None:
        while True:
            await asyncio.sleep(MARK_EVERY_S)
            try:
                await self.mark()
            except DatabaseUnavailable as error:
                log.warning("outbox_not_marked", error=str(error))

    async def mark(self) -> None:
        """Note in the database what Kafka has. Raises DatabaseUnavailable."""
        if not self._unmarked:
            return
        marked, self._unmarked = self._unmarked, []
        try:
            async with self._database.transaction() as connection:
                for first in range(0, len(marked), PAGE):
                    await outbox.mark_delivered(connection, marked[first : first + PAGE])
        except BaseException:
            self._unmarked = marked + self._unmarked
            raise

    async def _hand_over(self, lane: _Lane, alerts: Sequence[StoredAlert]) -> None:
        """Raises BrokerError; what Kafka did not take is looked for again."""
        queues: dict[str, list[StoredAlert]] = {}
        for stored in alerts:
            queues.setdefault(stored.alert.vendor, []).append(stored)
        outcomes = await asyncio.gather(*[self._deliver(queue) for queue in queues.values()])
        done = [position for delivered, _ in outcomes for position in delivered]
        self._unmarked += done
        lane.in_hand -= len(done)
        self._count()
        error = next((failure for _, failure in outcomes if failure is not None), None)
        if error is not None:
            lane.sent.update(done)
            lane.may_wait = True
            raise error
        lane.after = alerts[-1].position
        lane.sent.clear()

    def _count(self) -> None:
        self._metrics.outbox_depth.set(sum(lane.in_hand for lane in self._lanes.values()))

    async def _deliver(self, queue: Sequence[StoredAlert]) -> tuple[list[int], BrokerError | None]:
        """One lab's alerts on one vendor, one after another; the first failure ends it, so that none overtakes another."""
        delivered: list[int] = []
        for stored in queue:
            alert = stored.alert
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
            delivered.append(stored.position)
            self._metrics.delivered.labels("kafka").inc()
            if alert.cause is not None and not alert.deferred:
                self._metrics.event_to_alert.observe(
                    max(0.0, (self._now_ms() - alert.cause.accepted_ms) / 1000.0), exemplar(alert.cause.trace_id)
                )
        return delivered, None


def _without_evidence(alert: Alert) -> Alert:
    return replace(alert, reasons=tuple(replace(reason, evidence=()) for reason in alert.reasons))
