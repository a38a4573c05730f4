"""The publisher on librdkafka (extra `fast`): kafka-python's promises at twice the speed. The only module that imports it."""

import logging
import threading
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from neutrality.broker.port import BrokerError, BrokerUnavailable, OutgoingRecord, PublishedRecord, RecordTooLarge
from neutrality.broker.publishing import BoundedPublisher, Sending

_POLL_S: Final = 0.1
_RECONNECT_LIMIT_MS: Final = 1_000
_MAX_RECORD_BYTES: Final = 1024 * 1024  # what kafka-python and the broker take by default; librdkafka's own is less
_TOO_LARGE: Final = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_NEVER_TAKEN: Final = frozenset({KafkaError.TOPIC_EXCEPTION, KafkaError.INVALID_RECORD})


class _Polled:
    """A producer and the thread in which its delivery reports arrive."""

    def __init__(self, settings: dict[str, Any], name: str) -> None:
        self.producer = Producer(settings, logger=logging.getLogger("librdkafka"))
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._poll_for_ever, name=f"{name}-reports", daemon=True)
        self._thread.start()

    def end(self, within_s: float) -> None:
        """Give up what is not written within this time; its reports say so."""
        self.producer.flush(within_s)
        self.producer.purge()
        self.producer.flush(_POLL_S)
        self._ended.set()
        self._thread.join()

    def _poll_for_ever(self) -> None:
        while not self._ended.is_set():
            self.producer.poll(_POLL_S)


class LibrdkafkaPublisher(BoundedPublisher[_Polled]):
    """A RecordPublisher on librdkafka; see `BoundedPublisher`."""

    def _connect(self) -> _Polled:
        limit_ms = int(self._deadline_s * 1000)
        settings = {
            "bootstrap.servers": self._cluster.servers,
            **self._cluster.access.librdkafka(),
            "client.id": self._client_id,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0,
            "partitioner": "murmur2_random",  # the Java client's, like kafka-python's: scoring looks for an entity where it puts it
            "message.max.bytes": _MAX_RECORD_BYTES,
            "allow.auto.create.topics": False,
            "topic.metadata.propagation.max.ms": limit_ms // 2,
            "delivery.timeout.ms": 2 * limit_ms,
            "request.timeout.ms": limit_ms,
            "reconnect.backoff.max.ms": _RECONNECT_LIMIT_MS,
            "queue.buffering.max.messages": 2 * self._max_in_flight,
            "queue.buffering.max.kbytes": 1 + 2 * self._max_in_flight_bytes // 1024,
        }
        return _Polled(settings, self._client_id)

    def _send(self, producer: _Polled, record: OutgoingRecord, sending: Sending, place: int) -> None:
        try:
            producer.producer.produce(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                timestamp=record.timestamp_ms or 0,
                on_delivery=partial(self._reported, sending, place, producer),
            )
        except KafkaException as error:
            if error.args[0].code() in _TOO_LARGE:
                raise RecordTooLarge(str(error)) from error
            self._retire_if_fatal(producer, error.args[0])
            raise BrokerUnavailable(str(error)) from error
        except BufferError as error:  # what was given up by us is still in its queue
            raise BrokerUnavailable(str(error)) from error

    def _reported(self, sending: Sending, place: int, producer: _Polled, error: KafkaError | None, message: Message) -> None:
        outcome: PublishedRecord | BrokerError
        partition, offset = message.partition(), message.offset()
        if error is None and partition is not None and offset is not None:
            outcome = PublishedRecord(sending.records[place].topic, partition, offset, message.timestamp()[1])
        elif error is None:
            outcome = BrokerUnavailable("Kafka did not tell where the record lies")
        elif error.code() in _TOO_LARGE:
            outcome = RecordTooLarge(str(error))
        elif error.code() in _NEVER_TAKEN:
            outcome = BrokerError(str(error))
        else:
            self._retire_if_fatal(producer, error)
            outcome = BrokerUnavailable(str(error))
        self._ended(sending, place, outcome)

    def _retire_if_fatal(self, producer: _Polled, error: KafkaError) -> None:
        """After a fatal error an idempotent producer takes nothing any more, and says so at once: no deadline would be missed."""
        if error.fatal() or error.code() == KafkaError._FATAL:  # noqa: SLF001 - a documented code; all of the client's own begin so
            self._loop.call_soon_threadsafe(self._retire, producer, str(error))

    def _end(self, producer: _Polled, *, within_s: float) -> None:
        producer.end(within_s)
