"""Lets publishers in by their key, and holds each to its scopes and its rate. Rates are each process's own."""

import functools
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from joserfc.jwk import OKPKey
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from neutrality.events.cloudevent import Event, InvalidEvent, Problem
from neutrality.events.signature import BadSignature, verify
from neutrality.key_file import KeyFile
from neutrality.publishers import Publisher, Publishers
from services.ingest.metrics import IngestMetrics

WINDOW_S: Final = 10  # a rate holds over this; within it a burst may come at once


class NotAllowed(InvalidEvent):
    """The event is one that this publisher may not publish."""


class Admission(Protocol):
    """What one request may do."""

    name: str | None

    def renewed(self) -> "Admission":
        """The same request's admission by what is known now. Raises Unauthorized: its key was revoked, or has expired."""
        ...

    def check(self, event: Event) -> None:
        """Raises NotAllowed: the event is out of scope. Raises InvalidEvent: its signature is wrong."""
        ...

    def take(self, events: int) -> float:
        """Count events against the rate: 0.0 if they may be published, else the seconds to wait; then none was counted."""
        ...

    def largest_batch(self) -> int | None:
        """The most events that can ever be taken at once; None: any number."""
        ...


class Anybody:
    """No keys are asked for."""

    name: str | None = None

    def renewed(self) -> "Anybody":
        """Anybody still."""
        return self

    def check(self, event: Event) -> None:
        """Everything is allowed."""

    def take(self, events: int) -> float:  # noqa: ARG002
        """There is no rate."""
        return 0.0

    def largest_batch(self) -> int | None:
        """Any number."""
        return None


class Known:
    """A publisher whose key was taken."""

    def __init__(
        self,
        name: str,
        publisher: Publisher,
        limiter: SlidingWindowCounterRateLimiter,
        *,
        renew: "Callable[[], Admission]",
    ) -> None:
        self.name: str | None = name
        self._publisher, self._limiter, self._renew = publisher, limiter, renew
        rate = publisher.events_per_s
        self._rate = None if rate is None else RateLimitItemPerSecond(rate * WINDOW_S, WINDOW_S)

    def renewed(self) -> Admission:
        """See Admission."""
        return self._renew()

    def check(self, event: Event) -> None:
        """See Admission."""
        if (objection := self._publisher.objection(event)) is not None:
            raise NotAllowed([Problem(*objection)])
        if event.signature is not None and self._publisher.signing_keys:
            try:
                verify(event, _keys_of(self._publisher))
            except BadSignature as error:
                raise InvalidEvent([Problem("/signature", str(error))]) from error

    def take(self, events: int) -> float:
        """See Admission."""
        if self._rate is None or self._limiter.hit(self._rate, str(self.name), cost=events):
            return 0.0
        return max(0.1, self._limiter.get_window_stats(self._rate, str(self.name)).reset_time - time.time())  # noqa: TID251  the library's clock

    def largest_batch(self) -> int | None:
        """See Admission."""
        return None if self._rate is None else int(self._rate.amount)


@functools.lru_cache(maxsize=256)
def _keys_of(publisher: Publisher) -> dict[str, OKPKey]:
    return {key.kid: OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": key.x}) for key in publisher.signing_keys}


class Gate:
    """`follow` takes in changes of the file of publishers until it is cancelled. Without a file anybody is let in."""

    def __init__(self, path: Path | None, metrics: IngestMetrics, *, clock: Callable[[], datetime]) -> None:
        """Read the file. Raises KeysUnusable."""
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._file = (
            None
            if path is None
            else KeyFile(
                path, Publishers.model_validate_json, clock=clock, broken=lambda broken: metrics.keys_file_broken(yes=broken)
            )
        )

    def admit(self, authorization: str | None) -> Admission:
        """Whom a request is from, by its Authorization header. Raises Unauthorized."""
        if self._file is None:
            return Anybody()
        name, _ = self._file.find(authorization)
        renew = functools.partial(self.admit, authorization)
        return Known(name, self._file.content.publishers[name], self._limiter, renew=renew)

    async def follow(self) -> None:
        """Take in changes of the file."""
        if self._file is not None:
            await self._file.follow()
