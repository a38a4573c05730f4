"""The job on Bytewax: `stateful_map` on keys, two Kafka sinks. Its own recovery knows snapshots in SQLite; the changelog is a second sink here."""

from typing import Any

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSinkMessage
from bytewax.connectors.kafka import operators as kop
from bytewax.dataflow import Dataflow
from bytewax.run import cli_main

from benchmarks.throughput.fold import Event, Job, Progress, State, decode, encode, fold

BATCH_RECORDS = 10_000


def build_flow(job: Job) -> Any:
    """The dataflow."""
    progress = Progress(job)
    flow = Dataflow("states")
    read = kop.input(
        "read",
        flow,
        brokers=[job.servers],
        topics=[job.source],
        batch_size=BATCH_RECORDS,
        add_config={"queued.min.messages": "200000"},
    )

    def keyed(message: Any) -> tuple[str, Event]:
        progress.begin()
        return message.key.decode(), decode(message.value)

    def advance(state: State | None, event: Event) -> tuple[State, State]:
        folded = fold(state, event)
        progress.done()
        return folded, folded

    def message(item: tuple[str, State]) -> Any:
        key, state = item
        return KafkaSinkMessage(key.encode(), encode(state))

    states = op.stateful_map("fold", op.map("decode", read.oks, keyed), advance)
    messages = op.map("encode", states, message)
    settings = {
        "acks": "all",
        "enable.idempotence": "true",
        "linger.ms": "5",
        "batch.size": str(512 * 1024),
        "queue.buffering.max.messages": "1000000",
        "partitioner": "murmur2_random",
    }
    kop.output("changelog", messages, brokers=[job.servers], topic=job.changelog, add_config=settings)
    kop.output("output", messages, brokers=[job.servers], topic=job.output, add_config=settings)
    return flow


if __name__ == "__main__":
    cli_main(build_flow(Job.of_this_process()))
