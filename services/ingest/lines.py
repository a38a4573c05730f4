"""Cuts a stream of bytes into lines, holding at most one line's bound of it. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """One line that is not blank, without its line feed; `number` counts from 1, blank lines too. `content` None: it is too long."""

    number: int
    content: bytes | None


class LineSplitter:
    """Feed it chunks, cut anywhere; what it hands out does not depend on where."""

    def __init__(self, max_line_bytes: int) -> None:
        """A longer line is dropped as it comes, and handed out without its content."""
        self._max_line_bytes = max_line_bytes
        self._begun = bytearray()
        self._too_long = False
        self._number = 0

    def feed(self, chunk: bytes) -> Iterator[Line]:
        """The lines that end in this chunk."""
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._keep(part)
            yield from self._end()
        self._keep(rest)

    def finish(self) -> Iterator[Line]:
        """The last line, if no line feed ended it."""
        if self._begun or self._too_long:
            yield from self._end()

    def _keep(self, part: bytes) -> None:
        if self._too_long or len(self._begun) + len(part) > self._max_line_bytes:
            self._too_long = True
            self._begun.clear()
        else:
            self._begun += part

    def _end(self) -> Iterator[Line]:
        self._number += 1
        content = bytes(self._begun)
        if self._number == 1:
            content = content.removeprefix(_BOM)
        if self._too_long:
            yield Line(self._number, None)
        elif content and not content.isspace():
            yield Line(self._number, content)
        self._begun.clear()
        self._too_long = False
