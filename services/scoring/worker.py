"""The Faust app: one agent, one table, the three co-partitioned topics; all that it does is to hand batches to the engine.

Faust brings membership, assignment, the changelog's recovery and the fetch loop. `batching` replaces its per-message path, its offsets and its
sends; `engine` its error handling: an exception in an agent's body makes stock Faust skip the message and commit it, here nothing
is committed that the engine has not acknowledged, and the worker stops.
"""

import asyncio
from collections.abc import AsyncIterable, Callable
from datetime import datetime, timedelta
from typing import Any, Final

import faust
import structlog
from faust.types import TP

from neutrality.broker.access import Access
from neutrality.model.methodology import Methodology
from neutrality.topics import CONTRACTS, LARGE_RECORD_BYTES, MESSAGES, OWNERSHIP
from services.scoring import garbage
from services.scoring.batching.consumer import BatchConsumer
from services.scoring.batching.producer import MAX_BATCH_BYTES, BatchProducer
from services.scoring.batching.records import RecordBatch
from services.scoring.batching.scheduler import BatchScheduler
from services.scoring.batching.store import PartitionedVertices, VertexTable, Vertices
from services.scoring.batching.transport import BatchTransport
from services.scoring.engine import Engine, EngineStopped, Plan
from services.scoring.metrics import ScoringMetrics
from services.scoring.partitions import partition_of
from services.scoring.results import KafkaScoresTopic
from services.scoring.settings import ScoringSettings

SOURCES: Final = (OWNERSHIP.name, CONTRACTS.name, MESSAGES.name)
MAX_FETCH_BYTES: Final = 6 * 1024 * 1024  # a partition; some 10,000 events
QUEUED_BATCHES: Final = 8  # batches between fetch and engine: at most 80,000 records in memory
HEARTBEATS_PER_SESSION: Final = 3
BEATS_PER_SESSION: Final = 10

log = structlog.get_logger("services.scoring.stream")  # not the module: Faust logs under its name


class ScoringApp(faust.App):
    """A Faust app with its engine."""

    engine: Engine
    scores: KafkaScoresTopic


def build_app(
    settings: ScoringSettings,
    *,
    vertices: Vertices | None = None,
    methodology: Methodology,
    metrics: ScoringMetrics,
    clock: Callable[[], datetime],
    wall_clock_s: Callable[[], float],
    stopwatch_s: Callable[[], float],
) -> ScoringApp:
    """The app, not started. Call in the event loop that it is to run in; its topics must exist and its offsets be seeded.

    `vertices` hold the states; memory by default.
    """
    app = _new_app(settings)
    app.transport = app.producer_transport = BatchTransport(app.conf.broker, app)
    table = VertexTable(
        app,
        vertices=vertices or PartitionedVertices(),
        name="vertices",
        partitions=settings.partitions,
        changelog_topic=_raw_topic(app, settings.changelog),
    )
    app.tables.add(table)
    plan = Plan(
        methodology,
        settings.changelog,
        settings.partitions,
        partition_of(settings.partitions),
        timedelta(seconds=settings.put_off_s),
        clock,
        wall_clock_s,
        stopwatch_s,
    )
    scores = app.scores = KafkaScoresTopic(settings.cluster)
    engine = app.engine = Engine(
        plan, metrics, reader=lambda: _consumer(app), writer=lambda: _producer(app), store=lambda: table.vertices, scores=scores
    )

    @app.agent(_raw_topic(app, *SOURCES), name="vertices")
    async def apply_batches(stream: Any) -> None:
        await _apply_all(stream, engine)

    @table.on_recover
    async def recovered() -> None:
        await engine.recovered()

    @app.on_partitions_assigned.connect(weak=False)
    async def assigned(_app: Any, _assigned: set[TP], **_: Any) -> None:
        metrics.rebalances.inc()

    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(_app: Any, _revoked: set[TP], **_: Any) -> None:
        consumer = _consumer(app)
        await engine.give_up(consumer.commit)
        consumer.ledger.forget()

    return app


async def tick_for_ever(app: ScoringApp, metrics: ScoringMetrics, interval_s: float) -> None:
    """Look for due vertices and note the lag, until cancelled or the engine stops."""
    while True:
        await asyncio.sleep(interval_s)
        if app.engine.ready:
            consumer = _consumer(app)
            metrics.lag.set(consumer.lag_records())
            if consumer.is_stuck(app.loop.time()) and not app.engine.busy:
                metrics.rereads.inc()
                log.warning("log_read_again_after_a_stall")
                await consumer.perform_seek()
            await app.engine.tick()
            while await app.engine.catch_up():
                pass
            await app.engine.renew()
            await app.engine.say_again_after_others()
            garbage.collect(behind=app.engine.behind)


async def beat_for_ever(app: ScoringApp, session_s: float) -> None:
    """Let the engine notice that the process was stopped, until cancelled."""
    while True:
        await asyncio.sleep(session_s / BEATS_PER_SESSION)
        app.engine.beat(session_s)


async def _apply_all(stream: Any, engine: Engine) -> None:
    events: AsyncIterable[Any] = stream.events()
    async for event in events:
        batch = event.value
        if not isinstance(batch, RecordBatch):
            engine.fail(TypeError(f"expected a RecordBatch, got {type(batch).__name__}"))
            return
        try:
            await engine.apply(batch)
            while await engine.catch_up():
                pass
        except EngineStopped:
            # not raised on: Faust would restart the agent and go on with the next message
            await asyncio.Event().wait()


def _new_app(settings: ScoringSettings) -> ScoringApp:
    return ScoringApp(
        settings.group,
        broker=[f"aiokafka://{server}" for server in settings.bootstrap_servers.split(",")],
        broker_credentials=_credentials(settings.cluster.access),
        datadir=str(settings.data_dir),
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        processing_guarantee="at_least_once",
        ConsumerScheduler=BatchScheduler,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=MAX_FETCH_BYTES,
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.session_timeout_s / HEARTBEATS_PER_SESSION,
        broker_commit_interval=settings.commit_interval_s,
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_batch_size=MAX_BATCH_BYTES,
        producer_max_request_size=LARGE_RECORD_BYTES,
        stream_buffer_maxsize=QUEUED_BATCHES,
        stream_wait_empty=False,  # the engine's gate does the waiting
        stream_publish_on_commit=False,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=settings.partitions,
    )


def _credentials(access: Access) -> Any:
    """The same in Faust's words; None where Kafka is talked to plainly."""
    context = access.ssl_context()
    if access.mechanism is not None:
        return faust.SASLCredentials(
            username=access.username, password=access.password, mechanism=access.mechanism, ssl_context=context
        )
    return None if context is None else faust.SSLCredentials(context)


def _raw_topic(app: faust.App, *names: str) -> Any:
    # acks=False: Faust keeps no account of its own, see BatchConsumer
    return app.topic(*names, key_serializer="raw", value_serializer="raw", acks=False, allow_empty=True)


def _consumer(app: faust.App) -> BatchConsumer:
    consumer = app.consumer
    if not isinstance(consumer, BatchConsumer):
        raise TypeError(f"{type(consumer).__name__} is no BatchConsumer")
    return consumer


def _producer(app: faust.App) -> BatchProducer:
    producer = app.producer
    if not isinstance(producer, BatchProducer):
        raise TypeError(f"{type(producer).__name__} is no BatchProducer")
    return producer
