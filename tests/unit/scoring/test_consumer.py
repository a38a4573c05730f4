import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from neutrality.model.methodology import load_methodology
from services.scoring.batching.consumer import STUCK_AFTER_S, BatchConsumer, BatchConsumerThread
from services.scoring.batching.producer import BatchProducer
from services.scoring.batching.scheduler import BatchScheduler
from services.scoring.metrics import ScoringMetrics
from services.scoring.settings import ScoringSettings
from services.scoring.worker import ScoringApp, build_app
from tests.support.scoring import Consumed, batch

HERE = TP("neutrality.ownership", 0)


class _Thread(BatchConsumerThread):
    """Says how far it has fetched, and talks to nobody."""

    fetched = 0

    def fetched_to(self, tp: TP) -> int | None:
        return self.fetched


def with_app(tmp_path: Path, check: Callable[[ScoringApp, BatchConsumer], None]) -> None:
    async def run() -> None:
        app = build_app(
            ScoringSettings(data_dir=tmp_path),
            methodology=load_methodology(),
            metrics=ScoringMetrics(CollectorRegistry()),
            clock=lambda: datetime(2025, 6, 13, tzinfo=UTC),
            wall_clock_s=lambda: 0.0,
            stopwatch_s=lambda: 0.0,
        )
        consumer = app.consumer
        assert isinstance(consumer, BatchConsumer)
        check(app, consumer)

    asyncio.run(run())


def test_the_app_is_safe_by_its_settings(tmp_path: Path) -> None:
    def check(app: ScoringApp, consumer: BatchConsumer) -> None:
        assert app.conf.web_enabled is False
        assert app.conf.broker_session_timeout == 10.0
        assert app.conf.broker_heartbeat_interval == pytest.approx(10 / 3)
        assert [str(url) for url in app.conf.broker] == ["aiokafka://127.0.0.1:29092"]
        assert isinstance(consumer.scheduler, BatchScheduler)
        producer = app.producer
        assert isinstance(producer, BatchProducer)
        assert producer._settings_extra() == {"acks": "all", "enable_idempotence": True}
        assert producer._settings_default()["linger_ms"] == 0
        assert set(app.agents) == {"vertices"}
        assert set(app.tables) == {"vertices"}
        assert app.tables["vertices"].changelog_topic.get_topic_name() == "neutrality-scoring-vertices-changelog"

    with_app(tmp_path, check)


def test_only_what_was_applied_may_be_committed_whatever_faust_acknowledges(tmp_path: Path) -> None:
    def check(app: ScoringApp, consumer: BatchConsumer) -> None:
        consumer.ledger.restart({HERE: 0})
        consumer._committed_offset[HERE] = 0
        first = batch(*(Consumed(HERE.topic, 0, offset, b"k", b"v") for offset in (0, 3, 4)), end=7)
        message = consumer._to_message(HERE, first)
        assert message.offset == 6
        consumer.ack(message)
        assert consumer._filter_committable_offsets([HERE]) == {}
        consumer.applied(first)
        assert consumer._filter_committable_offsets([HERE]) == {HERE: 7}

    with_app(tmp_path, check)


def test_sources_are_fetched_only_once_the_flow_is_resumed(tmp_path: Path) -> None:
    """Faust seeks, then resumes the flow, which clears its queues: what was fetched in between would be gone."""

    def check(app: ScoringApp, consumer: BatchConsumer) -> None:
        consumer.pause_partitions({HERE})
        consumer.stop_flow()
        consumer.resume_partitions({HERE})
        assert HERE not in consumer._get_active_partitions()
        consumer.resume_flow()
        assert HERE in consumer._get_active_partitions()
        consumer.pause_partitions({HERE})
        consumer.resume_flow()
        assert HERE not in consumer._get_active_partitions()

    with_app(tmp_path, check)


def test_a_partition_that_was_fetched_further_than_applied_and_does_not_move_is_stuck(tmp_path: Path) -> None:
    def check(app: ScoringApp, consumer: BatchConsumer) -> None:
        thread: Any = _Thread(consumer, loop=consumer.loop)
        consumer._thread = thread
        consumer.ledger.restart({HERE: 5})
        thread.fetched = 5
        assert not consumer.is_stuck(0.0)
        thread.fetched = 9
        assert not consumer.is_stuck(1.0)
        assert not consumer.is_stuck(STUCK_AFTER_S)
        assert consumer.is_stuck(1.0 + STUCK_AFTER_S)
        consumer.ledger.applied(HERE, 5, 6)
        assert not consumer.is_stuck(2.0 + STUCK_AFTER_S)
        consumer.ledger.applied(HERE, 6, 9)
        assert not consumer.is_stuck(100.0)

    with_app(tmp_path, check)


def test_faust_remembers_no_read_offset_by_which_it_could_drop_what_is_read_again(tmp_path: Path) -> None:
    def check(app: ScoringApp, consumer: BatchConsumer) -> None:
        consumer._read_offset[HERE] = 100
        assert consumer._read_offset[HERE] is None

    with_app(tmp_path, check)
