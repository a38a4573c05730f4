"""Which entities an event names, and the same event with other ids.

What an event named at first is kept beside it (`Named`): JSON Pointers into its data, each with the id that stood there. So an event that was
written with other ids is known as the one that its source sent, and can be read again when more is learnt.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, NamedTuple

import orjson
from pydantic import ValidationError

from neutrality.events.claims import Contract, Correction, Entity, Interest, Revenue, Role
from neutrality.events.cloudevent import Event, event_to_document

MAX_CLAIM_ID: Final = 200
NAMED_HEADER: Final = "neutrality-named"
Named = Mapping[str, str]
_FIELDS: Final[dict[type, tuple[str, ...]]] = {
    Entity: ("subject", "group", "affiliates"),
    Interest: ("subject", "interested_party"),
    Role: ("subject", "person", "represents", "left_for"),
    Contract: ("subject", "customer"),
    Revenue: ("subject", "customer"),
    Correction: ("subject",),
}
NAMING_FIELDS: Final = frozenset({"merged_into", *(name for names in _FIELDS.values() for name in names)})


class Renamed(NamedTuple):
    """An event under other ids, and what it named at first where that differs."""

    event: Event
    named: Named


class NamesItself(ValueError):  # noqa: N818 - named for what it is
    """Under these ids the event would say something of an entity towards itself, which is nothing."""


def is_merger(event: Event) -> bool:
    """Whether it says that its subject is another entity. It stays as it is: it is what the others are read by."""
    return isinstance(event.data, Entity) and event.data.merged_into is not None


def names_in(event: Event) -> Iterator[tuple[str, str]]:
    """Every entity that an event names, each with the pointer to it; none for a merger."""
    data = event.data
    if isinstance(data, Entity) and data.merged_into is not None:
        return
    for field in _FIELDS[type(data)]:
        value = getattr(data, field)
        if isinstance(value, str):
            yield f"/{field}", value
        elif value:
            for index, one in enumerate(value):
                yield f"/{field}/{index}", one


def rename(event: Event, meant: Callable[[str], str], entity_claims: Callable[[str], Collection[str]]) -> Renamed:
    """An event, as its source sent it, with the id that `meant` gives for each that it names.

    Claims about what an entity is complete one another, so under another subject they keep the id of the one they were made of: the claim
    `company` of `name:meta-inc` becomes `name:meta-inc/company`. `entity_claims` tells such claims of a subject, for corrections.

    Raises:
        NamesItself: a party would be the subject.
    """
    changed = {pointer: (name, other) for pointer, name in names_in(event) if (other := meant(name)) != name}
    if not changed:
        return Renamed(event, {})
    data, subject = event.data, event.data.subject
    if "/subject" in changed:
        field, claim = ("/claim_id", data.claim_id) if isinstance(data, Entity) else ("/retracts_claim", None)
        if isinstance(data, Correction) and data.retracts_claim in entity_claims(subject):
            claim = data.retracts_claim
        if claim is not None:
            changed[field] = claim, claim_under_another(subject, claim)
    document = event_to_document(event)
    for pointer, (_, other) in changed.items():
        _put(document["data"], pointer, other)
    document["subject"] = document["data"]["subject"]
    try:
        return Renamed(_read(event, document), {pointer: name for pointer, (name, _) in changed.items()})
    except ValidationError as error:
        names = " and ".join(sorted({name for name, _ in changed.values()}))
        raise NamesItself(f"{names} is {document['subject']} itself") from error


def as_named(event: Event, named: Named) -> Event:
    """The event as its source sent it.

    Raises:
        ValueError: `named` is not of this event: anybody may write the header.
    """
    if not named and event.revision is None:
        return event
    document = event_to_document(event)
    document.pop("revision", None)
    for pointer, name in named.items():
        _put(document["data"], pointer, name)
    document["subject"] = document["data"]["subject"]
    return _read(event, document)


def claim_under_another(subject: str, claim_id: str) -> str:
    """The id of a claim about what `subject` is, once that is another entity."""
    found = f"{subject}/{claim_id}"
    if len(found) <= MAX_CLAIM_ID:
        return found
    return f"{found[: MAX_CLAIM_ID - 33]}-{hashlib.blake2b(found.encode(), digest_size=16).hexdigest()}"


def named_to_header(named: Named) -> bytes:
    """As a header's value."""
    return orjson.dumps(dict(named), option=orjson.OPT_SORT_KEYS)


def named_from_headers(headers: tuple[tuple[str, bytes | None], ...]) -> Named:
    """What a record's event named at first.

    Raises:
        ValueError: the header is not of our making.
    """
    for name, value in headers:
        if name == NAMED_HEADER and value is not None:
            found = orjson.loads(value)
            if isinstance(found, dict) and all(isinstance(one, str) for one in found.values()):
                return found
            raise ValueError(f"{NAMED_HEADER} is a JSON object of pointers and ids")
    return {}


def _put(data: dict[str, Any], pointer: str, value: str) -> None:
    field, _, index = pointer[1:].partition("/")
    found = data.get(field)
    if index and isinstance(found, list) and index.isdecimal() and int(index) < len(found):
        found[int(index)] = value
    elif not index and isinstance(found, str):
        data[field] = value
    else:
        raise ValueError(f"{pointer} is not in the event")


def _read(event: Event, document: dict[str, Any]) -> Event:
    return type(event).model_validate_json(orjson.dumps(document))
