"""Messages between vertices, as they go through `neutrality.messages`: absolute values with a version, never increments."""

from typing import Final, Literal

import msgspec

from neutrality.events.assessment import Cause
from neutrality.model.profile import Link, Profile, profile_from_json

Kind = Literal["holds", "released", "profile", "repeat"]
_NOTHING: Final = msgspec.Raw()


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


class _Wire(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A message with its profile as JSON, which is the sender's and stays as it is."""

    kind: Kind
    sender: str
    receiver: str
    version: int
    link: Link | None = None
    profile: msgspec.Raw = _NOTHING
    cause: Cause | None = None


_DECODER: Final = msgspec.json.Decoder(_Wire)
_ENCODER: Final = msgspec.json.Encoder()


def message_to_bytes(message: Message) -> bytes:
    """A message as JSON."""
    told = message.profile
    if told is None:
        return _ENCODER.encode(message)
    return _ENCODER.encode(
        _Wire(message.kind, message.sender, message.receiver, message.version, message.link, told.json, message.cause)
    )


def message_from_bytes(value: bytes | None) -> Message:
    """A message from JSON. Raises InvalidMessage."""
    try:
        wire = _DECODER.decode(value or b"")
        told = profile_from_json(wire.profile) if wire.kind == "profile" else None
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidMessage(str(error)[:500]) from error
    if (told is None and wire.profile is not _NOTHING) or (wire.kind == "holds") != (wire.link is not None):
        raise InvalidMessage(f"a message of kind {wire.kind!r} with the wrong content")
    return Message(wire.kind, wire.sender, wire.receiver, wire.version, wire.link, told, wire.cause)
