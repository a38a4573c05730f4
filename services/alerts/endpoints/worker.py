"""Works off the deliveries.

Each endpoint has a task, connections and a bound of its own, so none slows another; what waits lies in the database, so a dead one costs no
memory. To people a group's alerts go as one message, one message at a time; a webhook gets each by itself. An endpoint is one
instance's to serve, by its lease.

An attempt is over when its outcome is committed: a crash before that repeats it under the same id. What came within a moment is
committed together, for all endpoints.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Final

import structlog

from neutrality.events.alert import Alert
from neutrality.events.vocabulary import iso
from services.alerts.channels.senders import Sender, Senders
from services.alerts.channels.webhook import CONNECTIONS
from services.alerts.database import Database, DatabaseUnavailable
from services.alerts.domain.attempts import SCHEDULE_S, Attempt, next_state, why_disabled
from services.alerts.domain.endpoint import Endpoint, Key
from services.alerts.domain.messages import next_message
from services.alerts.domain.notice import notice_of, trial_of
from services.alerts.endpoints import store
from services.alerts.endpoints.sealing import Sealer
from services.alerts.endpoints.store import Outcome, Standing
from services.alerts.endpoints.waiting import Delivery, Look, available, next_due_ms
from services.alerts.metrics import AlertsMetrics
from services.alerts.news import News

LONGEST_SLEEP_S: Final = 3600.0
DATABASE_PAUSE_S: Final = 1.0
GATHER_S: Final = 0.05  # outcomes are committed together: a commit costs more than all that is in it

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass
class _Line:
    """An endpoint that is served. `not_before_ms`: `Retry-After`; `may_wait`: the database may hold more than what is running.

    `closing`: what is running is brought to its end, and nothing else is begun.
    """

    key: Key
    wake: asyncio.Event
    task: "asyncio.Task[None] | None" = None
    running: "dict[asyncio.Task[None], Sequence[Delivery]]" = field(default_factory=dict)
    not_before_ms: int = 0
    failing_since_ms: int | None = None
    disabled: bool = False
    may_wait: bool = True
    closing: bool = False


class EndpointWorker:
    """Serves the endpoints that it holds, while it runs; `hear` tells it of endpoints and alerts."""

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        senders: Senders,
        metrics: AlertsMetrics,
        *,
        clock: Callable[[], datetime],
        chance: Callable[[], float],
        schedule_s: tuple[float, ...] = SCHEDULE_S,
    ) -> None:
        """`chance` gives numbers in [0, 1) for the jitter."""
        self._database, self._sealer, self._senders, self._metrics = database, sealer, senders, metrics
        self._clock, self._chance, self._schedule_s = clock, chance, schedule_s
        self._look = Look(database, most=CONNECTIONS + 1)
        self._lines: dict[Key, _Line] = {}
        self._leaving: dict[Key, _Line] = {}
        self._outcomes: list[tuple[Sequence[Outcome], asyncio.Future[None]]] = []
        self._recorded = asyncio.Event()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def hear(self, news: News) -> None:
        """Alerts were committed, deliveries were asked for again, endpoints were changed."""
        for (lab, _), line in self._lines.items():
            if news.concerns(lab):
                line.may_wait = True
                line.wake.set()
        for key in news.endpoints & self._lines.keys():
            self._serve(key, after=_closed(self._lines.pop(key)))  # as it is now

    def hold(self, names: frozenset[str]) -> None:
        """See `leases.Holder`: LAB/NAME."""
        held = {key_of(name) for name in names}
        self._leaving = {key: line for key, line in self._leaving.items() if line.task is not None and not line.task.done()}
        for key in self._lines.keys() - held:
            _closed(self._lines[key])
            self._leaving[key] = self._lines.pop(key)
        for key in held - self._lines.keys():
            self._serve(key)

    async def finish(self, names: frozenset[str]) -> None:
        """See `leases.Holder`."""
        left = [self._leaving.pop(key, None) for key in map(key_of, names)]
        await asyncio.gather(*(line.task for line in left if line is not None and line.task is not None), return_exceptions=True)

    async def run(self) -> None:
        """Serve. An error that no endpoint causes, such as a database that cannot be written, ends it."""
        recording = asyncio.create_task(self._record())
        try:
            done, _ = await asyncio.wait([recording, self._failed], return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            lines = [*self._lines.values(), *self._leaving.values()]
            self._lines, self._leaving = {}, {}
            await asyncio.gather(*(_ended(task) for task in [*(line.task for line in lines if line.task), recording]))

    async def test(self, endpoint: Endpoint) -> Attempt:
        """Send one message now, and tell what came of it."""
        now = self._clock()
        trial = trial_of(endpoint.lab, endpoint.name, iso(now))
        sender = self._senders.of(endpoint)
        try:
            attempt = await sender.send(trial, now)
        finally:
            await sender.close()
        self._count(endpoint, attempt)
        async with self._database.transaction() as connection:
            await store.log_test(connection, (endpoint.lab, endpoint.name), trial.id, attempt, _ms(now))
        return attempt

    def _serve(self, key: Key, after: "asyncio.Task[None] | None" = None) -> None:
        line = _Line(key, asyncio.Event())
        line.task = asyncio.create_task(self._work_off(line, after), name="serves an endpoint")
        line.task.add_done_callback(self._line_ended)
        self._lines[key] = line

    def _line_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _work_off(self, line: _Line, after: "asyncio.Task[None] | None") -> None:
        """Until the endpoint is disabled, or changed: then another line serves it, after this one."""
        if after is not None:
            await asyncio.gather(after, return_exceptions=True)
        while not line.closing:
            try:
                await self._work_off_while_it_can(line)
            except DatabaseUnavailable as error:
                log.warning("deliveries_not_read", error=str(error), retry_in_s=DATABASE_PAUSE_S)
                await asyncio.sleep(DATABASE_PAUSE_S)
            else:
                return

    async def _work_off_while_it_can(self, line: _Line) -> None:
        async with self._database.reading() as connection:
            endpoint = next(iter(await store.endpoints(connection, self._sealer, *line.key)), None)
        if endpoint is None or endpoint.disabled is not None:
            return
        line.failing_since_ms = endpoint.failing_since_ms
        sender = self._senders.of(endpoint)
        try:
            while not (line.disabled or line.closing):
                line.wake.clear()
                pause_s = await self._begin(endpoint, sender, line) if line.may_wait else LONGEST_SLEEP_S
                waking = asyncio.create_task(line.wake.wait())
                done, _ = await asyncio.wait([*line.running, waking], timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
                await _ended(waking)
                for task in [task for task in line.running if task in done]:
                    del line.running[task]
                    task.result()
            await asyncio.gather(*line.running)
        finally:
            await asyncio.gather(*(_ended(task) for task in line.running))
            await sender.close()

    async def _begin(self, endpoint: Endpoint, sender: Sender, line: _Line) -> float:
        """Begin what may be tried now; returns how many seconds there is nothing else to begin."""
        now_ms = _ms(self._clock())
        if now_ms < line.not_before_ms:
            return min(LONGEST_SLEEP_S, (line.not_before_ms - now_ms) / 1000.0)
        room = sender.at_once - len(line.running)
        if room == 0:
            return LONGEST_SLEEP_S
        line.may_wait = False  # unless it is found, or told of from here on
        look = self._message if sender.to_people else self._singly
        found, next_ms = await look(line, now_ms, room)
        for deliveries in found:
            line.running[asyncio.create_task(self._attempt(endpoint, deliveries, sender, line))] = deliveries
        if next_ms is None or len(line.running) == sender.at_once:
            return LONGEST_SLEEP_S  # the end of any attempt is a reason to look again
        line.may_wait = True
        return min(LONGEST_SLEEP_S, max(0.01, (next_ms - now_ms) / 1000.0))

    async def _message(self, line: _Line, now_ms: int, _room: int) -> tuple[Sequence[Sequence[Delivery]], int | None]:
        """What is one message now, and when something else is due of vendors that are not in hand; None: nothing of them waits."""
        async with self._database.reading() as connection:
            if message := next_message(await available(connection, line.key, now_ms)):
                return [message], None
            return [], await next_due_ms(connection, line.key, _vendors(line))

    async def _singly(self, line: _Line, now_ms: int, room: int) -> tuple[Sequence[Sequence[Delivery]], int | None]:
        """The same of single alerts; what is more than there is room for is due in the past."""
        busy = _vendors(line)
        heads = [head for head in await self._look.heads(line.key, now_ms) if head.vendor not in busy]
        found = [[head] for head in heads[:room] if head.due_ms <= now_ms]
        return found, heads[len(found)].due_ms if len(found) < len(heads) else None

    async def _attempt(self, endpoint: Endpoint, deliveries: Sequence[Delivery], sender: Sender, line: _Line) -> None:
        now = self._clock()
        alerts = [one.content for one in deliveries if isinstance(one.content, Alert)]
        notices = [one.content for one in deliveries if not isinstance(one.content, Alert)]
        attempt = await sender.send(notices[0] if notices else alerts, now)
        self._count(endpoint, attempt)
        after_ms = _ms(self._clock())
        state, pause_s = next_state(attempt, max(one.attempts for one in deliveries) + 1, self._chance(), self._schedule_s)
        due_ms = after_ms + int(pause_s * 1000.0)
        if attempt.retry_after_s is not None and not attempt.succeeded:
            line.not_before_ms = max(line.not_before_ms, due_ms)
        standing = self._standing(line, attempt, after_ms)
        notice = None
        if standing is not None and standing.disabled is not None:
            notice = notice_of(endpoint.lab, endpoint.name, endpoint.terms.kind, standing.disabled, iso(self._clock()))
        outcomes = [
            Outcome(line.key, one.content.id, attempt, _ms(now), one.due_ms, state, due_ms, standing) for one in deliveries
        ]
        await self._commit([replace(outcomes[0], notice=notice), *outcomes[1:]])
        line.may_wait = True  # it may have been asked for again meanwhile
        if state == "delivered":
            self._metrics.delivered.labels(endpoint.terms.kind).inc(len(deliveries))
        if notice is not None:
            line.disabled = True
            self._metrics.endpoints_disabled.labels(endpoint.terms.kind).inc()
            log.warning("endpoint_disabled", endpoint=_unnamed(line.key), outcome=attempt.outcome)

    def _count(self, endpoint: Endpoint, attempt: Attempt) -> None:
        self._metrics.endpoint_attempts.labels(endpoint.terms.kind, attempt.outcome).inc()

    def _standing(self, line: _Line, attempt: Attempt, now_ms: int) -> Standing | None:
        """How the endpoint stands now; None: as before."""
        before = line.failing_since_ms
        if attempt.succeeded:
            line.failing_since_ms = None
        elif before is None:
            line.failing_since_ms = now_ms
        disabled = why_disabled(attempt, (now_ms - (line.failing_since_ms or now_ms)) / 1000.0)
        return None if disabled is None and before == line.failing_since_ms else Standing(line.failing_since_ms, disabled)

    async def _commit(self, outcomes: Sequence[Outcome]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outcomes.append((outcomes, done))
        self._recorded.set()
        await done

    async def _record(self) -> None:
        while True:
            await self._recorded.wait()
            await asyncio.sleep(GATHER_S)
            self._recorded.clear()
            batch, self._outcomes = self._outcomes, []
            try:
                async with self._database.transaction() as connection:
                    await store.record(connection, [outcome for outcomes, _ in batch for outcome in outcomes])
            except DatabaseUnavailable as error:
                log.warning("outcomes_not_recorded", error=str(error), retry_in_s=DATABASE_PAUSE_S)
                self._outcomes = batch + self._outcomes
                self._recorded.set()
                await asyncio.sleep(DATABASE_PAUSE_S)
                continue
            for _, done in batch:
                if not done.done():
                    done.set_result(None)


def _vendors(line: _Line) -> set[str]:
    return {delivery.vendor for deliveries in line.running.values() for delivery in deliveries}


def key_of(name: str) -> Key:
    """The endpoint that a lease is for."""
    lab, _, endpoint = name.partition("/")
    return lab, endpoint


def _closed(line: _Line) -> "asyncio.Task[None] | None":
    line.closing = True
    line.wake.set()
    return line.task


async def _ended(task: "asyncio.Task[None] | asyncio.Task[bool]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _unnamed(key: Key) -> str:
    """An endpoint for the log, which must not tell who subscribes to what."""
    return sha256("\x1f".join(key).encode()).hexdigest()[:12]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
