"""Events that name an entity by a name or an identifier instead of an id: `{"name": "Meta Platforms, Inc."}`, `{"scheme": "LEI", "id": "..."}`.

Only here, where events come in: on the topics an entity is named by its id. Such a name stands for a provisional id, which is always the same for it.
"""

from typing import Any

import orjson

from neutrality.events.cloudevent import Event, InvalidEvent, Problem, event_from_document, event_from_line
from neutrality.identity.names import reference_id
from neutrality.identity.naming import NAMING_FIELDS


def read_document(document: object) -> Event:
    """One CloudEvent from decoded JSON.

    Raises:
        InvalidEvent: with a pointer to each wrong field.
    """
    return event_from_document(with_ids(document))


def read_line(line: bytes) -> Event:
    """The same from a line; one without references, which is nearly every one, is read in one pass.

    Raises:
        InvalidEvent: with a pointer to each wrong field.
    """
    try:
        return event_from_line(line)
    except InvalidEvent:
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError:
            document = None
        with_references = with_ids(document)
        if with_references is document:
            raise
    return event_from_document(with_references)


def with_ids(document: object) -> object:
    """The document with the provisional id for each reference; itself if there is none.

    Raises:
        InvalidEvent: a reference is none.
    """
    if not isinstance(document, dict) or not isinstance(document.get("data"), dict):
        return document
    data: dict[str, Any] = document["data"]
    changed: dict[str, Any] = {}
    problems: list[Problem] = []
    for field in NAMING_FIELDS & data.keys():
        value = data[field]
        if isinstance(value, dict):
            changed[field] = _id_of(value, f"/data/{field}", problems)
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            changed[field] = [
                _id_of(one, f"/data/{field}/{index}", problems) if isinstance(one, dict) else one
                for index, one in enumerate(value)
            ]
    if problems:
        raise InvalidEvent(sorted(problems, key=lambda problem: problem.pointer))
    return document | {"data": data | changed} if changed else document


def _id_of(reference: dict[str, Any], pointer: str, problems: list[Problem]) -> str | None:
    try:
        return reference_id(reference)
    except ValueError as error:
        problems.append(Problem(pointer, str(error)))
        return None
