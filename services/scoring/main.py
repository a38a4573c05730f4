"""The worker's process: settings, topics, offsets, metrics, the Faust app, signals.

Exit codes: 0 after SIGTERM or SIGINT, once the batch in hand is through; 1 after an error that is beyond repair here (a supervisor starts the worker
anew, and it recovers from the changelog); 2 if the settings are wrong. Kafka away at the start is waited for; away later, the producer
retries for as long as it takes, and what the consumer cannot bear stops the worker with 1.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, start_http_server
from pydantic import ValidationError

from neutrality.broker.errors import BrokerUnavailable, TopicMismatch
from neutrality.broker.kafka import ensure_topics, topic_id
from neutrality.model.methodology import load_methodology
from neutrality.telemetry.logs import configure_logs
from neutrality.telemetry.settings import wrong_settings
from neutrality.topics import TOPICS
from services.scoring import garbage
from services.scoring.batching.rocks import RocksVertices, StoreInUse
from services.scoring.batching.store import PartitionedVertices, Vertices
from services.scoring.metrics import ScoringMetrics
from services.scoring.resuming import log_bounds
from services.scoring.seeding import seed_offsets
from services.scoring.settings import ScoringSettings
from services.scoring.topics import changelog_topic
from services.scoring.worker import SOURCES, ScoringApp, beat_for_ever, build_app, tick_for_ever

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0
# Faust logs under the names of the classes that extend it
NOISY_LOGGERS: Final = ("faust", "mode", "aiokafka", "kafka", "services.scoring.batching", "services.scoring.worker")

log = structlog.get_logger(__name__)


class OncePerPause(logging.Filter):
    """Lets the libraries' same complaint through once in `PAUSE_S`: aiokafka repeats it 200 times a second while Kafka is away."""

    PAUSE_S: Final = 5.0

    def __init__(self) -> None:
        super().__init__()
        self._told_s: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to tell; ours always."""
        if record.name.partition(".")[0] not in ("aiokafka", "faust", "mode", "kafka"):
            return True
        complaint = (record.name, str(record.msg))
        if record.created - self._told_s.get(complaint, float("-inf")) < self.PAUSE_S:
            return False
        self._told_s[complaint] = record.created
        return True


def main() -> int:
    """Run a worker until it is told to stop; returns the exit code."""
    garbage.take_over()
    configure_logs()
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(OncePerPause())
    try:
        settings = ScoringSettings()
    except ValidationError as error:
        sys.stderr.write(f"scoring: {wrong_settings(error, 'SCORING_')}\n")
        return EXIT_USAGE
    return asyncio.run(serve(settings))


async def serve(settings: ScoringSettings) -> int:
    """One worker's life, from Kafka's first answer to the stop; returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    registry = CollectorRegistry()
    metrics = ScoringMetrics(registry)
    try:
        server, thread = start_http_server(
            settings.metrics_port,
            settings.metrics_host,
            registry,
            certfile=None if settings.tls_cert_file is None else str(settings.tls_cert_file),
            keyfile=None if settings.tls_key_file is None else str(settings.tls_key_file),
        )
    except OSError as error:
        log.error("metrics_port_unusable", host=settings.metrics_host, port=settings.metrics_port, error=str(error))  # noqa: TRY400  the operator's to mend
        return EXIT_USAGE
    log.info("metrics_served", host=settings.metrics_host, port=server.server_port)
    vertices: Vertices | None = None
    try:
        vertices = open_vertices(settings)
        if not await _unless(stop, _prepare(settings, vertices, metrics)):
            return EXIT_OK
        at_start = datetime.now(UTC)  # noqa: TID251  the shell's clock
        app = build_app(
            settings,
            vertices=vertices,
            methodology=load_methodology(),
            metrics=metrics,
            clock=lambda: settings.service_time(at_start, datetime.now(UTC)),  # noqa: TID251  the shell's clock
            wall_clock_s=time.time,  # noqa: TID251  the shell's clock
            stopwatch_s=time.perf_counter,
        )
        return await _run(app, settings, metrics, stop)
    except (KafkaError, BrokerUnavailable) as error:
        log.error("kafka_unavailable", servers=settings.bootstrap_servers, error=str(error))  # noqa: TRY400  no fault of the code
        return EXIT_FAILED
    except TopicMismatch as error:
        log.error("topics_mismatch", error=str(error))  # noqa: TRY400  the operator's to mend
        return EXIT_USAGE
    except StoreInUse as error:
        log.error("store_unusable", error=str(error))  # noqa: TRY400  the operator's to mend
        return EXIT_USAGE
    finally:
        if vertices is not None:
            vertices.close()
        server.shutdown()
        server.server_close()
        thread.join()


async def _run(app: ScoringApp, settings: ScoringSettings, metrics: ScoringMetrics, stop: asyncio.Event) -> int:
    """Start the app and wait for the first of: a signal, the engine's failure, the app's crash."""
    stopped = asyncio.ensure_future(stop.wait())
    started = asyncio.ensure_future(app.start())
    ticking = asyncio.ensure_future(tick_for_ever(app, metrics, settings.tick_interval_s))
    beating = asyncio.ensure_future(beat_for_ever(app, settings.session_timeout_s))
    crashed = asyncio.ensure_future(app.wait_until_stopped())
    watched: set[asyncio.Future[Any]] = {stopped, app.engine.failure, ticking, beating, crashed, started}
    while started in watched:
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
        if done - {started} or started.exception() is not None:
            break
        watched.discard(started)
        log.info("scoring_ready", group=settings.group, servers=settings.bootstrap_servers)
    else:
        done, _ = await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
    code = EXIT_OK if stopped in done else EXIT_FAILED
    if code == EXIT_FAILED:
        log.error("scoring_stops", reason=_reason(app, done))
    for task in (ticking, beating, crashed, stopped):
        task.cancel()
    try:
        async with asyncio.timeout(settings.stop_grace_s):
            if code == EXIT_OK:
                await app.engine.close()
            await app.scores.close()
            await app.stop()
    except (TimeoutError, KafkaError, RuntimeError) as error:
        # threads of Faust may hang on a Kafka that is away: what is not acknowledged is not committed, so leaving is safe
        log.error("scoring_stop_forced", error=repr(error))  # noqa: TRY400  it is told, and the process ends
        _leave(EXIT_FAILED)
    if code == EXIT_FAILED:
        _leave(code)
    log.info("scoring_stopped")
    return code


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _reason(app: ScoringApp, done: set[asyncio.Future[Any]]) -> str:
    if app.engine.failure.done():
        return repr(app.engine.failure.result())
    if app.crash_reason is not None:
        return repr(app.crash_reason)
    errors = [repr(future.exception()) for future in done if not future.cancelled() and future.exception() is not None]
    return "; ".join(errors) or "Faust stopped by itself"


def open_vertices(settings: ScoringSettings) -> Vertices:
    """The store that the settings name.

    Raises:
        StoreInUse: its folder cannot be used.
    """
    if settings.store == "memory":
        return PartitionedVertices()
    path = settings.data_dir / f"{settings.changelog}.rocksdb"
    return RocksVertices(path, cached=settings.cached_vertices, wall_clock_s=time.time)  # noqa: TID251  the shell's clock


async def _prepare(settings: ScoringSettings, vertices: Vertices, metrics: ScoringMetrics) -> None:
    """Topics, offsets and what is kept of earlier runs, once Kafka answers."""
    topics = (*TOPICS, changelog_topic(settings.changelog))
    servers = settings.cluster

    async def attempt() -> None:
        await asyncio.to_thread(
            ensure_topics, servers, topics, partitions=settings.partitions, replication_factor=settings.replication_factor
        )
        await seed_offsets(servers, settings.group, SOURCES, settings.partitions, settings.changelog)
        if isinstance(vertices, RocksVertices):
            vertices.belongs_to(await asyncio.to_thread(topic_id, servers, settings.changelog))
            if wiped := vertices.keep_within(await log_bounds(servers, settings.changelog, vertices.kept())):
                log.warning("kept_vertices_outside_the_log", partitions=wiped)

    await _patiently(attempt, settings.kafka_patience_s, metrics)


async def _patiently(attempt: Callable[[], Awaitable[None]], patience_s: float, metrics: ScoringMetrics) -> None:
    """Try until it works; raises the last error when patience is at an end."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return await attempt()
        except (KafkaError, BrokerUnavailable) as error:
            if loop.time() + pause_s > deadline:
                raise
            metrics.broker_errors.inc()
            log.warning("kafka_awaited", error=str(error), retry_in_s=pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(LONGEST_PAUSE_S, pause_s * 2)


async def _unless(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Do the work; False if a stop came first."""
    stopped = asyncio.ensure_future(stop.wait())
    working = asyncio.ensure_future(work)
    await asyncio.wait({stopped, working}, return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if not working.done():
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        return False
    working.result()
    return True
