"""Where the partitions of a log begin and end, to see whether what is kept of it on disk still belongs to it."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

_CONSUMER: Final[Callable[..., Any]] = AIOKafkaConsumer


async def log_bounds(bootstrap_servers: str, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """First offset and the one after the last, by partition.

    Raises:
        KafkaError: Kafka is away.
    """
    tps = [TopicPartition(topic, partition) for partition in partitions]
    if not tps:
        return {}
    consumer = _CONSUMER(bootstrap_servers=bootstrap_servers, enable_auto_commit=False)
    await consumer.start()
    try:
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        return {tp.partition: (starts[tp], ends[tp]) for tp in tps}
    finally:
        await consumer.stop()
