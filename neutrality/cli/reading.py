"""Reads events from a file: JSON lines, one JSON object, or a JSON array, each a structured CloudEvent.

Lines are read one by one, so a file of them may be of any length; an object or array over several lines is read as a whole, up to WHOLE_BYTES.
An event that is none does not stop the rest: it is a `Bad` with its place and a pointer to each wrong field.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO, Final

import orjson

from neutrality.events.cloudevent import InvalidEvent, Problem
from neutrality.identity.references import read_document

WHOLE_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Good:
    """An event that ingest will take, at a place in the file: line or event `number`, in words "line 3" or "event 3"."""

    number: int
    place: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bad:
    """What cannot be published, and why."""

    number: int
    place: str
    problems: tuple[Problem, ...]


def read_events(stream: BinaryIO) -> Iterator[Good | Bad]:
    """Every event, checked; an empty file has none."""
    lines = enumerate(stream, start=1)
    number, line = next(((number, line) for number, line in lines if line.strip()), (0, b""))
    if not line:
        return
    if _is_object(line):
        yield from _lines(chain([(number, line)], lines))
        return
    head = line + stream.read(WHOLE_BYTES)
    try:
        whole = orjson.loads(head)
    except orjson.JSONDecodeError:
        head += stream.readline()  # the end of the line in whose middle the head may end
        yield from _lines(enumerate(chain(head.splitlines(), stream), start=number))
        return
    documents = whole if isinstance(whole, list) else [whole]
    yield from (_check(place, f"event {place}", document) for place, document in enumerate(documents, start=1))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(orjson.loads(line), dict)
    except orjson.JSONDecodeError:
        return False


def _lines(lines: Iterable[tuple[int, bytes]]) -> Iterator[Good | Bad]:
    for number, line in lines:
        if not line.strip():
            continue
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield Bad(number, f"line {number}", (Problem("", f"not JSON: {error}"),))
            continue
        yield _check(number, f"line {number}", document)


def _check(number: int, place: str, document: object) -> Good | Bad:
    try:
        read_document(document)
    except InvalidEvent as error:
        return Bad(number, place, error.problems)
    return Good(number, place, document) if isinstance(document, dict) else Bad(number, place, (Problem("", "no JSON object"),))
