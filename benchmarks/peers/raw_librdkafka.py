"""The job on librdkafka (confluent-kafka) without an engine: consume, decode, fold in a dict, produce twice."""

import signal
import time

from confluent_kafka import Consumer, Message, Producer

from benchmarks.throughput.fold import Job, Progress, State, decode, encode, fold

MAX_RECORDS = 10_000
COMMIT_INTERVAL_S = 1.0


def run(job: Job) -> None:
    """Until SIGTERM."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    failed: list[object] = []

    def delivered(error: object, _message: Message) -> None:
        failed.append(error)

    consumer = Consumer(
        {
            "bootstrap.servers": job.servers,
            "group.id": job.group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "queued.min.messages": 200_000,
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": job.servers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 5,
            "batch.size": 512 * 1024,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 1_000_000,
            "delivery.report.only.error": True,
            "on_delivery": delivered,
        }
    )
    consumer.subscribe([job.source])
    states: dict[bytes, State] = {}
    progress = Progress(job)
    committed_s = time.monotonic()
    dirty = False
    while not stopped and not failed:
        messages = consumer.consume(MAX_RECORDS, 0.05)
        if messages:
            progress.begin()
            for message in messages:
                if message.error() is not None:
                    raise RuntimeError(str(message.error()))
                key, partition, value = message.key(), message.partition(), message.value()
                if key is None or partition is None or value is None:
                    raise RuntimeError("a record without a key or a value")
                state = states[key] = fold(states.get(key), decode(value))
                value = encode(state)
                producer.produce(job.changelog, value, key, partition)
                producer.produce(job.output, value, key, partition)
            producer.poll(0)
            progress.done(len(messages))
            dirty = True
        if dirty and time.monotonic() - committed_s >= COMMIT_INTERVAL_S:
            producer.flush()  # what is committed is in Kafka
            consumer.commit(asynchronous=False)
            committed_s, dirty = time.monotonic(), False
    producer.flush()
    if dirty and not failed:
        consumer.commit(asynchronous=False)
    consumer.close()
    if failed:
        raise RuntimeError(f"not delivered: {failed[0]}")


if __name__ == "__main__":
    run(Job.of_this_process())
