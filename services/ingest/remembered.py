"""Answers under an `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), for a day and up to a bound, in memory.

Events count once by their source and id however often they are sent, so a restart that forgets answers harms nobody: the repeat is a duplicate.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

MAX_ANSWERS: Final = 10_000
KEPT_S: Final = 24 * 3600.0
MAX_KEY: Final = 255


class KeyReused(Exception):  # noqa: N818 - named for what it is
    """The key was used for another payload."""


class KeyInUse(Exception):  # noqa: N818 - named for what it is
    """The first request under the key is still being worked on."""


@dataclass(slots=True)
class _Entry:
    payload: bytes
    at_s: float
    answer: Response | None = None


class Answers:
    """For use on the event loop."""

    def __init__(self, stopwatch_s: Callable[[], float]) -> None:
        """`stopwatch_s` is monotonic."""
        self._entries: OrderedDict[tuple[str | None, str], _Entry] = OrderedDict()
        self._stopwatch_s = stopwatch_s

    def begin(self, publisher: str | None, key: str, payload: bytes) -> Response | None:
        """The answer to repeat, or None: answer it, and tell of it with `end`.

        Raises:
            KeyReused: see there.
            KeyInUse: see there.
        """
        now_s = self._stopwatch_s()
        while self._entries and (len(self._entries) >= MAX_ANSWERS or now_s - next(iter(self._entries.values())).at_s > KEPT_S):
            self._entries.popitem(last=False)
        digest = hashlib.blake2b(payload, digest_size=16).digest()
        entry = self._entries.get((publisher, key))
        if entry is None:
            self._entries[publisher, key] = _Entry(digest, now_s)
            return None
        if entry.payload != digest:
            raise KeyReused
        if entry.answer is None:
            raise KeyInUse
        return entry.answer

    def end(self, publisher: str | None, key: str, answer: Response | None) -> None:
        """Keep an answer that is final; None: it was not, the next request tries anew."""
        if answer is None:
            self._entries.pop((publisher, key), None)
        elif (entry := self._entries.get((publisher, key))) is not None:
            entry.answer = answer
