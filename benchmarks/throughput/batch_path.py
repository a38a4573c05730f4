"""The job on our batch path: a small Faust app on `services.scoring.batching`, in the order of the engine.

Per batch: fold per key, states to the changelog, acknowledged, then into the table; then outputs, acknowledged; then the batch's offsets.
"""

import asyncio
import signal
from collections.abc import Callable, Iterable, MutableMapping
from typing import Any, Final, cast

import faust
import orjson
from faust.stores.memory import Store as FaustMemoryStore
from faust.types import EventT
from faust.types.stores import StoreT

from benchmarks.throughput.fold import PARTITIONS, Job, Progress, State, decode, fold
from services.scoring.batching.ledger import Admission
from services.scoring.batching.producer import MAX_BATCH_BYTES
from services.scoring.batching.records import RecordBatch
from services.scoring.batching.scheduler import BatchScheduler
from services.scoring.batching.transport import BatchTransport
from services.scoring.records import OutgoingRecord
from services.scoring.seeding import seed_offsets
from services.scoring.worker import MAX_FETCH_BYTES, QUEUED_BATCHES

BATCHES_IN_HAND: Final = 3


class StateStore(FaustMemoryStore[Any, Any]):
    """States by key in memory, recovered from batches of changelog records."""

    def apply_changelog_batch(
        self, batch: Iterable[EventT[Any]], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Take in what the changelog says; each of Faust's events is a batch of records."""
        del to_key, to_value
        for event in batch:
            self.data.update((record.key, decode(record.value)) for record in event.message.value.records)  # type: ignore[union-attr]


class StateTable(faust.Table[bytes, bytes]):
    """The table, on that store."""

    def _new_store(self) -> StoreT[Any, Any]:
        return StateStore("memory://", self.app, self, table_name=self.name, loop=self.loop)


def build_app(job: Job) -> faust.App:
    """The app, not started."""
    app = faust.App(
        job.group,
        broker=[f"aiokafka://{job.servers}"],
        datadir=job.folder,
        store="memory://",
        autodiscover=False,
        web_enabled=False,
        ConsumerScheduler=BatchScheduler,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=MAX_FETCH_BYTES,
        broker_commit_interval=1.0,
        producer_acks=-1,
        producer_linger=0.0,
        producer_max_batch_size=MAX_BATCH_BYTES,
        stream_buffer_maxsize=QUEUED_BATCHES,
        stream_wait_empty=False,
        stream_publish_on_commit=False,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        topic_partitions=PARTITIONS,
    )
    app.transport = app.producer_transport = BatchTransport(app.conf.broker, app)

    def raw_topic(name: str) -> Any:
        return app.topic(name, key_serializer="raw", value_serializer="raw", acks=False, allow_empty=True)

    table = StateTable(app, name="states", partitions=PARTITIONS, changelog_topic=raw_topic(job.changelog))
    app.tables.add(table)
    progress = Progress(job)

    @app.agent(raw_topic(job.source), name="states")
    async def apply_batches(stream: Any) -> None:
        # partitions overlap: one folds while others wait for Kafka; within a partition order holds (asyncio's locks are fair)
        turns = [asyncio.Lock() for _ in range(PARTITIONS)]
        room = asyncio.Semaphore(BATCHES_IN_HAND)

        async def take(batch: RecordBatch) -> None:
            async with turns[batch.tp.partition]:
                await apply(app, job, cast("StateStore", table.data).data, batch)
            progress.done(len(batch.records))
            room.release()

        async with asyncio.TaskGroup() as tasks:
            async for event in stream.events():
                progress.begin()
                await room.acquire()
                tasks.create_task(take(event.value))

    @app.on_partitions_revoked.connect(weak=False)
    async def revoked(_app: Any, _revoked: Any, **_: Any) -> None:
        app.consumer.ledger.forget()  # type: ignore[attr-defined]  # a BatchConsumer

    return app


async def apply(app: faust.App, job: Job, held: MutableMapping[bytes, State], batch: RecordBatch) -> None:
    """One batch, in an order that survives a crash at every point."""
    consumer: Any = app.consumer
    producer: Any = app.producer
    admission = consumer.admit(batch)
    if admission is Admission.HOLE:
        await consumer.read_again(batch.tp)
    if admission is not Admission.APPLY:
        return
    changed: dict[bytes, State] = {}
    for record in batch.records:
        key, value = record.key, record.value
        if key is not None and value is not None:
            changed[key] = fold(changed.get(key) or held.get(key), decode(value))
    values = [(key, _encoded(state)) for key, state in changed.items()]
    partition = batch.tp.partition
    await producer.write([OutgoingRecord(job.changelog, partition, key, value) for key, value in values])
    held.update(changed)
    await producer.write([OutgoingRecord(job.output, partition, key, value) for key, value in values])
    consumer.applied(batch)


def _encoded(state: State) -> bytes:
    # cut off a newline to get a copy: each result of orjson 3.13 that is kept holds 4 kB and costs a page fault, ten times the encoding
    return orjson.dumps(state, option=orjson.OPT_APPEND_NEWLINE)[:-1]


async def run(job: Job) -> None:
    """Until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await seed_offsets(job.servers, job.group, (job.source,), PARTITIONS)
    app = build_app(job)
    await app.start()
    await stop.wait()
    await app.stop()


if __name__ == "__main__":
    asyncio.run(run(Job.of_this_process()))
