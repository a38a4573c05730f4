"""Names in one spelling."""

import pytest

from neutrality.identity.names import name_id, normalise_name, reference_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Meta Platforms, Inc.", "META PLATFORMS INC"),
        ("Société Générale S.A.", "SOCIE\N{COMBINING ACUTE ACCENT}TE\N{COMBINING ACUTE ACCENT} GÉNÉRALE SA"),
        ("AT&T", "AT & T"),
        ("Straße GmbH", "STRASSE GMBH"),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER S}cale\N{IDEOGRAPHIC SPACE}AI", "Scale AI"),
        ("O\N{RIGHT SINGLE QUOTATION MARK}Reilly", "O'Reilly"),
    ],
)
def test_case_width_punctuation_and_spaces_make_no_difference(one: str, other: str) -> None:
    assert name_id(one) == name_id(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Example Ltd", "Example AG"),
        ("Example", "Example Ltd"),
        ("Scale AI", "AI Scale"),
        ("Meta", "Meta Platforms Inc"),
        ("Müller GmbH", "Muller GmbH"),
        ("Ромашка", "Ромашки"),
    ],
)
def test_everything_else_does(one: str, other: str) -> None:
    assert name_id(one) != name_id(other)


def test_a_name_without_letters_and_digits_names_nobody() -> None:
    assert normalise_name(" -!- ") == ""
    with pytest.raises(ValueError, match="neither letters nor digits"):
        name_id(" -!- ")


def test_a_reference_is_a_name_or_an_identifier() -> None:
    assert reference_id({"name": "Meta Platforms, Inc."}) == "name:meta-platforms-inc"
    assert reference_id({"scheme": "LEI", "id": "5493001KJTIIGC8Y1R12"}) == "lei:5493001kjtiigc8y1r12"
    for wrong in ({}, {"name": 1}, {"name": "a", "id": "b"}, {"scheme": "LEI", "id": "x"}, 7, None):
        with pytest.raises(ValueError, match=r"named by|is no LEI"):
            reference_id(wrong)
