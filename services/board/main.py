"""The process: settings, keys, feed, replays, HTTP, signals.

Exit codes: 0 after SIGTERM or SIGINT; 1 after an error beyond repair (a supervisor starts it anew); 2 if the settings, the address or a file
cannot be used. Kafka away is waited for; alerts away is told on the pages that need it.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import TypeAdapter, ValidationError
from starlette.middleware.gzip import GZipMiddleware

from neutrality.broker.kafka import KafkaReader
from neutrality.broker.port import RecordReader, TopicPartition
from neutrality.http import EXIT_MISUSE, EXIT_OK, add_health, add_metrics, serve
from neutrality.telemetry.logs import configure_logs
from neutrality.telemetry.settings import wrong_settings
from services.board.alerts_api import AlertsApi
from services.board.domain.market import WINDOWS
from services.board.domain.replaying import published
from services.board.feed import TOPICS, Batch, Feed
from services.board.knowledge import Knowledge
from services.board.live import Hub
from services.board.metrics import BoardMetrics
from services.board.oidc import Client, Oidc
from services.board.pages.endpoints import EndpointPages
from services.board.pages.guarding import Guard
from services.board.pages.inbox import InboxPages
from services.board.pages.overview import Overview
from services.board.pages.report import Reports
from services.board.pages.signing import SignIn
from services.board.pages.subscriptions import Subscriptions
from services.board.pages.vendor import Vendors
from services.board.pages.web import Web
from services.board.pages.what_if import WhatIfPages
from services.board.sessions import SessionKeysUnusable, Sessions, session_keys
from services.board.settings import BoardSettings
from services.board.workers import ReplayTookTooLong, Workers

EXIT_FAILED: Final = 1
_GZIP_LEVEL: Final = 5
_LAB_KEYS: Final = TypeAdapter(dict[str, str])
log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def main() -> int:
    """Run until told to stop; returns the exit code."""
    configure_logs()
    try:
        settings = BoardSettings()
    except ValidationError as error:
        sys.stderr.write(f"board: {wrong_settings(error, 'BOARD_')}\n")
        return EXIT_MISUSE
    return asyncio.run(run(settings))


async def run(settings: BoardSettings) -> int:
    """One instance's life; returns the exit code."""
    try:
        sessions = Sessions(session_keys(settings.secrets_key_file), lasts=settings.session, secure=settings.is_secure)
        lab_keys = {} if settings.lab_keys_file is None else _LAB_KEYS.validate_json(settings.lab_keys_file.read_bytes())
        secret = _secret(settings.oidc_client_secret_file)
    except (SessionKeysUnusable, ValidationError, OSError) as error:
        log.error("keys_unusable", reason=str(error))  # noqa: TRY400 - the reason says it all
        return EXIT_MISUSE
    return await _Process(settings, sessions, lab_keys, secret).serve()


class _Process:
    """The parts, and how they end together."""

    def __init__(self, settings: BoardSettings, sessions: Sessions, lab_keys: dict[str, str], secret: str | None) -> None:
        self._settings = settings
        self._started_at = _wall()
        self._registry = CollectorRegistry()
        self._metrics = BoardMetrics(self._registry)
        self._workers = Workers(self._metrics, timeout_s=settings.replay_s)
        self._alerts = AlertsApi(settings.alerts_url, settings.alerts_timeout_s, settings.alerts_ca_file)
        self._http = httpx.AsyncClient(timeout=settings.alerts_timeout_s)
        self._waiting: list[int] = []  # when Kafka took what the next frame will tell of (ms since 1970)
        self._knowledge = Knowledge(self._metrics, clock=self._now, changed=self._changed)
        self._hub = Hub(self._knowledge.market, frame_s=settings.frame_ms / 1000.0, cut=self._was_cut)
        self._web = Web(
            settings,
            self._knowledge,
            self._workers,
            self._hub,
            sessions,
            self._alerts,
            self._metrics,
            clock=self._now,
            wall=_wall,
        )
        self._feed = Feed(
            partial(_open_reader, settings),
            take=self._take,
            forget=self._knowledge.forget,
            on_error=self._metrics.broker_errors.inc,
        )
        self._sign_in = SignIn(self._web, self._oidc(secret), lab_keys)
        self._failures: list[str] = []

    async def serve(self) -> int:
        """Until SIGTERM; returns the exit code."""
        app = FastAPI(title="Neutrality Watch: board", openapi_url=None, docs_url=None, redoc_url=None, lifespan=self._lifespan)
        app.add_middleware(GZipMiddleware, minimum_size=500, compresslevel=_GZIP_LEVEL)
        app.add_middleware(Guard, public_url=self._settings.public_url, secure=self._settings.is_secure)
        self._web.add_error_pages(app)
        self._web.add_assets(app)
        self._sign_in.add_to(app)
        Overview(self._web).add_to(app)
        vendors = Vendors(self._web)
        vendors.add_to(app)
        Reports(self._web, vendors).add_to(app)
        WhatIfPages(self._web).add_to(app)
        InboxPages(self._web).add_to(app)
        Subscriptions(self._web).add_to(app)
        EndpointPages(self._web).add_to(app)
        add_health(app, self._is_ready)
        add_metrics(app, self._registry)
        loop = asyncio.get_running_loop()
        stop = partial(loop.call_soon_threadsafe, self._hub.close)
        code = await serve(
            app,
            self._settings.host,
            self._settings.port,
            on_stop=stop,
            certificate=(self._settings.tls_cert_file, self._settings.tls_key_file),
        )
        return EXIT_FAILED if self._failures and code == EXIT_OK else code

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: FastAPI) -> AsyncIterator[None]:
        recalling = asyncio.create_task(self._recall())
        self._feed.failed.add_done_callback(self._fail)
        self._feed.start()
        try:
            yield
        finally:
            recalling.cancel()
            await asyncio.gather(recalling, return_exceptions=True)
            await self._feed.stop()
            await self._alerts.close()
            await self._http.aclose()

    async def _recall(self) -> None:
        """Once the log has been read, work out what was published before: what moved since yesterday, last week, last quarter."""
        await self._feed.has_caught_up.wait()
        now = _wall()  # when things were published, whatever the service's clock says
        since = now - max(WINDOWS.values()) - timedelta(hours=1)
        told = self._knowledge.log.everything()
        try:
            past = await self._workers.run("published", "whole", published, told, _ms(since), _ms(now))
        except ReplayTookTooLong as error:
            log.warning("past_unknown", reason=str(error), effect="moves are shown from this start on")
            return
        self._knowledge.market.recall(past)
        log.info("past_known", vendors=len(past), events=len(told))

    async def _is_ready(self) -> bool:
        return self._feed.is_reading and self._feed.has_caught_up.is_set()

    def _take(self, batch: Batch) -> None:
        if self._feed.has_caught_up.is_set():
            self._waiting += [found.cause.accepted_ms for found, _ in batch.assessments if found.cause is not None]
        self._knowledge.take(batch)

    def _changed(self, _vendors: set[str]) -> None:
        self._hub.changed()

    def _was_cut(self) -> None:
        now_ms = _ms(_wall())
        for accepted_ms in self._waiting:
            self._metrics.update.observe(max(0.0, (now_ms - accepted_ms) / 1000.0))
        self._waiting.clear()

    def _now(self) -> datetime:
        return self._settings.service_time(self._started_at, _wall())

    def _oidc(self, secret: str | None) -> Oidc | None:
        settings = self._settings
        if settings.oidc_issuer is None or settings.oidc_client_id is None or settings.public_url is None:
            return None
        back = f"{settings.public_url.rstrip('/')}/oidc/callback"
        client = Client(settings.oidc_issuer, settings.oidc_client_id, secret, back, settings.oidc_scopes)
        return Oidc(client, self._http, clock=_wall)

    def _fail(self, ended: "asyncio.Future[BaseException]") -> None:
        """The feed has ended, which it must not: stop in order, and exit with 1."""
        if ended.cancelled():
            return
        self._failures.append(repr(ended.result()))
        log.error("board_stops", reason=self._failures[-1])
        os.kill(os.getpid(), signal.SIGTERM)


def _open_reader(settings: BoardSettings, offsets: dict[TopicPartition, int]) -> RecordReader:
    return KafkaReader(settings.cluster, TOPICS, client_id="neutrality-board", start=offsets)


def _secret(path: Path | None) -> str | None:
    return None if path is None else path.read_text(encoding="utf-8").strip()


def _wall() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the shell's clock


def _ms(instant: datetime) -> int:
    return int(instant.timestamp() * 1000)
