"""The topics are waited for, quietly."""

import asyncio
import threading

from structlog.testing import capture_logs

from neutrality.broker.port import BrokerUnavailable, TopicMismatch
from services.ingest.preparation import TopicPreparation


def test_topics_are_tried_until_they_are_there_with_one_log_line_a_state() -> None:
    failures = [BrokerUnavailable("away"), BrokerUnavailable("away"), TopicMismatch("other"), TopicMismatch("other")]

    def ensure() -> None:
        if failures:
            raise failures.pop(0)

    preparation = TopicPreparation(ensure, first_pause_s=0.001)
    assert not preparation.done
    with capture_logs() as logs:
        asyncio.run(preparation.run())
    assert preparation.done
    assert [(line["event"], line.get("error")) for line in logs] == [
        ("topics_awaited", "BrokerUnavailable"),
        ("topics_awaited", "TopicMismatch"),
        ("topics_ready", None),
    ]


def test_a_stop_does_not_wait_for_a_kafka_that_hangs() -> None:
    release = threading.Event()

    async def stop_soon() -> None:
        running = asyncio.create_task(TopicPreparation(lambda: (release.wait(20), None)[1]).run())
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.wait([running])
        assert running.cancelled()

    async def bounded() -> None:
        async with asyncio.timeout(2):
            await stop_soon()

    asyncio.run(bounded())
    release.set()
