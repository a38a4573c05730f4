"""Reads events from a file: one JSON object, a JSON array, or JSON lines, each a structured CloudEvent. Pure.

An event that is none does not stop the rest: it is a `Bad` with the line it begins in and a pointer to each wrong field.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from neutrality.events.cloudevent import InvalidEvent, Problem, event_from_document


@dataclass(frozen=True, slots=True)
class Good:
    """An event that ingest will take, at a place in the file ("line 3", "event 3")."""

    place: str
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bad:
    """What cannot be published, and why."""

    place: str
    problems: tuple[Problem, ...]


def read_events(content: bytes) -> Iterator[Good | Bad]:
    """Every event of a file, checked; an empty file has none."""
    try:
        whole = orjson.loads(content)
    except orjson.JSONDecodeError:
        yield from _lines(content)
        return
    if isinstance(whole, list):
        for number, document in enumerate(whole, start=1):
            yield _check(f"event {number}", document)
    else:
        yield _check("event 1", whole)


def _lines(content: bytes) -> Iterator[Good | Bad]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            yield Bad(f"line {number}", (Problem("", f"not JSON: {error}"),))
            continue
        yield _check(f"line {number}", document)


def _check(place: str, document: object) -> Good | Bad:
    if isinstance(document, dict) and "type" in document and "specversion" not in document:
        return Bad(place, (Problem("/specversion", 'missing; it is "1.0"'),))
    try:
        event_from_document(document)
    except InvalidEvent as error:
        return Bad(place, error.problems)
    return Good(place, document) if isinstance(document, dict) else Bad(place, (Problem("", "an event is a JSON object"),))
