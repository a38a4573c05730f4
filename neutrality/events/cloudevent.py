"""CloudEvents 1.0 around our event data: parsing, validation and Kafka's binary content mode.

The official SDK is not used to read: it makes up an `id` and a `time` where they are missing, which would turn every repeat of
an event into a new one. What is written here is held to the SDK by a contract test.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

import msgspec
import orjson
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, model_validator

from neutrality.events.claims import Contract, Correction, Entity, Interest, Revenue, Role
from neutrality.events.vocabulary import Instant, Wire, iso

TYPE_PREFIX: Final = "watch.neutrality."
MAX_EVENT_BYTES: Final = 512 * 1024  # half of Kafka's default record limit of 1 MiB, so headers never tip it over
MAX_PROBLEMS: Final = 50
MAX_REVISION: Final = 9_999


class _Envelope(Wire):
    """CloudEvents context attributes. `time` is when the source recorded the event.

    `revision`: ingest says the event again with other ids, since it has learnt who is meant (an alias, a merger); of one (source, id) the highest
    counts. Sources leave it out. `signature`: see neutrality.events.signature.
    """

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    source: Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=r"^\S+$")]
    subject: str | None = None
    time: Instant
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Annotated[str, StringConstraints(max_length=500)] | None = None
    traceparent: Annotated[str, StringConstraints(max_length=55)] | None = None
    tracestate: Annotated[str, StringConstraints(max_length=512)] | None = None
    signature: Annotated[str, StringConstraints(max_length=1000, pattern=r"^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]+$")] | None = None
    revision: Annotated[int, Field(ge=1, le=MAX_REVISION, strict=False)] | None = None  # a header's text, in binary mode
    data: Any

    @model_validator(mode="after")
    def _subject_is_the_datas(self) -> Self:
        """Refuse an envelope that names another subject than its data."""
        if self.subject is not None and self.subject != self.data.subject:
            raise ValueError(f"`subject` must equal `data.subject` ({self.data.subject!r}) or be left out")
        return self

    @property
    def key(self) -> bytes:
        """Kafka's key: the raw bytes of the subject's entity id."""
        subject: str = self.data.subject
        return subject.encode()


class EntityEvent(_Envelope):
    """An entity is reported."""

    type: Literal["watch.neutrality.entity.v1"] = "watch.neutrality.entity.v1"
    data: Entity


class InterestEvent(_Envelope):
    """An interest is reported."""

    type: Literal["watch.neutrality.interest.v1"] = "watch.neutrality.interest.v1"
    data: Interest


class RoleEvent(_Envelope):
    """A role is reported."""

    type: Literal["watch.neutrality.role.v1"] = "watch.neutrality.role.v1"
    data: Role


class ContractEvent(_Envelope):
    """A contract is reported."""

    type: Literal["watch.neutrality.contract.v1"] = "watch.neutrality.contract.v1"
    data: Contract


class RevenueEvent(_Envelope):
    """A revenue is reported."""

    type: Literal["watch.neutrality.revenue.v1"] = "watch.neutrality.revenue.v1"
    data: Revenue


class CorrectionEvent(_Envelope):
    """An event or a claim is taken back."""

    type: Literal["watch.neutrality.correction.v1"] = "watch.neutrality.correction.v1"
    data: Correction


Event = EntityEvent | InterestEvent | RoleEvent | ContractEvent | RevenueEvent | CorrectionEvent
EVENT_MODELS: Final[tuple[type[Event], ...]] = (
    EntityEvent,
    InterestEvent,
    RoleEvent,
    ContractEvent,
    RevenueEvent,
    CorrectionEvent,
)
EVENT_TYPES: Final[tuple[str, ...]] = tuple(str(model.model_fields["type"].default) for model in EVENT_MODELS)
_EVENT: Final = TypeAdapter[Event](Annotated[Event, Field(discriminator="type")])
_validate_json: Final[Callable[[bytes], Event]] = _EVENT.validator.validate_json  # the adapter's own method takes 2 µs more


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input. `pointer` is a JSON Pointer (RFC 6901) into the event; "" is the whole."""

    pointer: str
    detail: str


class InvalidEvent(ValueError):  # noqa: N818 - named for what it is, as pydantic and the specs do
    """The input is not an event that we accept; `problems` has at least one entry. Fate: reject, never retry."""

    retriable = False

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems, and say them in the message."""
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.pointer or '(event)'}: {p.detail}" for p in self.problems))


def short_type(event_type: str) -> str:
    """`interest` for `watch.neutrality.interest.v1`: the metric label and the CLI's word."""
    return event_type.removeprefix(TYPE_PREFIX).rsplit(".", 1)[0]


def parse_event(document: bytes | str) -> Event:
    """One CloudEvent in structured JSON.

    Raises:
        InvalidEvent: with a pointer to each wrong field.
    """
    try:
        raw = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        raise InvalidEvent([Problem("", f"not JSON: {error}")]) from error
    return event_from_document(raw)


def event_from_line(line: bytes) -> Event:
    """The same as `parse_event`, for many: a good event, which is nearly all of them, is read in one pass.

    Raises:
        InvalidEvent: with a pointer to each wrong field.
    """
    try:
        event = _validate_json(line)
    except ValueError:
        return parse_event(line)
    return event if "specversion" in event.model_fields_set else parse_event(line)


def event_from_document(document: object) -> Event:
    """One CloudEvent from decoded JSON (dicts, lists, strings, numbers).

    Raises:
        InvalidEvent: with a pointer to each wrong field.
    """
    if not isinstance(document, dict):
        raise InvalidEvent([Problem("", "an event is a JSON object")])
    event_type = document.get("type")
    if event_type not in EVENT_TYPES:
        detail = "missing" if event_type is None else f"unknown type {str(event_type)[:80]!r}"
        raise InvalidEvent([Problem("/type", f"{detail}; use one of {', '.join(EVENT_TYPES)}")])
    if "specversion" not in document:  # the models' default is for our own constructors; on the wire it is required
        raise InvalidEvent([Problem("/specversion", 'Field required; "1.0"')])
    try:
        # JSON mode, so that strict still reads RFC 3339 strings and arrays
        return _validate_json(orjson.dumps(document))
    except ValidationError as error:
        raise InvalidEvent(_problems(error)) from error
    except (orjson.JSONEncodeError, RecursionError) as error:
        raise InvalidEvent([Problem("", f"cannot be read: {error}")]) from error


def _problems(error: ValidationError) -> list[Problem]:
    """Pydantic's errors as pointers; the union's tag is no part of the document."""
    problems = []
    for item in error.errors(include_url=False, include_input=False, include_context=False)[:MAX_PROBLEMS]:
        path = item["loc"][1:] if item["loc"] and item["loc"][0] in EVENT_TYPES else item["loc"]
        pointer = "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
        problems.append(Problem(pointer, item["msg"].removeprefix("Value error, ")))
    return problems


def event_to_document(event: Event) -> dict[str, Any]:
    """The structured JSON form; fields at their default are left out of `data`."""
    document: dict[str, Any] = event.model_dump(mode="json", exclude_none=True, exclude={"data"})
    document["subject"] = event.data.subject
    document["data"] = event.data.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return document


def event_to_json(event: Event) -> bytes:
    """The structured JSON form, in one go."""
    return event.__pydantic_serializer__.to_json(event, exclude_none=True)


def event_from_json(value: bytes | msgspec.Raw) -> Event:
    """An event from its structured JSON form, where it is known to be one. Raises pydantic.ValidationError, a ValueError."""
    return _validate_json(bytes(value))


def event_to_kafka(event: Event) -> tuple[list[tuple[str, bytes]], bytes]:
    """Headers and value in Kafka's binary content mode (CloudEvents Kafka binding 1.0, section 3.2)."""
    return to_kafka_binary(event_to_document(event))


def to_kafka_binary(document: Mapping[str, Any]) -> tuple[list[tuple[str, bytes]], bytes]:
    """Headers and value of any CloudEvent given in structured JSON form, with JSON data."""
    headers = [("content-type", str(document.get("datacontenttype", "application/json")).encode())]
    headers += [
        (f"ce_{name}", str(value).encode()) for name, value in document.items() if name not in ("data", "datacontenttype")
    ]
    return headers, orjson.dumps(document["data"])


def event_from_kafka(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> Event:
    """An event from a Kafka record, in binary or structured content mode.

    Raises:
        InvalidEvent: the record is no event that we accept, whatever it is instead.
    """
    return event_from_document(document_from_kafka(headers, value))


def document_from_kafka(headers: Iterable[tuple[str, bytes | None]], value: bytes | None) -> dict[str, Any]:
    """The structured JSON form of a record in either content mode, not yet validated.

    Raises:
        InvalidEvent: the value is no JSON object, or the headers are no text.
    """
    if value is None:
        raise InvalidEvent([Problem("", "the record has no value (a tombstone); an event has JSON data")])
    if len(value) > MAX_EVENT_BYTES:
        raise InvalidEvent([Problem("", f"{len(value)} bytes; at most {MAX_EVENT_BYTES}")])
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise InvalidEvent([Problem("/data", f"not JSON: {error}")]) from error
    document: dict[str, Any] = {}
    try:
        for name, content in headers:
            lowered = name.lower()
            if lowered.startswith("ce_") and content is not None:
                document[lowered[3:]] = content.decode()
    except UnicodeDecodeError as error:
        raise InvalidEvent([Problem(f"/{lowered[3:]}", "header is not UTF-8")]) from error
    if document:
        document["data"] = data
        return document
    if not isinstance(data, dict):
        raise InvalidEvent([Problem("", "neither ce_ headers (binary mode) nor a JSON object (structured mode)")])
    return data


def topic_kind(event: Event) -> Literal["ownership", "contracts"]:
    """Which of the two input topics an event belongs to. Corrections go to `ownership`; scoring reads them from either."""
    return topic_kind_of_type(event.type)


def topic_kind_of_type(event_type: str) -> Literal["ownership", "contracts"]:
    """The same, by the event's type."""
    return "contracts" if short_type(event_type) in ("contract", "revenue") else "ownership"


__all__ = [
    "EVENT_MODELS",
    "EVENT_TYPES",
    "MAX_EVENT_BYTES",
    "Event",
    "InvalidEvent",
    "Problem",
    "document_from_kafka",
    "event_from_document",
    "event_from_json",
    "event_from_kafka",
    "event_from_line",
    "event_to_document",
    "event_to_json",
    "event_to_kafka",
    "iso",
    "parse_event",
    "short_type",
    "to_kafka_binary",
    "topic_kind",
    "topic_kind_of_type",
]
