"""The broker ports on kafka-python 3. The only module that imports it.

kafka-python's `send()` blocks while metadata is missing, its buffer has no bound, and after an outage longer than its delivery timeout its
idempotent producer may never resolve a future again. So here one thread sends, the number of records in flight is bounded, every record has a
deadline of ours, and a producer that has acknowledged nothing for longer than `replace_after` while records were waiting is replaced.
A record that missed its deadline may have been written all the same: what it does must be idempotent by its id.
"""

import asyncio
import contextlib
import queue
import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, Literal

import structlog
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka import TopicPartition as KafkaTopicPartition
from kafka.admin import ConfigResource, ConfigResourceType
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError

from neutrality.broker.port import (
    BrokerError,
    BrokerUnavailable,
    ConsumedRecord,
    OutgoingRecord,
    Overloaded,
    PublishedRecord,
    RecordTooLarge,
    TopicMismatch,
    TopicPartition,
    all_published,
)
from neutrality.topics import DEFAULT_PARTITIONS, Topic

log = structlog.get_logger(__name__)

_CONNECT_LIMIT: Final = timedelta(seconds=1)
_ADMIN_LIMIT_MS: Final = 10_000
_RECONNECT_LIMIT_MS: Final = 1_000  # the library's 30 s would keep a service waiting long after Kafka is back
_MAX_POLL_RECORDS: Final = 2_000


def ensure_topics(
    bootstrap_servers: str, topics: Iterable[Topic], *, partitions: int = DEFAULT_PARTITIONS, replication_factor: int = 1
) -> None:
    """Create the topics that are missing, and check those that are there.

    Raises:
        BrokerUnavailable: Kafka does not answer.
        TopicMismatch: a topic has another number of partitions or another cleanup policy than declared.
    """
    declared = {topic.name: topic for topic in topics}
    admin = _connect_admin(bootstrap_servers)
    try:
        missing = sorted(declared.keys() - set(admin.list_topics()))
        for name in missing:
            settings = {"num_partitions": partitions, "replication_factor": replication_factor, "configs": declared[name].config}
            with contextlib.suppress(TopicAlreadyExistsError):  # another service was faster
                admin.create_topics({name: settings}, wait_for_metadata=True)
        _check(admin, declared, partitions)
    except KafkaError as error:
        raise BrokerUnavailable(f"Kafka at {bootstrap_servers} did not create or describe the topics: {error}") from error
    finally:
        admin.close()


def topic_id(bootstrap_servers: str, name: str) -> str:
    """What tells a topic from one of the same name that was there before it, or is in another cluster.

    Raises:
        BrokerUnavailable: Kafka does not answer, or does not know the topic.
    """
    admin = _connect_admin(bootstrap_servers)
    try:
        return str(admin.describe_topics([name])[0]["topic_id"])
    except (KafkaError, LookupError) as error:
        raise BrokerUnavailable(f"Kafka at {bootstrap_servers} does not describe {name}: {error}") from error
    finally:
        admin.close()


def _connect_admin(bootstrap_servers: str) -> KafkaAdminClient:
    try:
        return KafkaAdminClient(
            bootstrap_servers=bootstrap_servers.split(","),
            request_timeout_ms=_ADMIN_LIMIT_MS,
            bootstrap_timeout_ms=_ADMIN_LIMIT_MS,
            reconnect_backoff_max_ms=_RECONNECT_LIMIT_MS,
        )
    except (KafkaError, OSError) as error:
        raise BrokerUnavailable(f"no Kafka at {bootstrap_servers}: {error}") from error


def _check(admin: KafkaAdminClient, declared: Mapping[str, Topic], partitions: int) -> None:
    found = {item["name"]: len(item["partitions"]) for item in admin.describe_topics(sorted(declared))}
    wrong = [f"{name} has {count} partitions, not {partitions}" for name, count in sorted(found.items()) if count != partitions]
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


class _Sending:
    """Records on their way together, what became of each so far, and the future that their publisher waits for."""

    __slots__ = ("_left", "_lock", "answer", "outcomes", "records", "size_bytes")

    def __init__(self, records: Sequence[OutgoingRecord], answer: "asyncio.Future[None]") -> None:
        self.records, self.answer = records, answer
        self.size_bytes = sum(len(record.value) for record in records)
        self.outcomes: list[PublishedRecord | BrokerError | None] = [None] * len(records)
        self._left = len(records)
        self._lock = threading.Lock()  # the sending thread and the producer's own both tell of outcomes

    def ended(self, place: int, outcome: PublishedRecord | BrokerError) -> bool:
        """Note what became of a record; True if it was the last one."""
        with self._lock:
            if self.outcomes[place] is None:
                self.outcomes[place] = outcome
                self._left -= 1
                return self._left == 0
        return False


class KafkaPublisher:
    """A RecordPublisher. Create it inside the event loop that uses it; it connects in the background when it is first needed."""

    def __init__(
        self,
        bootstrap_servers: str,
        *,
        client_id: str,
        deadline: timedelta = timedelta(seconds=5),
        max_in_flight: int = 10_000,
        max_in_flight_bytes: int = 64 * 1024 * 1024,
        replace_after: timedelta | None = None,
    ) -> None:
        """`deadline` bounds each record; `replace_after` (twice that by default) a producer that acknowledges nothing."""
        self._servers = bootstrap_servers.split(",")
        self._client_id = client_id
        self._deadline_s = deadline.total_seconds()
        self._replace_after_s = (replace_after or 2 * deadline).total_seconds()
        self._max_in_flight = max_in_flight
        self._max_in_flight_bytes = max_in_flight_bytes
        self._on_the_way: set[asyncio.Future[None]] = set()
        self._records = self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Sending | None] = queue.SimpleQueue()
        self._producer: KafkaProducer | None = None
        self._stuck_since: float | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._send_for_ever, name=f"{client_id}-sender", daemon=True)
        self._thread.start()

    async def publish(self, record: OutgoingRecord) -> PublishedRecord:
        """See RecordPublisher."""
        return (await self.publish_all([record]))[0]

    async def publish_all(self, records: Sequence[OutgoingRecord]) -> tuple[PublishedRecord, ...]:
        """See RecordPublisher."""
        return all_published(await self.publish_each(records))

    async def publish_each(self, records: Sequence[OutgoingRecord]) -> tuple[PublishedRecord | BrokerError, ...]:
        """See RecordPublisher."""
        if self._closing:
            raise BrokerUnavailable("the publisher is closing")
        if not records:
            return ()
        sending = _Sending(records, self._loop.create_future())
        self._make_sure_of_room(sending)  # all or none: a batch cut off here would be written anew by each of its repeats
        self._on_the_way.add(sending.answer)
        self._records, self._bytes = self._records + len(records), self._bytes + sending.size_bytes
        self._queue.put(sending)
        try:
            async with asyncio.timeout(self._deadline_s):
                await sending.answer
        except TimeoutError:
            missed: BrokerUnavailable | None = BrokerUnavailable(f"Kafka did not acknowledge within {self._deadline_s:g} s")
        else:
            missed = None
        finally:
            self._on_the_way.discard(sending.answer)
            self._records, self._bytes = self._records - len(records), self._bytes - sending.size_bytes
        outcomes = tuple(sending.outcomes)
        if any(isinstance(outcome, PublishedRecord) for outcome in outcomes):
            self._stuck_since = None
        elif missed is not None:
            self._missed_deadline()
        return tuple(outcome or missed or BrokerError("no outcome") for outcome in outcomes)

    async def is_reachable(self) -> bool:
        """Whether a bootstrap server takes connections."""
        return await _accepts(self._servers)

    async def close(self) -> None:
        """See RecordPublisher."""
        self._closing = True
        if self._on_the_way:
            await asyncio.wait(self._on_the_way, timeout=self._deadline_s)
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, self._deadline_s)

    def _make_sure_of_room(self, new: _Sending) -> None:
        if self._records + len(new.records) > self._max_in_flight:
            raise Overloaded(f"{self._records} records are in flight and {len(new.records)} more would pass the bound")
        if self._records and self._bytes + new.size_bytes > self._max_in_flight_bytes:
            raise Overloaded(f"{self._bytes} bytes are in flight and {new.size_bytes} more would pass the bound")

    def _missed_deadline(self) -> None:
        now = self._loop.time()
        if self._stuck_since is None:
            self._stuck_since = now
        elif now - self._stuck_since >= self._replace_after_s:
            self._retire(self._producer, "it acknowledged nothing")
            self._stuck_since = now

    def _retire(self, producer: KafkaProducer | None, reason: str) -> None:
        """Put a producer out of use; what it still holds may or may not be written."""
        if producer is None or producer is not self._producer:
            return
        self._producer = None
        log.warning("producer_replaced", client_id=self._client_id, reason=reason)
        threading.Thread(
            target=_end, args=(producer,), kwargs={"within_s": 0}, name=f"{self._client_id}-retired", daemon=True
        ).start()

    def _send_for_ever(self) -> None:
        """The sending thread: the only one that may block on Kafka."""
        while (sending := self._queue.get()) is not None:
            if not sending.answer.done():
                self._send(sending)
        if self._producer is not None:
            _end(self._producer, within_s=self._deadline_s)

    def _send(self, sending: _Sending) -> None:
        try:
            producer = self._producer = self._producer or self._connect()
        except (KafkaError, OSError) as error:
            for place in range(len(sending.records)):
                self._ended(sending, place, BrokerUnavailable(str(error)))
            return
        unavailable: BrokerUnavailable | None = None
        for place, record in enumerate(sending.records):
            if unavailable is not None:
                self._ended(sending, place, unavailable)  # each would wait for Kafka anew
                continue
            try:
                future = producer.send(
                    record.topic,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                    timestamp_ms=record.timestamp_ms,
                )
            except MessageSizeTooLargeError as error:
                self._ended(sending, place, RecordTooLarge(str(error)))
            except (KafkaError, OSError) as error:
                unavailable = BrokerUnavailable(str(error))
                self._ended(sending, place, unavailable)
            except Exception as error:  # refused for good: this one thread must outlive any record
                log.exception("record_not_sendable", client_id=self._client_id, topic=record.topic)
                self._ended(sending, place, BrokerError(f"not sendable to {record.topic!r}: {error}"))
            else:
                future.add_callback(self._written, sending, place)
                future.add_errback(self._failed, sending, place, producer)

    def _connect(self) -> KafkaProducer:
        limit_ms = int(self._deadline_s * 1000)
        return KafkaProducer(
            bootstrap_servers=self._servers,
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

    def _written(self, sending: _Sending, place: int, written: Any) -> None:
        self._ended(sending, place, PublishedRecord(written.topic, written.partition, written.offset, written.timestamp))

    def _failed(self, sending: _Sending, place: int, producer: KafkaProducer, error: BaseException) -> None:
        if isinstance(error, MessageSizeTooLargeError):
            self._ended(sending, place, RecordTooLarge(str(error)))
            return
        if not getattr(error, "retriable", False):
            # a fatal state of the idempotent producer is for good
            self._loop.call_soon_threadsafe(self._retire, producer, repr(error))
        self._ended(sending, place, BrokerUnavailable(repr(error)))

    def _ended(self, sending: _Sending, place: int, outcome: PublishedRecord | BrokerError) -> None:
        if sending.ended(place, outcome):
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, sending.answer)


def _settle(answer: "asyncio.Future[None]") -> None:
    if not answer.done():  # its deadline may have been faster
        answer.set_result(None)


def _end(producer: KafkaProducer, *, within_s: float) -> None:
    """End a producer: what it still holds after `within_s` seconds is given up.

    Its `close` first flushes, raises if records are left, and then ends nothing: its thread, its connections and its records would stay for
    the life of the process, and its destructor would try the same once more.
    """
    try:
        producer.close(timeout=within_s)
    except KafkaError as error:
        log.warning("producer_gave_up", client_id=producer.config["client_id"], reason=str(error))
        producer._sender.force_close()  # noqa: SLF001 - kafka-python has no public way to give up what is buffered
        producer._sender.join()  # noqa: SLF001
        producer.close(timeout=0)


async def _accepts(servers: Sequence[str]) -> bool:
    for server in servers:
        host, _, port = server.rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT_LIMIT.total_seconds()):
                _, writer = await asyncio.open_connection(host, int(port))
        except (OSError, TimeoutError):
            continue
        writer.close()
        return True
    return False


class KafkaReader:
    """A RecordReader."""

    def __init__(
        self,
        bootstrap_servers: str,
        topics: Sequence[str],
        *,
        client_id: str,
        start: Mapping[TopicPartition, int] | Literal["beginning", "end"] = "beginning",
    ) -> None:
        """Partitions that `start` does not name begin at the beginning.

        Raises:
            BrokerUnavailable: Kafka does not answer, or does not know a topic.
        """
        try:
            self._consumer = KafkaConsumer(
                bootstrap_servers=bootstrap_servers.split(","),
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
            self._assign(topics, start)
        except (KafkaError, BrokerUnavailable) as error:
            self._consumer.close()
            raise BrokerUnavailable(f"cannot read {', '.join(topics)}: {error}") from error

    def _assign(self, topics: Sequence[str], start: Mapping[TopicPartition, int] | Literal["beginning", "end"]) -> None:
        self._partitions: list[KafkaTopicPartition] = []
        for topic in topics:
            numbers = self._consumer.partitions_for_topic(topic)
            if not numbers:
                raise BrokerUnavailable(f"there is no topic {topic}")
            self._partitions += [KafkaTopicPartition(topic, number) for number in sorted(numbers)]
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
