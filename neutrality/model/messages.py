"""Messages between vertices, as they go through `neutrality.messages`: absolute values with a version, never increments."""

from typing import Final, Literal

import msgspec

from neutrality.events.assessment import Cause
from neutrality.model.profile import Link, Profile

Kind = Literal["holds", "released", "profile", "repeat"]


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """From one vertex to another; the newest version counts. `holds` carries a link, `profile` a profile, `released` neither.

    `repeat` asks the receiver to say again what stands (an audit found something missing); it carries nothing.
    """

    kind: Kind
    sender: str
    receiver: str
    version: int
    link: Link | None = None
    profile: Profile | None = None
    cause: Cause | None = None


class InvalidMessage(ValueError):  # noqa: N818 - the same form as InvalidEvent
    """A record of `neutrality.messages` that is no message. Fate: reject."""

    retriable = False


_DECODER: Final = msgspec.json.Decoder(Message)
message_to_bytes: Final = msgspec.json.Encoder().encode


def message_from_bytes(value: bytes | None) -> Message:
    """A message from JSON. Raises InvalidMessage."""
    try:
        message = _DECODER.decode(value or b"")
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidMessage(str(error)[:500]) from error
    if (message.kind == "profile") != (message.profile is not None) or (message.kind == "holds") != (message.link is not None):
        raise InvalidMessage(f"a message of kind {message.kind!r} with the wrong content")
    return message
