"""Reads scores and events in a thread of its own, from the beginning, and hands what it read to the event loop in batches.

No consumer group and no offset is kept: all of it is read anew at each start. A partition that ends before where we are was made anew: then all is
forgotten and read again.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

import structlog

from neutrality.broker.port import BrokerError, ConsumedRecord, RecordReader, TopicPartition
from neutrality.events.assessment import Assessment, InvalidAssessment, parse_assessment
from neutrality.events.cloudevent import InvalidEvent
from neutrality.events.structs import event_from_kafka, event_to_json
from neutrality.topics import CONTRACTS, OWNERSHIP, SCORES
from services.board.domain.log import Record, record_of

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

TOPICS: Final = (SCORES.name, OWNERSHIP.name, CONTRACTS.name)
POLL_WAIT: Final = timedelta(milliseconds=200)
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0


@dataclass
class Batch:
    """What was read together: events, assessments with the time of their publication (ms since 1970), and how many were neither."""

    records: list[Record] = field(default_factory=list)
    assessments: list[tuple[Assessment, int]] = field(default_factory=list)
    unreadable: int = 0


Open = Callable[[dict[TopicPartition, int]], RecordReader]


class Feed:
    """Runs until `stop`. `failed` is done if something broke that must not; then the service must end."""

    def __init__(
        self, open_reader: Open, *, take: Callable[[Batch], None], forget: Callable[[], None], on_error: Callable[[], None]
    ) -> None:
        """`open_reader` blocks and may raise BrokerError; `take` and `forget` are called on the event loop, `on_error` anywhere."""
        self._open, self._take, self._forget, self._on_error = open_reader, take, forget, on_error
        self._loop = asyncio.get_running_loop()
        self._offsets: dict[TopicPartition, int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="board-feed", daemon=True)
        self.failed: asyncio.Future[BaseException] = self._loop.create_future()
        self.has_caught_up = asyncio.Event()
        self.is_reading = False

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    async def stop(self) -> None:
        """Finish the batch in hand."""
        self._stopped.set()
        await asyncio.to_thread(self._thread.join, 10.0)

    def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while not self._stopped.is_set():
            reader = None
            try:
                reader = self._open(dict(self._offsets))
                self._start_over_if_made_anew(reader)
                self.is_reading = True
                self._read(reader)
            except BrokerError as error:
                self._on_error()
                log.warning("kafka_awaited", error=str(error), retry_in_s=pause_s)
                self._stopped.wait(pause_s)
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s) if reader is None else FIRST_PAUSE_S
            except Exception as error:  # noqa: BLE001 - whatever it is, the service must not go on without its feed
                self._loop.call_soon_threadsafe(self._fail, error)
                return
            finally:
                self.is_reading = False
                if reader is not None:
                    reader.close()

    def _start_over_if_made_anew(self, reader: RecordReader) -> None:
        ends = reader.end_offsets()
        if all(offset <= ends.get(partition, 0) for partition, offset in self._offsets.items()):
            return
        log.warning("topics_read_again")
        self._offsets.clear()
        for partition, offset in reader.beginning_offsets().items():
            reader.seek(partition, offset)
        self._on_loop(self._forget)

    def _read(self, reader: RecordReader) -> None:
        ends = reader.end_offsets()
        behind = not self.has_caught_up.is_set()
        while not self._stopped.is_set():
            records = reader.poll(POLL_WAIT)
            if records:
                batch = batch_of(records)
                self._on_loop(lambda batch=batch: self._take(batch))  # type: ignore[misc]
                for record in records:
                    self._offsets[record.topic, record.partition] = record.offset + 1
            if behind:
                positions = reader.positions()
                behind = any(positions[partition] < end for partition, end in ends.items())
                if not behind:
                    self._loop.call_soon_threadsafe(self.has_caught_up.set)

    def _on_loop(self, call: Callable[[], None]) -> None:
        """Call on the event loop, and wait for it."""

        async def called() -> None:
            call()

        asyncio.run_coroutine_threadsafe(called(), self._loop).result()

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done():
            self.failed.set_result(error)


def batch_of(records: Sequence[ConsumedRecord]) -> Batch:
    """What the records say. Those that scoring rejects count as unreadable here too."""
    batch = Batch()
    for record in records:
        if record.topic == SCORES.name:
            found = InvalidAssessment("a record without a value") if record.value is None else parse_assessment(record.value)
            if isinstance(found, Assessment):
                batch.assessments.append((found, record.timestamp_ms))
            else:
                batch.unreadable += 1
            continue
        try:
            event = event_from_kafka(record.headers, record.value)
        except InvalidEvent:
            batch.unreadable += 1
            continue
        if record.key == event.data.subject.encode():
            batch.records.append(record_of(event, event_to_json(event), record.timestamp_ms))
        else:
            batch.unreadable += 1
    return batch
