"""The job on Quix Streams: a stateful `apply`; the state in its RocksDB store with its changelog."""

from typing import Any

from quixstreams import Application, State

from benchmarks.throughput.fold import Job, Progress, fold


def run(job: Job) -> None:
    """Until SIGTERM, which Quix handles."""
    app = Application(
        broker_address=job.servers,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        state_dir=job.folder,
        commit_interval=1.0,
        producer_extra_config={
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "batch.size": 512 * 1024,
            "queue.buffering.max.messages": 1_000_000,
        },
        consumer_extra_config={"queued.min.messages": 200_000},
        loglevel="WARNING",
    )
    source = app.topic(job.source, key_deserializer="bytes", value_deserializer="json")
    output = app.topic(job.output, key_serializer="bytes", value_serializer="json")
    progress = Progress(job)

    def apply(event: dict[str, Any], state: State) -> Any:
        progress.begin()
        folded = fold(state.get("state"), event)
        state.set("state", folded)
        progress.done()
        return folded

    app.dataframe(source).apply(apply, stateful=True).to_topic(output)
    app.run()


if __name__ == "__main__":
    run(Job.of_this_process())
