"""What the connectors share: how events are made of what a register says, and dates are read."""

import hashlib
import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import BinaryIO

from pydantic import ValidationError

from neutrality.events.cloudevent import Event
from neutrality.registers.connector import Refusal


def made(makers: Iterable[Callable[[], Event]]) -> tuple[list[Event], list[Refusal]]:
    """The events, and a refusal for each that would be against the rules of events."""
    events: list[Event] = []
    refusals: list[Refusal] = []
    for make in makers:
        try:
            events.append(make())
        except ValidationError as error:
            found = "; ".join(f"{'/'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors(include_url=False)[:3])
            refusals.append(Refusal("not-an-event", found.replace("Value error, ", "")))
    return events, refusals


def instant(text: str) -> datetime:
    """A date (its beginning in UTC) or an RFC 3339 date-time; one without an offset is UTC.

    Raises:
        ValueError: it is neither.
    """
    found = datetime.fromisoformat(text.strip())
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def digest(*parts: str) -> str:
    """Sixteen hexadecimal digits for some texts: for ids."""
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=8).hexdigest()


class Peeked(io.RawIOBase):
    """A stream whose first bytes were looked at, `head`, and are read again."""

    def __init__(self, source: BinaryIO, size: int) -> None:
        """Look at up to `size` bytes."""
        super().__init__()
        self.head = source.read(size)
        self._left, self._source = self.head, source

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # the protocol's buffer is what is given
        """Fill the buffer as far as there is anything."""
        if self._left:
            found, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        else:
            found = self._source.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)
