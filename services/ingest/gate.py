"""Lets publishers in by their key, and holds each to its scopes and its rate.

Keys are compared by their digests, which are looked up in a table: how long that takes tells nothing of a token. The file is read again when it
changes; one that is broken changes nothing, and is told of loudly. Rates are each process's own.
"""

import asyncio
import functools
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import structlog
from joserfc.jwk import OKPKey
from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from pydantic import ValidationError

from neutrality.events.cloudevent import Event, InvalidEvent, Problem
from neutrality.events.signature import BadSignature, verify
from neutrality.publishers import TOKEN_PREFIX, Publisher, Publishers, digest_of
from services.ingest.metrics import IngestMetrics

LOOK_S: Final = 1.0
WINDOW_S: Final = 10  # a rate holds over this; within it a burst may come at once
_BEARER: Final = "bearer "

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class NotAllowed(InvalidEvent):
    """The event is one that this publisher may not publish."""


class Unauthorized(Exception):  # noqa: N818 - HTTP's word
    """No key, or none that is taken; the message says which, and never the key."""


class KeysUnusable(ValueError):  # noqa: N818 - named for what it is
    """The file of publishers is missing or broken at the start. Fate: the operator's."""


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
    """`follow` reads the file again when it changes, until it is cancelled. Without a file anybody is let in."""

    def __init__(self, path: Path | None, metrics: IngestMetrics, *, clock: Callable[[], datetime]) -> None:
        """Read the file.

        Raises:
            KeysUnusable: it is missing or broken.
        """
        self._path, self._metrics, self._clock = path, metrics, clock
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._publishers = Publishers()
        self._by_digest = self._publishers.by_digest()
        self._seen: tuple[int, int] | None = None
        if path is not None:
            try:
                self._read(path)
            except (OSError, ValidationError) as error:
                raise KeysUnusable(f"{path}: {error}") from error

    def admit(self, authorization: str | None) -> Admission:
        """Whom a request is from, by its Authorization header.

        Raises:
            Unauthorized: without a key that is taken now.
        """
        if self._path is None:
            return Anybody()
        if authorization is None or authorization[: len(_BEARER)].lower() != _BEARER:
            raise Unauthorized("send `Authorization: Bearer` and an API key")
        token = authorization[len(_BEARER) :].strip()
        found = self._by_digest.get(digest_of(token)) if token.startswith(TOKEN_PREFIX) else None
        if found is None:
            raise Unauthorized("the API key is not known, or was revoked")
        name, key = found
        if not key.is_valid(self._clock()):
            raise Unauthorized(f"the API key {key.id} of {name} has expired, or is not valid yet")
        return Known(name, self._publishers.publishers[name], self._limiter, renew=functools.partial(self.admit, authorization))

    async def follow(self) -> None:
        """Take in changes of the file."""
        while self._path is not None:
            await asyncio.sleep(LOOK_S)
            try:
                if self._signature(self._path) != self._seen:
                    self._read(self._path)
                    _log.info("publishers_read", publishers=len(self._publishers.publishers), keys=len(self._by_digest))
                    self._metrics.keys_file_broken(yes=False)
            except (OSError, ValidationError) as error:
                self._metrics.keys_file_broken(yes=True)
                _log.error("publishers_not_read", reason=str(error), goes_on="with the last good ones")

    def _read(self, path: Path) -> None:
        seen = self._signature(path)
        self._publishers = Publishers.model_validate_json(path.read_bytes())
        self._by_digest = self._publishers.by_digest()
        self._seen = seen

    def _signature(self, path: Path) -> tuple[int, int]:
        status = path.stat()
        return status.st_mtime_ns, status.st_size
