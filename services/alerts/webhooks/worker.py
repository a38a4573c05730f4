"""Works off the deliveries.

Each endpoint has a task, connections and a bound of its own, so none slows another; what waits lies in the database, so a dead one costs no memory.

An attempt is over when its outcome is committed: a crash before that repeats it under the same id. Commits are shared by all endpoints, as many
outcomes a commit as came in during the last one.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final

import structlog

from neutrality.events.alert import ALERT_TYPE
from neutrality.events.vocabulary import iso
from services.alerts.database import Database
from services.alerts.domain.addresses import Network
from services.alerts.domain.attempts import SCHEDULE_S, Attempt, next_state, why_disabled
from services.alerts.domain.endpoint import Endpoint
from services.alerts.metrics import AlertsMetrics
from services.alerts.webhooks import store
from services.alerts.webhooks.posting import CONNECTIONS, Poster, message_of
from services.alerts.webhooks.sealing import Sealer
from services.alerts.webhooks.store import Delivery, Key, Outcome

LOG_KEPT_S: Final = 90 * 24 * 3600
CLEAN_EVERY_S: Final = 6 * 3600.0
LONGEST_SLEEP_S: Final = 3600.0
TEST_TYPE: Final = "watch.neutrality.test.v1"

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass
class _Line:
    """An endpoint that is served: its task, what wakes it, and when it may be sent to again (`Retry-After`)."""

    task: "asyncio.Task[None]"
    wake: asyncio.Event
    not_before_ms: int = 0


class Webhooks:
    """`run` serves every endpoint until it is cancelled; `changed` tells it of endpoints, `committed` of alerts."""

    def __init__(  # noqa: PLR0913 - what main has made
        self,
        database: Database,
        sealer: Sealer,
        metrics: AlertsMetrics,
        *,
        clock: Callable[[], datetime],
        chance: Callable[[], float],
        allowed: Sequence[Network] = (),
        timeout_s: float = 15.0,
        schedule_s: tuple[float, ...] = SCHEDULE_S,
    ) -> None:
        """`chance` gives numbers in [0, 1) for the jitter."""
        self._database, self._sealer, self._metrics = database, sealer, metrics
        self._clock, self._chance = clock, chance
        self._allowed, self._timeout_s, self._schedule_s = allowed, timeout_s, schedule_s
        self._lines: dict[Key, _Line] = {}
        self._outcomes: list[tuple[Outcome, asyncio.Future[None]]] = []
        self._recorded = asyncio.Event()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def committed(self, labs: Iterable[str]) -> None:
        """Alerts of these labs were committed."""
        wanted = set(labs)
        for (lab, _), line in self._lines.items():
            if lab in wanted:
                line.wake.set()

    async def changed(self, lab: str, name: str) -> None:
        """An endpoint was made, changed, enabled or removed, or deliveries were asked for again."""
        line = self._lines.pop((lab, name), None)
        if line is not None:
            await _ended(line.task)
        self._serve((lab, name))

    async def run(self) -> None:
        """Serve. An error that no endpoint causes, such as a database that cannot be written, ends it."""
        async with self._database.transaction() as connection:
            for endpoint in await store.endpoints(connection, self._sealer):
                self._serve((endpoint.lab, endpoint.name))
        parts = [asyncio.create_task(self._record()), asyncio.create_task(self._clean())]
        try:
            done, _ = await asyncio.wait([*parts, self._failed], return_when=asyncio.FIRST_COMPLETED)
            for one in done:
                one.result()
        finally:
            lines, self._lines = self._lines, {}
            await asyncio.gather(*(_ended(task) for task in [*(line.task for line in lines.values()), *parts]))

    async def test(self, endpoint: Endpoint) -> Attempt:
        """Send one message now, and tell what came of it."""
        now = self._clock()
        identity = f"test_{sha256(f'{endpoint.lab}{endpoint.name}{now.timestamp()}'.encode()).hexdigest()[:24]}"
        message = message_of(TEST_TYPE, iso(now), {"lab": endpoint.lab, "endpoint": endpoint.name})
        poster = self._poster()
        try:
            attempt = await poster.post(
                endpoint.terms.url, message, identity=identity, secrets=endpoint.active_secrets(now), now=now
            )
        finally:
            await poster.close()
        self._metrics.webhook_attempts.labels(attempt.outcome).inc()
        async with self._database.transaction() as connection:
            await store.log_test(connection, (endpoint.lab, endpoint.name), identity, attempt, _ms(now))
        return attempt

    def _poster(self) -> Poster:
        return Poster(self._allowed, timeout_s=self._timeout_s)

    def _serve(self, key: Key) -> None:
        wake = asyncio.Event()
        task = asyncio.create_task(self._work_off(key, wake), name="serves an endpoint")
        self._lines[key] = _Line(task, wake)
        task.add_done_callback(self._line_ended)

    def _line_ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None and not self._failed.done():
            self._failed.set_exception(error)

    async def _work_off(self, key: Key, wake: asyncio.Event) -> None:
        """Until the endpoint is gone or disabled."""
        poster = self._poster()
        running: dict[asyncio.Task[None], str] = {}
        try:
            while (endpoint := await self._endpoint(key)) is not None and endpoint.disabled is None:
                wake.clear()
                pause_s = await self._begin(endpoint, poster, running)
                waking = asyncio.create_task(wake.wait())
                done, _ = await asyncio.wait([*running, waking], timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)
                await _ended(waking)
                for task in [task for task in running if task in done]:
                    del running[task]
                    task.result()
        finally:
            await asyncio.gather(*(_ended(task) for task in running))
            await poster.close()

    async def _endpoint(self, key: Key) -> Endpoint | None:
        async with self._database.transaction() as connection:
            return next(iter(await store.endpoints(connection, self._sealer, *key)), None)

    async def _begin(self, endpoint: Endpoint, poster: Poster, running: "dict[asyncio.Task[None], str]") -> float:
        """Begin what may be tried now; returns how many seconds there is nothing else to begin."""
        key, now_ms = (endpoint.lab, endpoint.name), _ms(self._clock())
        line = self._lines.get(key)
        not_before_ms = 0 if line is None else line.not_before_ms
        if now_ms < not_before_ms:
            return min(LONGEST_SLEEP_S, (not_before_ms - now_ms) / 1000.0)
        room = CONNECTIONS - len(running)
        if room == 0:
            return LONGEST_SLEEP_S
        busy = set(running.values())
        async with self._database.transaction() as connection:
            found = await store.due(connection, key, now_ms, busy, room)
            busy |= {delivery.alert.vendor for delivery in found}
            next_ms = await store.next_due_ms(connection, key, busy)
        for delivery in found:
            running[asyncio.create_task(self._attempt(endpoint, delivery, poster))] = delivery.alert.vendor
        if next_ms is None or len(running) == CONNECTIONS:
            return LONGEST_SLEEP_S
        return min(LONGEST_SLEEP_S, max(0.01, (next_ms - now_ms) / 1000.0))

    async def _attempt(self, endpoint: Endpoint, delivery: Delivery, poster: Poster) -> None:
        key, now = (endpoint.lab, endpoint.name), self._clock()
        message = message_of(ALERT_TYPE, delivery.alert.raised_at, delivery.alert)
        attempt = await poster.post(
            endpoint.terms.url, message, identity=delivery.alert.id, secrets=endpoint.active_secrets(now), now=now
        )
        self._metrics.webhook_attempts.labels(attempt.outcome).inc()
        after_ms = _ms(self._clock())
        state, pause_s = next_state(attempt, delivery.attempts + 1, self._chance(), self._schedule_s)
        failing_ms = 0 if endpoint.failing_since_ms is None else after_ms - endpoint.failing_since_ms
        disabled = why_disabled(attempt, failing_ms / 1000.0)
        due_ms = after_ms + int(pause_s * 1000.0)
        if attempt.retry_after_s is not None and not attempt.succeeded and (line := self._lines.get(key)) is not None:
            line.not_before_ms = max(line.not_before_ms, due_ms)
        await self._commit(Outcome(key, delivery.alert.id, attempt, _ms(now), state, due_ms, disabled))
        if state == "delivered":
            self._metrics.delivered.labels("webhook").inc()
        if disabled is not None:
            self._metrics.webhook_endpoints_disabled.inc()
            log.warning("endpoint_disabled", endpoint=_unnamed(key), outcome=attempt.outcome)

    async def _commit(self, outcome: Outcome) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._outcomes.append((outcome, done))
        self._recorded.set()
        await done

    async def _record(self) -> None:
        while True:
            await self._recorded.wait()
            self._recorded.clear()
            batch, self._outcomes = self._outcomes, []
            async with self._database.transaction() as connection:
                await store.record(connection, [outcome for outcome, _ in batch])
            for _, done in batch:
                if not done.done():
                    done.set_result(None)

    async def _clean(self) -> None:
        while True:
            async with self._database.transaction() as connection:
                await store.forget_attempts(connection, _ms(self._clock()) - LOG_KEPT_S * 1000)
            await asyncio.sleep(CLEAN_EVERY_S)


async def _ended(task: "asyncio.Task[None] | asyncio.Task[bool]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _unnamed(key: Key) -> str:
    """An endpoint for the log, which must not tell who subscribes to what."""
    return sha256("\x1f".join(key).encode()).hexdigest()[:12]


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
