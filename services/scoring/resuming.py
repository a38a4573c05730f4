"""Where the partitions of a log begin and end, to see whether what is kept of it on disk still belongs to it."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from neutrality.broker.access import Where, cluster_at

_CONSUMER: Final[Callable[..., Any]] = AIOKafkaConsumer


async def log_bounds(where: Where, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
    """First offset and the one after the last, by partition.

    Raises:
        KafkaError: Kafka is away.
    """
    tps = [TopicPartition(topic, partition) for partition in partitions]
    if not tps:
        return {}
    consumer = _CONSUMER(**cluster_at(where).aiokafka(), enable_auto_commit=False)
    await consumer.start()
    try:
        starts, ends = await consumer.beginning_offsets(tps), await consumer.end_offsets(tps)
        return {tp.partition: (starts[tp], ends[tp]) for tp in tps}
    finally:
        await consumer.stop()
