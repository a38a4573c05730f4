"""What every publisher on Kafka has around its library's producer.

One thread hands records over, the number and bytes in flight are bounded, every record has a deadline of ours, and a producer that has
acknowledged nothing for longer than `replace_after` while records were waiting is replaced. A record that missed its deadline may have been
written all the same: what it does must be idempotent by its id.
"""

import asyncio
import contextlib
import queue
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Generic, TypeVar

import structlog

from neutrality.broker.access import Cluster, Where, cluster_at
from neutrality.broker.port import (
    BrokerError,
    BrokerUnavailable,
    OutgoingRecord,
    Overloaded,
    PublishedRecord,
    RecordTooLarge,
    all_published,
)

P = TypeVar("P")

log = structlog.get_logger(__name__)

_CONNECT_LIMIT: Final = timedelta(seconds=1)


class Sending:
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


class BoundedPublisher(ABC, Generic[P]):
    """A RecordPublisher. Create it inside the event loop that uses it; it connects in the background when it is first needed."""

    def __init__(
        self,
        bootstrap_servers: Where,
        *,
        client_id: str,
        deadline: timedelta = timedelta(seconds=5),
        max_in_flight: int = 10_000,
        max_in_flight_bytes: int = 64 * 1024 * 1024,
        replace_after: timedelta | None = None,
    ) -> None:
        """`deadline` bounds each record; `replace_after` (twice that by default) a producer that acknowledges nothing."""
        self._cluster = cluster_at(bootstrap_servers)
        self._client_id = client_id
        self._deadline_s = deadline.total_seconds()
        self._replace_after_s = (replace_after or 2 * deadline).total_seconds()
        self._max_in_flight = max_in_flight
        self._max_in_flight_bytes = max_in_flight_bytes
        self._on_the_way: set[asyncio.Future[None]] = set()
        self._records = self._bytes = 0
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[Sending | None] = queue.SimpleQueue()
        self._producer: P | None = None
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
        sending = Sending(records, self._loop.create_future())
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
        return await _accepts(self._cluster)

    async def close(self) -> None:
        """See RecordPublisher."""
        self._closing = True
        if self._on_the_way:
            await asyncio.wait(self._on_the_way, timeout=self._deadline_s)
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, self._deadline_s)

    def _make_sure_of_room(self, new: Sending) -> None:
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

    def _retire(self, producer: P | None, reason: str) -> None:
        """Put a producer out of use; what it still holds may or may not be written."""
        if producer is None or producer is not self._producer:
            return
        self._producer = None
        log.warning("producer_replaced", client_id=self._client_id, reason=reason)
        threading.Thread(
            target=self._end, args=(producer,), kwargs={"within_s": 0}, name=f"{self._client_id}-retired", daemon=True
        ).start()

    def _send_for_ever(self) -> None:
        """The sending thread: the only one that may block on Kafka."""
        while (sending := self._queue.get()) is not None:
            if not sending.answer.done():
                self._connect_and_send(sending)
        if self._producer is not None:
            self._end(self._producer, within_s=self._deadline_s)

    def _connect_and_send(self, sending: Sending) -> None:
        try:
            producer = self._producer = self._producer or self._connect()
        except BrokerUnavailable as error:
            for place in range(len(sending.records)):
                self._ended(sending, place, error)
            return
        unavailable: BrokerUnavailable | None = None
        for place, record in enumerate(sending.records):
            if unavailable is not None:
                self._ended(sending, place, unavailable)  # each would wait for Kafka anew
                continue
            try:
                self._send(producer, record, sending, place)
            except BrokerUnavailable as error:
                unavailable = error
                self._ended(sending, place, error)
            except RecordTooLarge as error:
                self._ended(sending, place, error)
            except Exception as error:  # refused for good: this one thread must outlive any record
                log.exception("record_not_sendable", client_id=self._client_id, topic=record.topic)
                self._ended(sending, place, BrokerError(f"not sendable to {record.topic!r}: {error}"))

    @abstractmethod
    def _connect(self) -> P:
        """A new producer. Raises BrokerUnavailable."""

    @abstractmethod
    def _send(self, producer: P, record: OutgoingRecord, sending: Sending, place: int) -> None:
        """Hand a record over; `_ended` is called from any thread once its outcome is known.

        Raises:
            BrokerUnavailable: Kafka does not answer.
            RecordTooLarge: it never will be taken.
        """

    @abstractmethod
    def _end(self, producer: P, *, within_s: float) -> None:
        """End a producer: what it still holds after `within_s` seconds is given up."""

    def _ended(self, sending: Sending, place: int, outcome: PublishedRecord | BrokerError) -> None:
        if sending.ended(place, outcome):
            with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, sending.answer)


def _settle(answer: "asyncio.Future[None]") -> None:
    if not answer.done():  # its deadline may have been faster
        answer.set_result(None)


async def _accepts(cluster: Cluster) -> bool:
    context = cluster.access.ssl_context()
    for server in cluster.servers.split(","):
        host, _, port = server.rpartition(":")
        try:
            async with asyncio.timeout(_CONNECT_LIMIT.total_seconds()):
                _, writer = await asyncio.open_connection(host, int(port), ssl=context)
        except (OSError, TimeoutError):
            continue
        writer.close()
        return True
    return False
