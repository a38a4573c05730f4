"""Names in one spelling: two names are the same if they differ only in case, in the width of letters, in punctuation and in spaces.

Legal forms are kept: Example Ltd and Example AG are two companies.
"""

import unicodedata

from neutrality.events.identifiers import entity_id_of, spelled_as_id
from neutrality.events.vocabulary import Identifier

NAME_PREFIX = "name"


def normalise_name(name: str) -> str:
    """The one spelling of a name: letters and digits, in words. Empty if there are none."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    plain = folded.replace(".", "").replace("'", "").replace("\N{RIGHT SINGLE QUOTATION MARK}", "")  # S.A. and SA are one
    return " ".join("".join(c if c.isalnum() or unicodedata.combining(c) else " " for c in plain).split())


def name_id(name: str) -> str:
    """The entity id of one that is known by this name alone: `name:meta-platforms-inc`.

    Raises:
        ValueError: the name has neither letters nor digits.
    """
    words = normalise_name(name)
    if not words:
        raise ValueError(f"{name!r} has neither letters nor digits")
    return spelled_as_id(NAME_PREFIX, words.replace(" ", "-"))


def reference_id(reference: object) -> str:
    """The provisional id of an entity that is named by `{"name": ...}` or by `{"scheme": ..., "id": ...}`.

    Raises:
        ValueError: it is neither, or cannot be one of its scheme.
    """
    match reference:
        case {"name": str(name), **rest} if not rest:
            return name_id(name)
        case {"scheme": str(scheme), "id": str(number), **rest} if not rest:
            return entity_id_of(Identifier(scheme=scheme, id=number))
        case _:
            raise ValueError('an entity is named by its id, by {"name": ...} or by {"scheme": ..., "id": ...}')
