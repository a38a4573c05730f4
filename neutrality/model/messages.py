"""Messages between vertices, as they go through `neutrality.messages`: absolute values with a version, never increments."""

from dataclasses import dataclass
from typing import Final, Literal

import orjson
from pydantic import TypeAdapter, ValidationError

from neutrality.events.assessment import Cause
from neutrality.model.profile import Link, Profile


@dataclass(frozen=True, slots=True)
class Message:
    """From one vertex to another. `holds` carries a link, `profile` a profile, `released` neither; the newest version counts."""

    kind: Literal["holds", "released", "profile"]
    sender: str
    receiver: str
    version: int
    link: Link | None = None
    profile: Profile | None = None
    cause: Cause | None = None


class InvalidMessage(ValueError):  # noqa: N818 - the same form as InvalidEvent
    """A record of `neutrality.messages` that is no message. Fate: reject."""

    retriable = False


_MESSAGE: Final = TypeAdapter(Message)


def message_to_bytes(message: Message) -> bytes:
    """JSON."""
    return orjson.dumps(message)


def message_from_bytes(value: bytes | None) -> Message:
    """A message from JSON. Raises InvalidMessage."""
    try:
        message = _MESSAGE.validate_json(value or b"")
    except ValidationError as error:
        raise InvalidMessage(str(error)[:500]) from error
    if (message.kind == "profile") != (message.profile is not None) or (message.kind == "holds") != (message.link is not None):
        raise InvalidMessage(f"a message of kind {message.kind!r} with the wrong content")
    return message
