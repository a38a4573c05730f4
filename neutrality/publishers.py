"""Who may publish what: the file of publishers and their keys, as the command writes it and ingest reads it. Pure."""

import re
from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import unquote

from pydantic import Field, StringConstraints

from neutrality.api_keys import ApiKey, Strict
from neutrality.events.claims import Correction
from neutrality.events.cloudevent import EVENT_TYPES, Event, short_type

TYPES: Final = tuple(short_type(one) for one in EVENT_TYPES)


class SigningKey(Strict):
    """The public part of a key that signs events (Ed25519): RFC 8037's `x`."""

    kid: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    x: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]


class Publisher(Strict):
    """What one publisher may do. `sources`: the CloudEvents sources that it speaks under; each also stands for the paths below it."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    types: tuple[str, ...] = TYPES
    may_retract_claims: bool = False
    require_signature: bool = False
    events_per_s: Annotated[int | None, Field(ge=1)] = None
    keys: tuple[ApiKey, ...] = ()
    signing_keys: tuple[SigningKey, ...] = ()

    def objection(self, event: Event) -> tuple[str, str] | None:
        """Why this publisher may not publish an event, with a pointer to the field; None if it may."""
        kind = short_type(event.type)
        if kind not in self.types:
            return "/type", f"this key may publish {', '.join(self.types)}, not {kind}"
        if not self.owns(event.source):
            return "/source", f"this key may speak under {', '.join(self.sources)} alone"
        if isinstance(event.data, Correction):
            if event.data.retracts_claim is not None and not self.may_retract_claims:
                return (
                    "/data/retracts_claim",
                    "this key may retract events of its own sources, not whole claims, which others may have reported too",
                )
            if event.data.retracts_event is not None and not self.owns(event.data.retracts_event.source):
                return "/data/retracts_event/source", f"this key may retract events of {', '.join(self.sources)} alone"
        if self.require_signature and event.signature is None:
            return "/signature", "events of this publisher are signed"
        return None

    def owns(self, source: str) -> bool:
        """Whether a source is one of this publisher's, or lies below one: the next letter is /, : or #, and nothing climbs out."""
        return any(
            source == own
            or (source.startswith(own) and (own[-1] in "/:#" or source[len(own)] in "/:#") and not _climbs(source[len(own) :]))
            for own in self.sources
        )


class Publishers(Strict):
    """The whole file, by the publisher's name."""

    publishers: Mapping[Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")], Publisher] = {}

    def by_digest(self) -> dict[str, tuple[str, ApiKey]]:
        """Every key with its publisher's name, by its digest."""
        return {key.sha256: (name, key) for name, publisher in self.publishers.items() for key in publisher.keys}


def _climbs(path: str) -> bool:
    """Whether a path has a dot segment (RFC 3986, 3.3), which readers of the source may resolve to somebody else's."""
    return any(segment in (".", "..") for segment in re.split(r"[/\\:#?]", unquote(path)))
