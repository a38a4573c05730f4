"""Ids of what a statement speaks of. A `recordId` means something only within its publisher's system, so the publisher is part of each."""

import hashlib
import re
from typing import Any, Final
from urllib.parse import quote

from neutrality.events.identifiers import MANY_OF_A_SCHEME, entity_id_of, normalise_identifier, spelled_as_id
from neutrality.events.vocabulary import Identifier
from neutrality.registers.connector import Refusal

OURS: Final = "x-neutrality"  # the scheme under which an export tells our own entity ids
_PREFERRED: Final = (OURS, "lei", "gb-coh", "cik")
_ENTITY_ID: Final = re.compile(r"[a-z0-9][a-z0-9._:-]{0,127}")


def source_of(statement: dict[str, Any]) -> str:
    """The publisher as a URI: its own, or one made of its name."""
    publisher = statement["publicationDetails"]["publisher"]
    url = publisher.get("url")
    return str(url)[:500] if url else f"urn:bods:publisher:{quote(publisher['name'], safe='')}"[:500]


def record_key(statement: dict[str, Any], record: str) -> str:
    """A record of the statement's publisher."""
    return f"{source_of(statement)}\n{record}"


def digest(text: str, length: int = 16) -> str:
    """A short name for any text."""
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def provisional_id(key: str, prefix: str = "bods") -> str:
    """The entity id of a record that no identifier names: the publisher is in the digest, so it is joined to nobody else's."""
    return spelled_as_id(prefix, key)  # the line break in a key always brings a digest


def identifiers_of(statement: dict[str, Any]) -> tuple[list[Identifier], list[Refusal]]:
    """The identifiers of an entity or person record in our spelling, and those that are none. Of persons only our own scheme is taken."""
    found: list[Identifier] = []
    refused: list[Refusal] = []
    is_person = statement["recordType"] == "person"
    for number, item in enumerate(statement["recordDetails"].get("identifiers", ())):
        where = f"/recordDetails/identifiers/{number}"
        scheme, text = item.get("scheme"), item.get("id")
        if is_person and (scheme or "").lower() != OURS:
            refused.append(Refusal("personal-identifier", f"{where}: identifiers of persons are not taken"))
        elif not scheme or not text:
            refused.append(Refusal("identifier", f"{where}: without {'a scheme' if not scheme else 'an id'}"))
        elif scheme.lower() == OURS and not _ENTITY_ID.fullmatch(text):
            refused.append(Refusal("identifier", f"{where}: no entity id"))
        else:
            try:
                known = normalise_identifier(Identifier(scheme=scheme, id=text))
            except ValueError as error:
                refused.append(Refusal("identifier", f"{where}: {str(error).splitlines()[0][:200]}"))
            else:
                if known not in found:
                    found.append(known)
    return found, refused


def best_name(identifiers: list[Identifier]) -> tuple[int, str] | None:
    """The entity id by the identifier that is preferred, with its rank (lowest first); None if there is none that names an entity."""
    named = []
    for identifier in identifiers:
        if identifier.scheme in MANY_OF_A_SCHEME:
            continue  # a security or a web site, not the entity
        rank = _PREFERRED.index(identifier.scheme) if identifier.scheme in _PREFERRED else len(_PREFERRED)
        named.append((rank, identifier.id if identifier.scheme == OURS else entity_id_of(identifier)))
    return min(named, default=None)
