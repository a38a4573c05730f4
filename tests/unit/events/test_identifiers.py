"""Identifiers have one spelling each, and two of them never give one entity id."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neutrality.events.identifiers import entity_id_of, normalise_identifier, spelled_as_id
from neutrality.events.vocabulary import Identifier


@pytest.mark.parametrize(
    ("scheme", "given_as", "entity"),
    [
        ("LEI", "5493001KJTIIGC8Y1R12", "lei:5493001kjtiigc8y1r12"),
        ("XI-LEI", "5493001kjtiigc8y1r12", "lei:5493001kjtiigc8y1r12"),
        ("CIK", "0001326801", "cik:1326801"),
        ("US-SEC", " 0001326801", "cik:1326801"),
        ("ISIN", "US30303M1027", "isin:us30303m1027"),
        ("GB-COH", "102498", "gb-coh:00102498"),
        ("gb-coh", "sc 123456", "gb-coh:sc123456"),
        ("domain", "WWW.Scale.com.", "domain:scale.com"),
        ("domain", "bücher.example", "domain:xn--bcher-kva.example"),
        ("DE-CR", "HRB 6684", "de-cr:hrb-6684-b4ce40a94e31a50b"),
        ("US-DE", "4711", "us-de:4711"),
    ],
)
def test_an_identifier_has_one_spelling(scheme: str, given_as: str, entity: str) -> None:
    assert entity_id_of(Identifier(scheme=scheme, id=given_as)) == entity


@pytest.mark.parametrize(
    ("scheme", "wrong"),
    [
        ("LEI", "5493001KJTIIGC8Y1R13"),
        ("LEI", "1"),
        ("ISIN", "US30303M1028"),
        ("CIK", "0000"),
        ("CIK", "12345678901"),
        ("GB-COH", "1234567890"),
        ("domain", "scale"),
    ],
)
def test_what_cannot_be_of_its_scheme_is_refused(scheme: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=re.escape(wrong.strip())):
        normalise_identifier(Identifier(scheme=scheme, id=wrong))


@given(st.text(min_size=1, max_size=300), st.text(min_size=1, max_size=300))
def test_two_texts_never_give_one_id(one: str, other: str) -> None:
    pattern = re.compile(r"[a-z0-9][a-z0-9._:-]{0,127}")
    assert pattern.fullmatch(spelled_as_id("bods", one))
    same = one == other or (one.isascii() and one.upper() == other.upper())
    assert same or spelled_as_id("bods", one) != spelled_as_id("bods", other)
