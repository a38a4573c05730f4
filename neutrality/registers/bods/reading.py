"""Statements out of a file: a JSON array, one object, or JSON lines. Never more than one statement is held."""

from collections.abc import Iterator
from itertools import chain
from typing import BinaryIO, Final

import ijson
import orjson
from ijson.common import JSONError

from neutrality.registers.connector import NotThisFormat, Refusal

_BLANK: Final = b" \t\r\n"
_BOM: Final = b"\xef\xbb\xbf"


def read_statements(source: BinaryIO) -> Iterator[tuple[str, object | Refusal]]:
    """Each value of the file with its place; a refusal for a line that is no JSON.

    Raises:
        NotThisFormat: the file is empty, is no JSON, or breaks off.
    """
    first = b""
    while not first.strip(_BLANK):
        first = source.readline().removeprefix(_BOM)
        if not first:
            raise NotThisFormat("expected BODS statements, found an empty file")
    if first.lstrip(_BLANK)[:1] == b"[":
        yield from _values(_Resumed(first, source), "item")
    elif first.lstrip(_BLANK)[:1] != b"{":
        raise NotThisFormat(f"expected a JSON array or objects, found {first[:40]!r}")
    elif _is_json(first):
        yield from _lines(chain([first], source))
    else:
        yield from _values(_Resumed(first, source), "")


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True


def _lines(lines: Iterator[bytes]) -> Iterator[tuple[str, object | Refusal]]:
    for number, line in enumerate(lines, 1):
        if line.strip(_BLANK):
            try:
                yield f"line {number}", orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield f"line {number}", Refusal("not-json", str(error))


def _values(source: "_Resumed", prefix: str) -> Iterator[tuple[str, object | Refusal]]:
    try:
        for number, value in enumerate(ijson.items(source, prefix, use_float=True, multiple_values=not prefix), 1):
            yield f"statement {number}", value
    except JSONError as error:
        raise NotThisFormat(f"not JSON, or it breaks off: {error}") from error


class _Resumed:
    """A stream whose first line was read already."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first, self._rest = first, rest

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes of the line, then of the rest."""
        if size < 0:
            found, self._first = self._first, b""
            return found + self._rest.read()
        if self._first and size:
            found, self._first = self._first[:size], self._first[size:]
            return found
        return self._rest.read(size)
