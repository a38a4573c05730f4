"""The process: settings, database, feed, delivery, HTTP, signals.

Exit codes: 0 after SIGTERM or SIGINT; 1 after an error beyond repair (a supervisor starts it anew, and it goes on from the database); 2 if the
settings, the address or the database cannot be used. Kafka away is waited for.
"""

import asyncio
import contextlib
import os
import random
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

from neutrality.broker.kafka import KafkaPublisher, KafkaReader, delete_topic, ensure_topics
from neutrality.broker.port import RecordReader, TopicPartition
from neutrality.http import EXIT_MISUSE, EXIT_OK, serve
from neutrality.key_file import KeysUnusable
from neutrality.telemetry.logs import configure_logs
from neutrality.telemetry.settings import wrong_settings
from neutrality.topics import SCORES, Topic, alerts_topic
from services.alerts import state
from services.alerts.cleaning import Cleaner
from services.alerts.database import Database, DatabaseInUse, DatabaseUnavailable
from services.alerts.decisions.loop import TimerLoop
from services.alerts.delivery import Delivery
from services.alerts.endpoints.http import EndpointsApi
from services.alerts.endpoints.making import Endpoints
from services.alerts.endpoints.sealing import Sealer, SecretKeysUnusable
from services.alerts.endpoints.store import endpoints as endpoints_of
from services.alerts.endpoints.worker import EndpointWorker
from services.alerts.gate import LabGate
from services.alerts.http import Commits, build_app, openapi_document
from services.alerts.intake import Intake
from services.alerts.lab_data_http import LabDataApi
from services.alerts.leases import ENDPOINT, RENEW_S, SCORE_PARTITION, TOPIC, Leases, offer
from services.alerts.metrics import AlertsMetrics
from services.alerts.migrations import SchemaMismatch
from services.alerts.scores import FIRST_PAUSE_S, LONGEST_PAUSE_S, Partitions, ScoreFeed
from services.alerts.settings import AlertsSettings
from services.alerts.survey import ShownScores, Survey
from services.alerts.topics import EnsuredTopics

EXIT_FAILED: Final = 1
log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def main() -> int:
    """Run until told to stop; returns the exit code. With `--openapi`, print the OpenAPI document instead."""
    if sys.argv[1:] == ["--openapi"]:
        sys.stdout.write(openapi_document())
        return EXIT_OK
    configure_logs()
    try:
        settings = AlertsSettings()
    except ValidationError as error:
        sys.stderr.write(f"alerts: {wrong_settings(error, 'ALERTS_')}\n")
        return EXIT_MISUSE
    return asyncio.run(run(settings))


async def run(settings: AlertsSettings) -> int:
    """One instance's life; returns the exit code."""
    instance = secrets.token_hex(8)
    try:
        database = await _open_database(settings, instance)
    except (DatabaseInUse, SchemaMismatch, DBAPIError, OSError) as error:
        log.error("database_unusable", reason=str(error))  # noqa: TRY400 - the reason says it all
        return EXIT_MISUSE
    try:
        sealer = Sealer.of(settings.key_file, make=settings.is_sqlite)  # several instances must not make one each
        async with database.reading() as connection:
            await endpoints_of(connection, sealer)  # a wrong key is told at the start
        return await _serve(settings, database, sealer, instance)
    except (KeysUnusable, SecretKeysUnusable, OSError) as error:
        log.error("keys_unusable", reason=str(error))  # noqa: TRY400 - the reason says it all
        return EXIT_MISUSE
    finally:
        await database.close()


async def _serve(settings: AlertsSettings, database: Database, sealer: Sealer, instance: str) -> int:
    registry = CollectorRegistry()
    metrics = AlertsMetrics(registry)
    commits = Commits()
    database.on_error(metrics.database_errors.inc)
    publisher = KafkaPublisher(settings.cluster, client_id="neutrality-alerts", deadline=settings.deadline)
    topics = EnsuredTopics(partial(_ensure, settings))
    delivery = Delivery(database, publisher, topics, metrics, now_ms=lambda: time.time() * 1000)  # noqa: TID251 - the shell's clock

    def clock() -> datetime:
        return datetime.now(UTC)  # noqa: TID251 - the shell's clock

    senders = settings.senders()
    worker = EndpointWorker(database, sealer, senders, metrics, clock=clock, chance=random.random)
    intake = Intake(database, metrics, sealer, clock=clock)
    endpoints = Endpoints(database, intake, sealer, worker, senders, clock, allow_http=settings.webhook_allow_http)
    feed = ScoreFeed(
        partial(_open_reader, settings), partial(_stored, database, intake), intake.apply, on_error=metrics.broker_errors.inc
    )
    leases = Leases(database, instance, {SCORE_PARTITION: feed, TOPIC: delivery, ENDPOINT: worker}, clock=clock)
    async with database.transaction() as connection:
        await offer(connection, SCORE_PARTITION, [str(number) for number in range(settings.partitions)])
    for listener in (commits.hear, delivery.hear, worker.hear, leases.hear):
        database.follow(listener)
    cleaner = Cleaner(database, settings.kept(), clock=clock)
    lab_data = LabDataApi(database, intake, partial(_delete_lab_topic, settings), clock, let_go_s=2 * RENEW_S)
    timers = TimerLoop(intake, partial(leases.held, SCORE_PARTITION), clock=clock)
    survey = Survey(
        database,
        metrics,
        ShownScores(registry),
        open_reader=partial(_open_reader, settings),
        shown=settings.shown_vendors,
        clock=clock,
    )
    gate = LabGate(settings.api_keys_file, metrics, clock=clock)
    failures: list[str] = []

    def fail(what: str, ended: "asyncio.Future[Any]") -> None:
        """A part that must run has ended: stop in order, and exit with 1."""
        if ended.cancelled():
            return
        failures.append(f"{what}: {ended.exception() or ended.result()!r}")
        log.error("alerts_stops", reason=failures[-1])
        os.kill(os.getpid(), signal.SIGTERM)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        running = {
            name: asyncio.create_task(work, name=name)
            for name, work in (
                ("delivery", delivery.run()),
                ("endpoints", worker.run()),
                ("keys", gate.follow()),
                ("survey", survey.run()),
                ("news", database.listen()),
                ("leases", leases.run()),
                ("timers", timers.run()),
                ("cleaner", cleaner.run()),
            )
        }
        for name, task in running.items():
            if name != "keys":  # without a file of keys there is nothing to follow
                task.add_done_callback(partial(fail, name))
        feed.failed.add_done_callback(partial(fail, "feed"))
        feed.start()
        try:
            yield
        finally:
            running["leases"].cancel()  # what others may go on with is given back first
            await asyncio.gather(running["leases"], return_exceptions=True)
            await feed.stop()
            for task in running.values():
                task.cancel()
            await asyncio.gather(*running.values(), return_exceptions=True)
            await publisher.close()

    async def is_ready() -> bool:
        return leases.are_renewed and feed.is_ready and await publisher.is_reachable()

    app = build_app(
        settings,
        database,
        intake,
        commits,
        metrics,
        registry,
        endpoints=EndpointsApi(endpoints),
        lab_data=lab_data,
        gate=gate,
        clock=clock,
        is_ready=is_ready,
        lifespan=lifespan,
    )
    loop = asyncio.get_running_loop()
    code = await serve(
        app,
        settings.host,
        settings.port,
        on_stop=lambda: loop.call_soon_threadsafe(commits.close),
        certificate=(settings.tls_cert_file, settings.tls_key_file),
    )
    return EXIT_FAILED if failures and code == EXIT_OK else code


def _ensure(settings: AlertsSettings, topics: Sequence[Topic]) -> None:
    ensure_topics(settings.cluster, topics, partitions=settings.partitions, replication_factor=settings.replication_factor)


def _delete_lab_topic(settings: AlertsSettings, lab: str) -> None:
    delete_topic(settings.cluster, alerts_topic(lab).name)


def _open_reader(settings: AlertsSettings, since: Mapping[TopicPartition, int] | None = None) -> RecordReader:
    """Of the partitions that are named, from there; or of all."""
    _ensure(settings, [SCORES])
    return KafkaReader(
        settings.cluster,
        [SCORES.name],
        client_id="neutrality-alerts",
        start=since or "beginning",
        only=None if since is None else since.keys(),
    )


async def _stored(database: Database, intake: Intake, partitions: Partitions) -> Mapping[TopicPartition, int]:
    intake.forget()  # another instance may have read them meanwhile
    return await database.read(state.offsets_of, partitions)


async def _open_database(settings: AlertsSettings, instance: str) -> Database:
    """Waits for a server that does not answer yet."""
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await Database.open(settings.database(), instance)
        except DatabaseUnavailable as error:
            log.warning("database_awaited", error=str(error), retry_in_s=pause_s)
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
