"""Reads `neutrality.scores` in a thread of its own and hands batches to the event loop, from the offsets that the database has.

No consumer group: the offset is committed in the database, with what came of it. An offset beyond the end of the log means another cluster, or a
topic made anew: then everything is read again, and versions tell what is new.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import structlog

from neutrality.broker.port import BrokerError, ConsumedRecord, RecordReader, TopicPartition

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

POLL_WAIT: Final = timedelta(milliseconds=200)
GATHER_S: Final = 0.02  # under load several records share a commit; the first after a pause is taken at once
FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0

Open = Callable[[Mapping[TopicPartition, int]], RecordReader]
Apply = Callable[[Sequence[ConsumedRecord]], Awaitable[Any]]


class ScoreFeed:
    """Runs until `stop`. `failed` is done if applying a batch failed: the offset stands where it was, and the service must end."""

    def __init__(
        self, open_reader: Open, apply: Apply, offsets: Mapping[TopicPartition, int], *, on_error: Callable[[], None]
    ) -> None:
        """`open_reader` blocks and may raise BrokerError; `on_error` counts that."""
        self._open = open_reader
        self._apply = apply
        self._offsets = dict(offsets)
        self._on_error = on_error
        self._loop = asyncio.get_running_loop()
        self._stopped = threading.Event()
        self.failed: asyncio.Future[BaseException] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="scores", daemon=True)
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
            try:
                reader = self._open(self._offsets)
            except BrokerError as error:
                self._on_error()
                log.warning("scores_awaited", error=str(error), retry_in_s=pause_s)
                self._stopped.wait(pause_s)
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
                continue
            pause_s = FIRST_PAUSE_S
            try:
                if not self._starts_over(reader):
                    self.is_reading = True
                    self._read(reader)
            except BrokerError as error:
                self._on_error()
                log.warning("scores_interrupted", error=str(error))
            except Exception as error:  # noqa: BLE001 - whatever it is, the service must not go on without its feed
                self._fail(error)
                return
            finally:
                self.is_reading = False
                reader.close()

    def _starts_over(self, reader: RecordReader) -> bool:
        """Whether stored offsets lie beyond the log; they are forgotten then."""
        ends = reader.end_offsets()
        beyond = [partition for partition, offset in self._offsets.items() if offset > ends.get(partition, 0)]
        if beyond:
            log.warning("scores_read_again", partitions=len(beyond))
        for partition in beyond:
            del self._offsets[partition]
        return bool(beyond)

    def _read(self, reader: RecordReader) -> None:
        while not self._stopped.is_set():
            records = reader.poll(POLL_WAIT)
            if not records:
                continue
            asyncio.run_coroutine_threadsafe(_applied(self._apply, records), self._loop).result()
            for record in records:
                self._offsets[record.topic, record.partition] = record.offset + 1
            self._stopped.wait(GATHER_S)

    def _fail(self, error: BaseException) -> None:
        def settle() -> None:
            if not self.failed.done():
                self.failed.set_result(error)

        self._loop.call_soon_threadsafe(settle)


async def _applied(apply: Apply, records: Sequence[ConsumedRecord]) -> None:
    await apply(records)
