"""Keeps what ingest rejects on `neutrality.rejected`, if it is asked to (`INGEST_KEEP_REJECTED`), so that it can be corrected and sent again.

The answer stays the refusal that it is; it tells where the input is kept, if it is. Whoever sends nonsense as fast as he can does not fill the
cluster: no more than MAX_AT_ONCE are being kept at a time, and MAX_A_MINUTE in all.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Final

import structlog
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from neutrality.broker.port import BrokerError, OutgoingRecord, PublishedRecord, RecordPublisher
from neutrality.events.cloudevent import Problem
from neutrality.events.rejected import MAX_VALUE_BYTES, rejection_value
from neutrality.topics import REJECTED
from services.ingest.metrics import IngestMetrics

MAX_AT_ONCE: Final = 100
MAX_A_MINUTE: Final = 6_000

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Keeper:
    """For use on the event loop."""

    def __init__(self, publisher: RecordPublisher | None, metrics: IngestMetrics, *, clock: Callable[[], datetime]) -> None:
        """Without a publisher nothing is kept."""
        self._publisher, self._metrics, self._clock = publisher, metrics, clock
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._rate = RateLimitItemPerMinute(MAX_A_MINUTE)
        self._under_way = 0
        self.keeps = publisher is not None

    async def keep(
        self, reason: str, problems: Sequence[Problem], value: bytes, headers: Iterable[tuple[str, bytes]] = ()
    ) -> PublishedRecord | None:
        """Where an input is kept; None if it is not, which is counted."""
        if self._publisher is None:
            return None
        if len(value) > MAX_VALUE_BYTES or self._under_way >= MAX_AT_ONCE or not self._limiter.hit(self._rate, "rejected"):
            self._metrics.kept(yes=False)
            return None
        now = self._clock()
        timestamp_ms = int(now.timestamp() * 1000)
        content = rejection_value("ingest", reason, problems, value, headers, timestamp_ms=timestamp_ms)
        record = OutgoingRecord(
            REJECTED.name,
            blake2b(value, digest_size=8).digest(),
            content,
            (("content-type", b"application/json"),),
            timestamp_ms=timestamp_ms,
        )
        self._under_way += 1
        try:
            found = await self._publisher.publish(record)
        except BrokerError as error:
            self._metrics.kept(yes=False)
            _log.warning("rejection_not_kept", reason=str(error))
            return None
        finally:
            self._under_way -= 1
        self._metrics.kept(yes=True)
        return found
