"""A state in pieces: what the changelog is told of an entity's events is told once. Pure.

An entity's key holds its *core*: all but the reports. These lie beside it, in pieces that are written with the reaction that took them in and never
again, each under a key of its own: the entity's, a zero byte (no entity id has one) and a digest of the content. So what is written grows with what
is new, not with what is known. A vertex is its core and the union of all its pieces: neither their order nor repeats matter.

Pieces come before their core. If a worker dies between the two, the core does not count what is there, and whoever reads it says again what stands
(see `neutrality.model.stored`) when the same events are read again, which they are: their offsets were not committed.
"""

from hashlib import blake2b
from typing import Final

_MARK: Final = b"\x00"
_DIGEST_BYTES: Final = 12


def piece_key(entity: bytes, value: bytes) -> bytes:
    """The key of a piece of an entity."""
    return entity + _MARK + blake2b(value, digest_size=_DIGEST_BYTES).digest()


def pieces_prefix(entity: bytes) -> bytes:
    """What the keys of all pieces of an entity begin with."""
    return entity + _MARK


def entity_of(key: bytes) -> bytes | None:
    """The entity of which this is a piece; None if it is an entity's own key."""
    entity, mark, _ = key.partition(_MARK)
    return entity if mark else None
