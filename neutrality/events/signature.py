"""Signed events: a detached JWS (RFC 7515, appendix F) with Ed25519 (RFC 8037, 9864) over canonical JSON (RFC 8785), in the attribute `signature`.

What is signed is the structured form as `event_to_document` gives it, without `signature` and what ingest adds (`revision`). Whoever reads the
topics can check it too; an event that was moved to another entity is checked as its source sent it (`neutrality.identity.naming.as_named`).
"""

import base64
from collections.abc import Mapping
from typing import Final

import rfc8785
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from neutrality.events.cloudevent import Event, event_to_document

ALGORITHM: Final = "Ed25519"
_REGISTRY: Final = jws.JWSRegistry(algorithms=[ALGORITHM])


class BadSignature(ValueError):  # noqa: N818 - named for what it is
    """The signature is none, by an unknown key, or not of this event."""


def sign(event: Event, key: OKPKey, kid: str) -> Event:
    """The event with its signature; any it had is replaced. `key` holds the private part."""
    compact = jws.serialize_compact({"alg": ALGORITHM, "kid": kid}, _payload(event), key, registry=_REGISTRY)
    header, _, value = compact.split(".")
    return event.model_copy(update={"signature": f"{header}..{value}"})


def verify(event: Event, keys: Mapping[str, OKPKey]) -> str:
    """The `kid` of the key that signed the event.

    Raises:
        BadSignature: none of `keys` did.
    """
    parts = (event.signature or "").split(".")
    if len(parts) != 3 or parts[1]:
        raise BadSignature("no detached JWS (header..signature)")
    payload = base64.urlsafe_b64encode(_payload(event)).rstrip(b"=").decode()
    try:
        kid = str(jws.extract_compact(f"{parts[0]}.{payload}.{parts[2]}".encode()).headers().get("kid"))
        if kid not in keys:
            raise BadSignature(f"signed by a key {kid[:80]!r} that is not registered for this publisher")
        jws.deserialize_compact(f"{parts[0]}.{payload}.{parts[2]}", keys[kid], registry=_REGISTRY)
    except (JoseError, ValueError, TypeError) as error:
        if isinstance(error, BadSignature):
            raise
        raise BadSignature(f"not the signature of this event: {type(error).__name__}") from error
    return kid


def _payload(event: Event) -> bytes:
    document = event_to_document(event)
    document.pop("signature", None)
    document.pop("revision", None)
    return rfc8785.dumps(document)
