"""A file of API keys that a service reads, and reads again when it changes; a broken one changes nothing, and is told of loudly.

Keys are compared by their digests, which are looked up in a table: how long that takes tells nothing of a token.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import structlog
from pydantic import ValidationError

from neutrality.api_keys import TOKEN_PREFIX, ApiKey, digest_of

LOOK_S: Final = 1.0
_BEARER: Final = "bearer "
_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

_Key_co = TypeVar("_Key_co", bound=ApiKey, covariant=True)


class Unauthorized(Exception):  # noqa: N818 - HTTP's word
    """No key, or none that is taken; the message says which, and never the key."""


class KeysUnusable(ValueError):  # noqa: N818 - named for what it is
    """The file is missing or broken at the start. Fate: the operator's."""


class Keys(Protocol[_Key_co]):
    """What a file holds."""

    def by_digest(self) -> Mapping[str, tuple[str, _Key_co]]:
        """Every key with its owner's name, by its digest."""
        ...


_Keys = TypeVar("_Keys", bound=Keys[ApiKey])


class KeyFile(Generic[_Keys]):
    """`follow` reads the file again when it changes, until it is cancelled. `content` is what it held last."""

    def __init__(
        self, path: Path, parse: Callable[[bytes], _Keys], *, clock: Callable[[], datetime], broken: Callable[[bool], None]
    ) -> None:
        """Read the file. `parse` raises ValidationError; `broken` is told after each reading whether it failed.

        Raises:
            KeysUnusable: it is missing or broken.
        """
        self._path, self._parse, self._clock, self._broken = path, parse, clock, broken
        self.content: _Keys
        self._by_digest: Mapping[str, tuple[str, ApiKey]] = {}
        self._seen: tuple[int, int] | None = None
        try:
            self.read()
        except (OSError, ValidationError) as error:
            raise KeysUnusable(f"{path}: {error}") from error

    def find(self, authorization: str | None) -> tuple[str, ApiKey]:
        """The owner and the key of a request, by its Authorization header.

        Raises:
            Unauthorized: without a key that is taken now.
        """
        if authorization is None or authorization[: len(_BEARER)].lower() != _BEARER:
            raise Unauthorized("send `Authorization: Bearer` and an API key")
        token = authorization[len(_BEARER) :].strip()
        found = self._by_digest.get(digest_of(token)) if token.startswith(TOKEN_PREFIX) else None
        if found is None:
            raise Unauthorized("the API key is not known, or was revoked")
        name, key = found
        if not key.is_valid(self._clock()):
            raise Unauthorized(f"the API key {key.id} of {name} has expired, or is not valid yet")
        return found

    async def follow(self) -> None:
        """Take in changes of the file."""
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if self._signature() != self._seen:
                    self.read()
                    _log.info("keys_read", keys=len(self._by_digest))
                    self._broken(False)  # noqa: FBT003 - a gauge's value
            except (OSError, ValidationError) as error:
                self._broken(True)  # noqa: FBT003 - the same
                _log.error("keys_not_read", reason=str(error), goes_on="with the last good ones")

    def read(self) -> None:
        """Take in the file as it is now. Raises OSError, ValidationError; then nothing is changed."""
        seen = self._signature()
        self.content = self._parse(self._path.read_bytes())
        self._by_digest = self.content.by_digest()
        self._seen = seen

    def _signature(self) -> tuple[int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size
