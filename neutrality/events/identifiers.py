"""Identifiers of entities in registers, in one spelling each, and the entity ids made of them.

An entity that is known by an identifier alone goes by it: `lei:5493001kjtiigc8y1r12`, `gb-coh:09876543`, `cik:1326801`. Schemes are the codes of
org-id.guide in lower case (`gb-coh`), but for `lei`, `cik`, `isin` and `domain`.
"""

import hashlib
import re
from collections.abc import Callable
from typing import Final

from stdnum import isin, lei
from stdnum.exceptions import ValidationError

from neutrality.events.vocabulary import Identifier

MAX_ID: Final = 128
LEI_LENGTH: Final = 20
MANY_OF_A_SCHEME: Final = frozenset({"isin", "domain"})  # an entity may have several of these; of any other scheme it has one
_SPELLINGS: Final = {
    "xi-lei": "lei",
    "us-sec": "cik",
    "sec-cik": "cik",
    "us-cik": "cik",
    "gb-companies-house": "gb-coh",
    "dns": "domain",
}
_NOT_IN_IDS: Final = re.compile(r"[^a-z0-9._-]+")


def normalise_identifier(identifier: Identifier) -> Identifier:
    """The one spelling of an identifier.

    Raises:
        ValueError: it cannot be one of its scheme: wrong length, wrong check digit.
    """
    scheme = _SPELLINGS.get(identifier.scheme.lower(), identifier.scheme.lower())
    spell = _RULES.get(scheme, _as_it_is)
    try:
        return Identifier(scheme=scheme, id=spell(identifier.id))
    except ValidationError as error:
        raise ValueError(f"{identifier.id!r} is no {scheme.upper()}: {error}") from error


def entity_id_of(identifier: Identifier) -> str:
    """The entity id of one that is known by this identifier alone. Two identifiers never give the same id.

    Raises:
        ValueError: see `normalise_identifier`.
    """
    known = normalise_identifier(identifier)
    return spelled_as_id(known.scheme, known.id)


def spelled_as_id(prefix: str, text: str) -> str:
    """`prefix:text` within an entity id's letters; where that loses something a digest is added."""
    plain = _NOT_IN_IDS.sub("-", text.lower()).strip("-")
    found = f"{prefix}:{plain}"
    if plain.upper() == text.upper() and text in (text.upper(), text.lower()) and len(found) <= MAX_ID:
        return found
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{found[: MAX_ID - 17].rstrip('-')}-{digest}"


def _lei(text: str) -> str:
    found = str(lei.validate(text))
    if len(found) != LEI_LENGTH:  # the library checks the digits alone
        raise ValueError(f"{text!r} is no LEI: it has {len(found)} letters and digits instead of {LEI_LENGTH}")
    return found


def _isin(text: str) -> str:
    return str(isin.validate(text))


def _cik(text: str) -> str:
    digits = text.strip().upper().removeprefix("CIK").strip().lstrip("0")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 10:
        raise ValueError(f"{text!r} is no CIK: up to ten digits, not all of them 0")
    return digits


def _company_number(text: str) -> str:
    number = re.sub(r"\s", "", text).upper()
    if number.isdigit():
        number = number.zfill(8)  # registers drop leading zeros, filers too
    if not re.fullmatch(r"[A-Z0-9]{8}", number):
        raise ValueError(f"{text!r} is no Companies House number: eight letters and digits, such as 09876543 or SC123456")
    return number


def _domain(text: str) -> str:
    name = text.strip().lower().rstrip(".").removeprefix("www.")
    try:
        name = name.encode("idna").decode()
    except UnicodeError as error:
        raise ValueError(f"{text!r} is no domain: {error}") from error
    if not re.fullmatch(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}", name):
        raise ValueError(f"{text!r} is no domain, such as example.com")
    return name


def _as_it_is(text: str) -> str:
    return " ".join(text.split())


_RULES: Final[dict[str, Callable[[str], str]]] = {
    "lei": _lei,
    "isin": _isin,
    "cik": _cik,
    "gb-coh": _company_number,
    "domain": _domain,
}
