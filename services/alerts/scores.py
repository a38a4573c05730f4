"""Reads `neutrality.scores` in a thread of its own and hands batches to the event loop, from the offsets that the database has.

No consumer group: which partitions are this instance's is told by `hold`, and the offset is committed in the database, with what came of it. If it
is elsewhere than was believed, another instance has read on: then the offsets are asked for again. An offset beyond the end of the log means another
cluster, or a topic made anew: then everything is read again, and versions tell what is new.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, TypeVar

import structlog

from neutrality.broker.port import BrokerError, ConsumedRecord, RecordReader, TopicPartition
from neutrality.topics import SCORES
from services.alerts.database import DatabaseUnavailable
from services.alerts.state import OffsetMoved

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

POLL_WAIT: Final = timedelta(milliseconds=200)
GATHER_S: Final = 0.02  # under load several records share a commit; the first after a pause is taken at once
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0

Partitions = frozenset[TopicPartition]
Open = Callable[[Mapping[TopicPartition, int]], RecordReader]
Offsets = Callable[[Partitions], Awaitable[Mapping[TopicPartition, int]]]
Apply = Callable[[Sequence[ConsumedRecord], Mapping[TopicPartition, int]], Awaitable[Any]]
_Found = TypeVar("_Found")


class ScoreFeed:
    """Runs until `stop`. `failed` is done if a batch failed otherwise than by the database's absence: the service must end."""

    def __init__(self, open_reader: Open, offsets: Offsets, apply: Apply, *, on_error: Callable[[], None]) -> None:
        """`open_reader` reads the partitions that it is given, from their offsets, blocks and may raise BrokerError; `on_error` counts that.

        `offsets` are the stored ones; `apply` raises OffsetMoved if they are not those that it is given.
        """
        self._open = open_reader
        self._stored = offsets
        self._apply = apply
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self._changed = threading.Event()
        self._held: Partitions = frozenset()
        self.failed: asyncio.Future[BaseException] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="scores", daemon=True)
        self._is_reading = False
        self._pause_s = FIRST_PAUSE_S

    @property
    def is_ready(self) -> bool:
        """Whether it reads what it holds."""
        return self._is_reading or not self._held

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def hold(self, names: frozenset[str]) -> None:
        """See `leases.Holder`: numbers of partitions."""
        self._held = frozenset((SCORES.name, int(name)) for name in names)
        self._changed.set()

    async def finish(self, names: frozenset[str]) -> None:
        """See `leases.Holder`. A batch in hand may go on: it is committed only if nobody else has read on."""

    async def stop(self) -> None:
        """Finish the batch in hand."""
        self._stopped.set()
        self._changed.set()
        await asyncio.to_thread(self._thread.join, 10.0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._changed.clear()
                if held := self._held:
                    self._read(held)
                else:
                    self._changed.wait()
            except OffsetMoved as error:
                log.info("scores_read_by_another", offsets=str(error))
            except (BrokerError, DatabaseUnavailable) as error:
                if isinstance(error, BrokerError):
                    self._on_error()
                log.warning("scores_interrupted", error=str(error), retry_in_s=self._pause_s)
                self._stopped.wait(self._pause_s)
                self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
            except Exception as error:  # noqa: BLE001 - whatever it is, the service must not go on without its feed
                self._fail(error)
                return

    def _read(self, held: Partitions) -> None:
        """Until others are held."""
        found = self._await(self._stored(held))
        since = {partition: found.get(partition, 0) for partition in held}
        reader = self._open(since)
        try:
            self._start_over(reader, since)
            self._is_reading, self._pause_s = True, FIRST_PAUSE_S
            while not self._changed.is_set():
                records = reader.poll(POLL_WAIT)
                if not records:
                    continue
                places = {(record.topic, record.partition) for record in records}
                self._await(self._apply(records, {place: since[place] for place in places}))
                for record in records:
                    since[record.topic, record.partition] = record.offset + 1
                self._stopped.wait(GATHER_S)
        finally:
            self._is_reading = False
            reader.close()

    def _start_over(self, reader: RecordReader, since: Mapping[TopicPartition, int]) -> None:
        """Read all again of partitions whose stored offset lies beyond the log."""
        ends = reader.end_offsets()
        beyond = [partition for partition, offset in since.items() if offset > ends.get(partition, 0)]
        if beyond:
            log.warning("scores_read_again", partitions=len(beyond))
            first = reader.beginning_offsets()
            for partition in beyond:
                reader.seek(partition, first[partition])

    def _await(self, what: Awaitable[_Found]) -> _Found:
        async def run() -> _Found:
            return await what

        made: Coroutine[Any, Any, _Found] = run()
        return asyncio.run_coroutine_threadsafe(made, self._loop).result()

    def _fail(self, error: BaseException) -> None:
        def settle() -> None:
            if not self.failed.done():
                self.failed.set_result(error)

        self._loop.call_soon_threadsafe(settle)
