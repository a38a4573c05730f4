"""The broker ports on kafka-python 3. The only module that imports it.

kafka-python's `send()` blocks while metadata is missing, its buffer has no bound, and after an outage longer than its delivery timeout its
idempotent producer may never resolve a future again: `BoundedPublisher` is what we have around it.
"""

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaTopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError

from neutrality.broker.access import Where, cluster_at
from neutrality.broker.port import (
    BrokerUnavailable,
    ConsumedRecord,
    OutgoingRecord,
    PublishedRecord,
    RecordTooLarge,
    TopicMismatch,
    TopicPartition,
)
from neutrality.broker.publishing import BoundedPublisher, Sending
from neutrality.topics import DEFAULT_PARTITIONS, Topic

log = structlog.get_logger(__name__)

_CONNECT_LIMIT: Final = timedelta(seconds=1)
_ADMIN_LIMIT_MS: Final = 10_000
_RECONNECT_LIMIT_MS: Final = 1_000  # the library's 30 s would keep a service waiting long after Kafka is back
_MAX_POLL_RECORDS: Final = 2_000


def ensure_topics(
    bootstrap_servers: Where, topics: Iterable[Topic], *, partitions: int = DEFAULT_PARTITIONS, replication_factor: int = 1
) -> None:
    """Create the topics that are missing, and check those that are there.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        TopicMismatch: a topic has another cleanup policy than declared, or another number of partitions (one that declares its own may have any).
    """
    declared = {topic.name: topic for topic in topics}
    admin = connect_admin(bootstrap_servers)
    try:
        missing = sorted(declared.keys() - set(admin.list_topics()))
        for name in missing:
            settings = {
                "num_partitions": declared[name].partitions or partitions,
                "replication_factor": replication_factor,
                "configs": declared[name].config,
            }
            with contextlib.suppress(TopicAlreadyExistsError):  # another service was faster
                admin.create_topics({name: settings}, wait_for_metadata=True)
        _check(admin, declared, partitions)
    except KafkaError as error:
        raise BrokerUnavailable(f"Kafka at {bootstrap_servers} did not create or describe the topics: {error}") from error
    finally:
        admin.close()


def delete_topic(bootstrap_servers: Where, name: str) -> None:
    """Remove a topic with all that is in it; one that is not there is none to remove.

    Raises:
        BrokerUnavailable: Kafka does not answer, or does not remove it.
    """
    admin = connect_admin(bootstrap_servers)
    try:
        if name in admin.list_topics():
            admin.delete_topics([name])
    except KafkaError as error:
        raise BrokerUnavailable(f"Kafka at {bootstrap_servers} did not remove {name}: {error}") from error
    finally:
        admin.close()


def topic_id(bootstrap_servers: Where, name: str) -> str:
    """What tells a topic from one of the same name that was there before it, or is in another cluster.

    Raises:
        BrokerUnavailable: Kafka does not answer, or does not know the topic.
    """
    admin = connect_admin(bootstrap_servers)
    try:
        return str(admin.describe_topics([name])[0]["topic_id"])
    except (KafkaError, LookupError) as error:
        raise BrokerUnavailable(f"Kafka at {bootstrap_servers} does not describe {name}: {error}") from error
    finally:
        admin.close()


def connect_admin(bootstrap_servers: Where) -> KafkaAdminClient:
    """For what kafka-python has beyond our ports; who connects closes it. Raises BrokerUnavailable."""
    try:
        return KafkaAdminClient(
            **_client_settings(bootstrap_servers),
            request_timeout_ms=_ADMIN_LIMIT_MS,
            bootstrap_timeout_ms=_ADMIN_LIMIT_MS,
            reconnect_backoff_max_ms=_RECONNECT_LIMIT_MS,
        )
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"no Kafka at {bootstrap_servers}: {error}") from error


def _client_settings(where: Where) -> dict[str, Any]:
    cluster = cluster_at(where)
    return {"bootstrap_servers": cluster.servers.split(","), **cluster.access.kafka_python()}


def _check(admin: KafkaAdminClient, declared: Mapping[str, Topic], partitions: int) -> None:
    found = {item["name"]: len(item["partitions"]) for item in admin.describe_topics(sorted(declared))}
    unfinished = sorted(name for name, count in found.items() if count == 0)
    if unfinished:  # another service is creating them at this moment
        raise BrokerUnavailable(f"Kafka does not tell the partitions of {', '.join(unfinished)} yet")
    wrong = [
        f"{name} has {count} partitions, not {partitions}"
        for name, count in sorted(found.items())
        if count != partitions and declared[name].partitions is None
    ]
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(declared)]
    for name, configs in admin.describe_configs(resources, config_filter="all")["topic"].items():
        # retention too: the input topics are the source of truth, and a topic that a client's first record made keeps seven days
        for setting, value in sorted(declared[name].config.items()):
            if setting not in configs:  # a topic that was made a moment ago is described without its settings
                raise BrokerUnavailable(f"Kafka does not tell {setting} of {name} yet")
            if (there := configs[setting]["value"]) != value:
                wrong.append(f"{name} has {setting} {there}, not {value}")
    if wrong:
        raise TopicMismatch("; ".join(wrong) + ". Give the declared settings, or alter the topic")


class KafkaPublisher(BoundedPublisher[KafkaProducer]):
    """A RecordPublisher on kafka-python; see `BoundedPublisher`."""

    def _connect(self) -> KafkaProducer:
        limit_ms = int(self._deadline_s * 1000)
        try:
            return KafkaProducer(
                **_client_settings(self._cluster),
                client_id=self._client_id,
                enable_idempotence=True,
                acks="all",
                linger_ms=0,
                allow_auto_create_topics=False,
                max_block_ms=limit_ms,
                bootstrap_timeout_ms=limit_ms,
                request_timeout_ms=limit_ms,
                delivery_timeout_ms=2 * limit_ms,
                reconnect_backoff_max_ms=_RECONNECT_LIMIT_MS,
                metrics_enabled=False,
            )
        except (KafkaError, OSError) as error:
            raise BrokerUnavailable(str(error)) from error

    def _send(self, producer: KafkaProducer, record: OutgoingRecord, sending: Sending, place: int) -> None:
        try:
            future = producer.send(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                timestamp_ms=record.timestamp_ms,
            )
        except MessageSizeTooLargeError as error:
            raise RecordTooLarge(str(error)) from error
        except (KafkaError, OSError) as error:
            raise BrokerUnavailable(str(error)) from error
        future.add_callback(self._written, sending, place)
        future.add_errback(self._failed, sending, place, producer)

    def _written(self, sending: Sending, place: int, written: Any) -> None:
        self._ended(sending, place, PublishedRecord(written.topic, written.partition, written.offset, written.timestamp))

    def _failed(self, sending: Sending, place: int, producer: KafkaProducer, error: BaseException) -> None:
        if isinstance(error, MessageSizeTooLargeError):
            self._ended(sending, place, RecordTooLarge(str(error)))
            return
        if not getattr(error, "retriable", False):
            # a fatal state of the idempotent producer is for good
            self._loop.call_soon_threadsafe(self._retire, producer, repr(error))
        self._ended(sending, place, BrokerUnavailable(repr(error)))

    def _end(self, producer: KafkaProducer, *, within_s: float) -> None:
        # `close` first flushes, raises if records are left, and then ends nothing: its thread, its connections and its records would stay for
        # the life of the process, and its destructor would try the same once more
        try:
            producer.close(timeout=within_s)
        except KafkaError as error:
            log.warning("producer_gave_up", client_id=producer.config["client_id"], reason=str(error))
            producer._sender.force_close()  # noqa: SLF001 - kafka-python has no public way to give up what is buffered
            producer._sender.join()  # noqa: SLF001
            producer.close(timeout=0)


class KafkaReader:
    """A RecordReader."""

    def __init__(
        self,
        bootstrap_servers: Where,
        topics: Sequence[str],
        *,
        client_id: str,
        start: Mapping[TopicPartition, int] | Literal["beginning", "end"] = "beginning",
        only: Collection[TopicPartition] | None = None,
    ) -> None:
        """Partitions that `start` does not name begin at the beginning. `only`: these of the topics' partitions.

        Raises:
            BrokerUnavailable: Kafka does not answer, or does not know a topic.
        """
        try:
            self._consumer = KafkaConsumer(
                **_client_settings(bootstrap_servers),
                client_id=client_id,
                group_id=None,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                allow_auto_create_topics=False,
                max_poll_records=_MAX_POLL_RECORDS,
                reconnect_backoff_max_ms=_RECONNECT_LIMIT_MS,
                metrics_enabled=False,
                bootstrap_timeout_ms=_ADMIN_LIMIT_MS,
            )
        except (KafkaError, OSError) as error:
            raise BrokerUnavailable(f"no Kafka at {bootstrap_servers}: {error}") from error
        try:
            self._assign(topics, start, only)
        except (KafkaError, BrokerUnavailable) as error:
            self._consumer.close()
            raise BrokerUnavailable(f"cannot read {', '.join(topics)}: {error}") from error

    def _assign(
        self,
        topics: Sequence[str],
        start: Mapping[TopicPartition, int] | Literal["beginning", "end"],
        only: Collection[TopicPartition] | None,
    ) -> None:
        self._partitions: list[KafkaTopicPartition] = []
        for topic in topics:
            numbers = self._consumer.partitions_for_topic(topic)
            if not numbers:
                raise BrokerUnavailable(f"there is no topic {topic}")
            wanted = sorted(number for number in numbers if only is None or (topic, number) in only)
            self._partitions += [KafkaTopicPartition(topic, number) for number in wanted]
        self._consumer.assign(self._partitions)
        # resolved now: kafka-python's own seek_to_end looks for the end at the first poll, behind what was written meanwhile
        ask: Any = self._consumer.end_offsets if start == "end" else self._consumer.beginning_offsets
        default = ask(self._partitions)
        given: Mapping[TopicPartition, int] = {} if isinstance(start, str) else start
        for partition in self._partitions:
            self._consumer.seek(partition, given.get((partition.topic, partition.partition), default[partition]))

    def partitions(self) -> tuple[TopicPartition, ...]:
        """See RecordReader."""
        return tuple((partition.topic, partition.partition) for partition in self._partitions)

    def beginning_offsets(self) -> dict[TopicPartition, int]:
        """See RecordReader."""
        return self._offsets(self._consumer.beginning_offsets)

    def end_offsets(self) -> dict[TopicPartition, int]:
        """See RecordReader."""
        return self._offsets(self._consumer.end_offsets)

    def _offsets(self, ask: Any) -> dict[TopicPartition, int]:
        try:
            found = ask(self._partitions)
        except KafkaError as error:
            raise BrokerUnavailable(f"Kafka did not tell its offsets: {error}") from error
        return {(partition.topic, partition.partition): offset for partition, offset in found.items()}

    def positions(self) -> dict[TopicPartition, int]:
        """See RecordReader."""
        return self._offsets(lambda partitions: {partition: self._consumer.position(partition) or 0 for partition in partitions})

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """See RecordReader."""
        self._consumer.seek(KafkaTopicPartition(*partition), offset)

    def poll(self, wait: timedelta) -> tuple[ConsumedRecord, ...]:
        """See RecordReader."""
        try:
            fetched = self._consumer.poll(timeout_ms=int(wait.total_seconds() * 1000))
        except KafkaError as error:
            raise BrokerUnavailable(f"Kafka did not hand out records: {error}") from error
        return tuple(
            ConsumedRecord(
                record.topic,
                record.partition,
                record.offset,
                record.timestamp,
                record.key,
                record.value,
                tuple((name, value) for name, value in record.headers),
            )
            for records in fetched.values()
            for record in records
        )

    def close(self) -> None:
        """See RecordReader."""
        self._consumer.close()
