"""Reads the input topics for what was received before, from where it was read to, in a thread of its own; what it finds is kept on the event loop.

Ingest is ready once it has read to where the topics ended at its start. It goes on reading, so that it learns what others write.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Final, Protocol

import structlog

from neutrality.broker.port import BrokerUnavailable, RecordReader, TopicPartition
from services.ingest.identities import Identities
from services.ingest.received import OwnWrites, ReadEvent, Received, read_event


class OpenReader(Protocol):
    """Opens a reader of the input topics. Raises BrokerUnavailable while Kafka is away."""

    def __call__(self, *, start: Mapping[TopicPartition, int]) -> RecordReader:
        """At these positions; at the beginning of partitions that are not named."""


_POLL: Final = timedelta(seconds=1)
_PAUSE_S: Final = 1.0
_PERIOD_S: Final = 1.0
_MANY: Final = 1_000

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Following:
    """Made once the topics are there; `stop` ends it."""

    def __init__(
        self, received: Received, own: OwnWrites, identities: Identities, open_reader: OpenReader, identify: Callable[[], str]
    ) -> None:
        """Begin to read where `received` was read to, if that was in the same topics: `identify` asks Kafka which they are."""
        self._received, self._own, self._identities = received, own, identities
        self._open_reader, self._identify = open_reader, identify
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._positions: dict[TopicPartition, int] = {}
        self.caught_up = False
        self._thread = threading.Thread(target=self._read_for_ever, name="ingest-following", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read no more. Does not wait for a reader that hangs on a Kafka that is away."""
        self._stopped.set()

    def _read_for_ever(self) -> None:
        while not self._stopped.is_set():
            try:
                with contextlib.closing(self._open()) as reader:
                    self._read(reader)
            except BrokerUnavailable as error:
                _log.warning("topics_not_read", reason=str(error))
                self._stopped.wait(_PAUSE_S)
            except Exception:  # noqa: BLE001 - logged; a thread that ended would be missed by nobody
                _log.exception("reading_topics_failed")
                self._stopped.wait(_PAUSE_S)

    def _open(self) -> RecordReader:
        self._hand_over(partial(self._belong_to, self._identify()))
        reader = self._open_reader(start=self._positions)
        ends = reader.end_offsets()
        if any(position > ends.get(partition, 0) for partition, position in self._positions.items()):
            reader.close()
            _log.warning("topics_are_others", reason="they end before where they were read to")
            self._positions = {}
            self._hand_over(self._forget)
            reader = self._open_reader(start=self._positions)
        return reader

    def _read(self, reader: RecordReader) -> None:
        ends = reader.end_offsets()
        while not self._stopped.is_set():
            if not self.caught_up and all(reader.positions()[partition] >= end for partition, end in ends.items()):
                self._hand_over(self._catch_up)
            skipped = self._skip_own(reader)
            found: list[ReadEvent] = []
            records = reader.poll(_POLL)
            for record in records:
                self._positions[record.topic, record.partition] = record.offset + 1
                if not self._own.take(record) and (read := read_event(record)) is not None:
                    found.append(read)
            if records or skipped:
                self._hand_over(partial(self._keep, found, dict(self._positions)))
            if len(records) < _MANY:
                self._stopped.wait(_PERIOD_S)  # each look costs a millisecond, however little there is to see

    def _skip_own(self, reader: RecordReader) -> bool:
        """Pass over what this process wrote, as far as nobody else wrote between: to fetch it costs as much as to accept it."""
        skipped = False
        for partition, position in reader.positions().items():
            if (end := self._own.end_of_run(partition, position)) > position:
                reader.seek(partition, end)
                self._positions[partition] = end
                skipped = True
        return skipped

    def _keep(self, found: list[ReadEvent], positions: dict[TopicPartition, int]) -> None:
        """Positions come last: what is lost between is read again."""
        self._identities.learn([(read.event, read.named) for read in found])
        self._received.keep({read.name: read.known for read in reversed(found)}, positions)

    def _forget(self) -> None:
        self._received.forget()
        self._identities.forget()

    def _belong_to(self, topics: str) -> None:
        if self._received.belongs_to(topics):
            self._identities.forget()
        self._positions = self._received.positions()

    def _catch_up(self) -> None:
        if not self.caught_up:
            self.caught_up = True
            _log.info("topics_read")

    def _hand_over(self, work: Callable[[], None]) -> None:
        """Do it on the event loop, and wait for it, so that no more is read than is kept."""
        done = threading.Event()

        def do() -> None:
            try:
                if not self._stopped.is_set():
                    work()
            finally:
                done.set()

        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(do)
            while not done.wait(_PAUSE_S) and not self._stopped.is_set():
                pass
