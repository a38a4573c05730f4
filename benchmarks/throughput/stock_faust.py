"""The job on faust-streaming as it comes: an agent, a table, one `send` for each event."""

import asyncio
import signal
from typing import Any

import faust

from benchmarks.throughput.fold import PARTITIONS, Job, Progress, fold
from services.scoring.seeding import seed_offsets


def build_app(job: Job) -> faust.App:
    """The app, not started."""
    app = faust.App(
        job.group,
        broker=f"aiokafka://{job.servers}",
        datadir=job.folder,
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=1.0,
        producer_acks=-1,
        producer_max_batch_size=128 * 1024,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=PARTITIONS,
    )
    source = app.topic(job.source, key_type=bytes, key_serializer="raw", value_serializer="json")
    output = app.topic(job.output, key_type=bytes, key_serializer="raw", value_serializer="json")
    table = app.Table("states", partitions=PARTITIONS, key_type=bytes)
    progress = Progress(job)

    @app.agent(source, name="states")
    async def apply(stream: Any) -> None:
        async for key, event in stream.items():
            progress.begin()
            state = table[key] = fold(table.get(key), event)
            await output.send(key=key, value=state)
            progress.done()

    return app


async def run(job: Job) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await seed_offsets(job.servers, job.group, (job.source,), PARTITIONS)  # it loses events without
    app = build_app(job)
    await app.start()
    await stop.wait()
    await app.stop()


if __name__ == "__main__":
    asyncio.run(run(Job.of_this_process()))
