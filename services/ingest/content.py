"""From an HTTP request's headers and body to valid events: the three content modes of the CloudEvents HTTP binding 1.0.2.

Nothing here knows a web framework. All problems of a request are found before any is answered: a batch is taken as a whole or not at all.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import orjson

from neutrality.events.cloudevent import Event, InvalidEvent, Problem
from neutrality.identity.references import read_document
from services.ingest.gate import NotAllowed

MAX_BATCH_EVENTS: Final = 1000
_CE_PREFIX: Final = b"ce-"
_JSON_CHARSETS: Final = frozenset({"utf-8", "us-ascii", "utf8"})  # JSON between systems is UTF-8 (RFC 8259, section 8.1)
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_QUOTED_PAIR: Final = re.compile(rb"\\(.)")


class Mode(StrEnum):
    """How a request carries events, by its media type."""

    STRUCTURED = "application/cloudevents+json"
    BATCH = "application/cloudevents-batch+json"
    BINARY = "application/json"


class UnknownMediaType(ValueError):  # noqa: N818 - named for what it is
    """The Content-Type is none of the three."""


class NotJson(ValueError):  # noqa: N818 - named for what it is
    """The body is not JSON."""


class TooManyEvents(ValueError):  # noqa: N818 - named for what it is
    """The batch is longer than MAX_BATCH_EVENTS."""


class InvalidEvents(ValueError):  # noqa: N818 - named for what it is
    """At least one event is invalid. `event_count` is how many the request held; `problems` point into its body.

    `forbidden`: all that is wrong is that some are not this publisher's to publish.
    """

    def __init__(self, problems: Sequence[Problem], event_count: int, *, forbidden: bool = False) -> None:
        """Keep all three."""
        self.forbidden = forbidden
        self.problems = tuple(problems)
        self.event_count = event_count
        super().__init__(f"{len(self.problems)} problems in {event_count} events")


@dataclass(frozen=True, slots=True)
class Content:
    """A request's media type and raw headers, checked before its body is read."""

    mode: Mode
    headers: tuple[tuple[bytes, bytes], ...]


def media_type_of(content_type: str | None) -> str:
    """A Content-Type without its parameters."""
    return (content_type or "").partition(";")[0].strip().lower()


def content_of(media_type: str | None, headers: Sequence[tuple[bytes, bytes]]) -> Content:
    """What a request says it carries.

    Raises:
        UnknownMediaType: it is none of the three modes in UTF-8.
    """
    _, _, parameters = (media_type or "").partition(";")
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset" and value.strip().strip('"').lower() not in _JSON_CHARSETS:
            raise UnknownMediaType("JSON is UTF-8; leave the charset out")
    try:
        mode = Mode(media_type_of(media_type))
    except ValueError as error:
        known = ", ".join(f"{mode.value} ({mode.name.lower()})" for mode in Mode)
        raise UnknownMediaType(f"use one of {known}, application/x-ndjson (lines)") from error
    return Content(mode, tuple((name.lower(), value) for name, value in headers if name.lower().startswith(_CE_PREFIX)))


def read_events(content: Content, body: bytes, check: Callable[[Event], None]) -> tuple[Event, ...]:
    """All events of a request; `check` raises InvalidEvent for what the events' own rules do not know.

    Raises:
        NotJson: the body is not JSON.
        TooManyEvents: the batch is too long.
        InvalidEvents: with every problem of every event.
    """
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotJson(str(error)) from error
    if content.mode is Mode.BATCH:
        return _read_batch(decoded, check)
    try:
        return (_read_one(_binary_document(content.headers, decoded) if content.mode is Mode.BINARY else decoded, check),)
    except InvalidEvent as error:
        raise InvalidEvents(error.problems, 1, forbidden=isinstance(error, NotAllowed)) from error


def _read_batch(decoded: object, check: Callable[[Event], None]) -> tuple[Event, ...]:
    if not isinstance(decoded, list):
        raise InvalidEvents([Problem("", "a batch is a JSON array of events")], 1)
    if len(decoded) > MAX_BATCH_EVENTS:
        raise TooManyEvents(f"{len(decoded)} events; a batch has at most {MAX_BATCH_EVENTS}")
    events: list[Event] = []
    problems: list[Problem] = []
    forbidden = True
    for index, document in enumerate(decoded):
        try:
            events.append(_read_one(document, check))
        except InvalidEvent as error:
            forbidden = forbidden and isinstance(error, NotAllowed)
            problems += [Problem(f"/{index}{problem.pointer}", problem.detail) for problem in error.problems]
    if problems:
        raise InvalidEvents(problems, len(decoded), forbidden=forbidden)
    return tuple(events)


def _read_one(document: object, check: Callable[[Event], None]) -> Event:
    event = read_document(document)
    check(event)
    return event


def _binary_document(headers: Sequence[tuple[bytes, bytes]], data: object) -> dict[str, Any]:
    """The structured form of an event in binary mode."""
    if not headers:
        detail = f"neither ce- headers (binary mode) nor the Content-Type {Mode.STRUCTURED.value} (structured mode)"
        raise InvalidEvent([Problem("", detail)])
    document: dict[str, Any] = {}
    problems: list[Problem] = []
    for raw_name, raw_value in headers:
        name = raw_name.removeprefix(_CE_PREFIX).decode("latin-1")
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        if name in ("data", "data_base64", "datacontenttype"):
            problems.append(Problem(pointer, "is not sent as a header: data is the body, its type the Content-Type"))
        elif name in document:
            problems.append(Problem(pointer, "the header is there twice"))
        else:
            try:
                document[name] = decode_header(raw_value)
            except ValueError as error:
                problems.append(Problem(pointer, str(error)))
    if problems:
        raise InvalidEvent(problems)
    return document | {"datacontenttype": "application/json", "data": data}


def decode_header(value: bytes) -> str:
    """An attribute's value from its header: unquoted, then percent-decoded once (HTTP binding, section 3.1.3.2).

    Raises:
        ValueError: a broken escape, or not UTF-8.
    """
    value = value.strip(b" \t")
    if len(value) >= 2 and value.startswith(b'"') and value.endswith(b'"'):
        value = _QUOTED_PAIR.sub(rb"\1", value[1:-1])
    if _BAD_ESCAPE.search(value):
        raise ValueError("the header has a % that is not followed by two hexadecimal digits; write %25 for a percent sign")
    try:
        return unquote_to_bytes(value).decode()
    except UnicodeDecodeError as error:
        raise ValueError("the header is not percent-encoded UTF-8") from error
