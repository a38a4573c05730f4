"""Names the consumer and the producer of the batch path to Faust."""

from typing import ClassVar

from faust.transport.drivers.aiokafka import Transport as FaustTransport
from faust.types.transports import ConsumerT, ProducerT

from services.scoring.batching.consumer import BatchConsumer
from services.scoring.batching.producer import BatchProducer


class BatchTransport(FaustTransport):
    """aiokafka with whole batches."""

    Consumer: ClassVar[type[ConsumerT]] = BatchConsumer
    Producer: ClassVar[type[ProducerT]] = BatchProducer
