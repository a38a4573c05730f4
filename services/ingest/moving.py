"""Moves what stands under ids that mean another entity than was thought; a task of main's for the process's life.

It reads both topics from their beginning, which is rare: when entities are merged, or when a name or an identifier that events used becomes known.
What it publishes comes from the log alone, so several ingests may do the same at once, and one that died is made up for by the next pass.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Final

import structlog

from neutrality.broker.port import BrokerError, ConsumedRecord, OutgoingRecord, RecordPublisher, all_published
from neutrality.events.cloudevent import Event
from neutrality.identity.moving import Concerned, concerned
from neutrality.identity.naming import Named, Renamed
from services.ingest.handlers import to_record
from services.ingest.identities import Identities
from services.ingest.metrics import IngestMetrics
from services.ingest.received import read_event

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
_AT_ONCE: Final = 500

ReadLog = Callable[[], Iterator[ConsumedRecord]]

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Mover:
    """`run` ends only when it is cancelled."""

    def __init__(
        self,
        identities: Identities,
        publisher: RecordPublisher,
        read_log: ReadLog,
        metrics: IngestMetrics,
        *,
        clock: Callable[[], datetime],
        pause_s: float = FIRST_PAUSE_S,
    ) -> None:
        """`read_log` gives all records of the input topics up to their present end; it blocks, and raises BrokerError."""
        self._identities, self._publisher, self._read_log = identities, publisher, read_log
        self._metrics, self._clock, self._pause_s = metrics, clock, pause_s

    async def run(self) -> None:
        """Look for what waits; what comes in a burst is moved together."""
        pause_s = self._pause_s
        while True:
            await asyncio.sleep(pause_s)
            try:
                await self.move()
            except BrokerError as error:
                pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)
                _log.warning("move_put_off", reason=str(error), retry_s=pause_s)
            except Exception:  # noqa: BLE001 - logged; a task that ended would be missed by nobody
                pause_s = LONGEST_PAUSE_S
                _log.exception("move_failed")
            else:
                pause_s = self._pause_s

    async def move(self) -> int:
        """One pass; returns how many events were published. Raises BrokerError: the ids go on waiting."""
        ids = self._identities.take_waiting()
        if not ids:
            return 0
        self._metrics.waiting(len(ids))
        try:
            published = await self._move(ids)
        except BaseException:
            self._identities.put_back(ids)
            raise
        self._identities.moved(ids)
        self._metrics.waiting(0)
        _log.info("claims_moved", ids=len(ids), events=published)
        return published

    async def _move(self, ids: Collection[str]) -> int:
        found = await asyncio.to_thread(self._concerned, ids)
        anew = list(found.moves(self._identities.directory))
        for start in range(0, len(anew), _AT_ONCE):
            part = anew[start : start + _AT_ONCE]
            all_published(await self._publisher.publish_each([self._record(one) for one in part]))
            self._identities.learn(part)
            self._metrics.moved(len(part))
        return len(anew)

    def _concerned(self, ids: Collection[str]) -> Concerned:
        return concerned(self._events, ids)

    def _events(self) -> Iterator[tuple[Event, Named]]:
        for record in self._read_log():
            if (read := read_event(record)) is not None:
                yield read.event, read.named

    def _record(self, renamed: Renamed) -> OutgoingRecord:
        return to_record(renamed.event, self._clock(), renamed.named)
