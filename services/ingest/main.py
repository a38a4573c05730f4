"""Ingest's process: settings, publisher, topics in the background, HTTP, signals.

Exit codes: 0 after SIGTERM or SIGINT, once the requests in hand are answered; 1 after an unexpected error; 2 if the settings are wrong or the
address is taken. Kafka away, at the start or later, ends nothing: ingest stays live, says that it is not ready, and answers 503.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from neutrality.broker.kafka import KafkaPublisher, KafkaReader, ensure_topics, topic_id
from neutrality.broker.port import ConsumedRecord
from neutrality.broker.publishing import BoundedPublisher
from neutrality.http import EXIT_MISUSE, EXIT_OK, serve
from neutrality.key_file import KeysUnusable
from neutrality.model.methodology import load_methodology
from neutrality.telemetry.logs import configure_logs
from neutrality.telemetry.settings import wrong_settings
from neutrality.topics import REJECTED
from neutrality.verification.log import read_to_end
from services.ingest.entrypoints.http import build_app, openapi_document
from services.ingest.following import Following
from services.ingest.gate import Gate
from services.ingest.handlers import INPUT_TOPICS, Intake
from services.ingest.identities import Identities
from services.ingest.keeping import Keeper
from services.ingest.kept import ReceivedOnDisk, StoreInUse
from services.ingest.metrics import IngestMetrics
from services.ingest.moving import Mover
from services.ingest.preparation import TopicPreparation
from services.ingest.received import OwnWrites
from services.ingest.settings import IngestSettings

EXIT_FAILED: Final = 1
_INPUTS: Final = tuple(topic.name for topic in INPUT_TOPICS)

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def main() -> int:  # noqa: PLR0911 - each way to end has its code
    """Run until told to stop; returns the exit code. With `--openapi`, print the OpenAPI document instead."""
    if sys.argv[1:] == ["--openapi"]:
        sys.stdout.write(openapi_document())
        return EXIT_OK
    if sys.argv[1:]:
        sys.stderr.write("ingest: takes no arguments but --openapi; settings come from INGEST_... variables\n")
        return EXIT_MISUSE
    configure_logs()
    try:
        settings = IngestSettings()
        open_publisher = publisher_of(settings.producer)
    except (ValidationError, ImportError) as error:
        missing = f"INGEST_PRODUCER=librdkafka needs the extra `fast`: {error}"
        sys.stderr.write(f"ingest: {wrong_settings(error, 'INGEST_') if isinstance(error, ValidationError) else missing}\n")
        return EXIT_MISUSE
    try:
        received = ReceivedOnDisk(settings.data_dir)
    except StoreInUse as error:
        _log.error("store_unusable", error=str(error))
        return EXIT_MISUSE
    try:
        return asyncio.run(run(settings, received, open_publisher))
    except KeysUnusable as error:
        _log.error("publishers_unusable", error=str(error))
        return EXIT_MISUSE
    except Exception:  # noqa: BLE001 - logged, and the exit code tells the supervisor
        _log.exception("ingest_failed")
        return EXIT_FAILED
    finally:
        received.close()


def publisher_of(library: str) -> type[BoundedPublisher[Any]]:
    """The publisher that the setting names. Raises ImportError if its extra is not installed."""
    if library == "kafka-python":
        return KafkaPublisher
    from neutrality.broker.librdkafka import LibrdkafkaPublisher  # noqa: PLC0415  an extra

    return LibrdkafkaPublisher


async def run(settings: IngestSettings, received: ReceivedOnDisk, open_publisher: type[BoundedPublisher[Any]]) -> int:
    """One process's life; returns the exit code."""
    registry = CollectorRegistry()
    metrics = IngestMetrics(registry)
    preparation = TopicPreparation(
        partial(
            ensure_topics,
            settings.cluster,
            (*INPUT_TOPICS, REJECTED) if settings.keep_rejected else INPUT_TOPICS,
            partitions=settings.partitions,
            replication_factor=settings.replication_factor,
        )
    )
    publisher = open_publisher(
        settings.cluster,
        client_id="ingest",
        deadline=settings.deadline,
        max_in_flight=settings.max_in_flight,
        max_in_flight_bytes=settings.max_in_flight_bytes,
    )
    gate = Gate(settings.api_keys_file, metrics, clock=_now)
    stopping = asyncio.Event()
    following: Following | None = None
    own = OwnWrites()
    identities = Identities(received.identities(), load_methodology())
    intake = Intake(publisher, received, own, identities, metrics, clock=_now, stopwatch_s=time.perf_counter)
    open_reader = partial(KafkaReader, settings.cluster, _INPUTS)
    mover = Mover(identities, publisher, partial(_read_log, partial(open_reader, client_id="ingest-moving")), metrics, clock=_now)

    async def prepare() -> None:
        nonlocal following
        await preparation.run()
        following = Following(
            received,
            own,
            identities,
            partial(open_reader, client_id="ingest-following"),
            lambda: " ".join(topic_id(settings.cluster, name) for name in _INPUTS),
        )
        await mover.run()

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        preparing = asyncio.create_task(prepare(), name="ingest-topics")
        letting_in = asyncio.create_task(gate.follow(), name="ingest-keys")
        try:
            yield
        finally:
            letting_in.cancel()
            if following is not None:
                following.stop()
            preparing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await preparing

    app = build_app(
        settings,
        intake,
        metrics,
        registry,
        topics_are_ready=lambda: following is not None and following.caught_up,
        gate=gate,
        keeper=Keeper(publisher if settings.keep_rejected else None, metrics, clock=_now),
        stopping=stopping,
        lifespan=lifespan,
    )
    try:
        return await serve(
            app,
            settings.host,
            settings.port,
            on_stop=stopping.set,
            certificate=(settings.tls_cert_file, settings.tls_key_file),
        )
    finally:
        await publisher.close()


def _read_log(open_reader: Callable[[], KafkaReader]) -> Iterator[ConsumedRecord]:
    """Everything on the input topics. Raises BrokerUnavailable."""
    with contextlib.closing(open_reader()) as reader:
        yield from read_to_end(reader)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the shell's clock
