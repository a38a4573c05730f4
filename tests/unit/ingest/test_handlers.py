"""The log says when Kafka stops and starts to answer, once each."""

import asyncio
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from neutrality.broker.memory import MemoryBroker
from neutrality.broker.port import BrokerUnavailable
from services.ingest.handlers import Intake, to_record
from services.ingest.metrics import IngestMetrics
from services.ingest.received import OwnWrites, ReceivedInMemory
from tests.support.events import vendor
from tests.support.ingest import new_identities

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def test_one_log_line_per_change_of_kafkas_state() -> None:
    broker = MemoryBroker()
    registry = CollectorRegistry()
    seconds = iter(range(100))
    intake = Intake(
        broker.publisher(),
        ReceivedInMemory(),
        OwnWrites(),
        new_identities(),
        IngestMetrics(registry),
        clock=lambda: NOW,
        stopwatch_s=lambda: float(next(seconds)),
    )
    names = iter(range(100))

    async def publish() -> None:
        event = vendor(f"v{next(names)}")
        await intake.publish([event], [to_record(event, NOW)])

    with capture_logs() as logs:
        asyncio.run(publish())
        broker.fail_with(BrokerUnavailable("away"))
        for _ in range(3):
            with pytest.raises(BrokerUnavailable):
                asyncio.run(publish())
        broker.fail_with(None)
        asyncio.run(publish())
        asyncio.run(publish())
    assert [line["event"] for line in logs] == ["kafka_does_not_answer", "kafka_answers_again"]
    assert registry.get_sample_value("ingest_publish_seconds_count") == 6
    assert registry.get_sample_value("ingest_publish_seconds_sum") == 6.0
    assert registry.get_sample_value("ingest_broker_errors_total", {"kind": "unavailable"}) == 3
    assert registry.get_sample_value("ingest_events_accepted_total", {"type": "entity"}) == 3
