"""UK register of people with significant control: every record is told of, and bands are ranges."""

import io
import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neutrality.events.claims import Correction, Entity, Interest
from neutrality.events.cloudevent import Event
from neutrality.events.vocabulary import Status
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.registers.connector import Conversion, NotThisFormat
from neutrality.registers.psc import PscConnector
from neutrality.registers.psc.conversion import MAPPING
from tests.support.events import lab, vendor

SNAPSHOT = "psc-snapshot-2024-11-22.txt"
AT = datetime(2026, 1, 1, tzinfo=UTC)


def convert(*records: Any, name: str = SNAPSHOT) -> list[Conversion]:
    text = b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in records)
    return list(PscConnector().convert(io.BytesIO(text), name))


def record(*natures: str, company: str = "01234567", psc: str = "AbC", **data: Any) -> dict[str, Any]:
    return {
        "company_number": company,
        "data": {
            "etag": "e",
            "kind": "corporate-entity-person-with-significant-control",
            "links": {"self": f"/company/{company}/persons-with-significant-control/corporate-entity/{psc}"},
            "name": "Holder Ltd",
            "natures_of_control": list(natures),
            "notified_on": "2020-01-01",
            **data,
        },
    }


def streamed(found: dict[str, Any], timepoint: int, published: str, kind: str = "changed") -> dict[str, Any]:
    return {
        "resource_kind": "company-psc-corporate",
        "resource_uri": found["data"]["links"]["self"].lstrip("/"),
        "resource_id": "AbC",
        "data": found["data"],
        "event": {"timepoint": timepoint, "published_at": published, "type": kind},
    }


def held(found: Conversion) -> dict[str, tuple[float, float] | None]:
    return {
        one.data.interest_type.value: None if one.data.share is None else one.data.share.bounds
        for one in found.events
        if isinstance(one.data, Interest) and one.data.status is Status.COMPLETED
    }


def low_and_high(*conversions: Conversion) -> tuple[float, float]:
    events: list[Event] = [one for conversion in conversions for one in conversion.events]
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([lab("gb-coh:00000001"), vendor("gb-coh:01234567"), *events])
    score = runner.assessments["gb-coh:01234567"].headline
    return score.low, score.high


HOLDER: dict[str, Any] = {"identification": {"country_registered": "England", "registration_number": "1"}}


@pytest.mark.parametrize("code", MAPPING["natures"])
def test_every_nature_of_control_is_a_right_with_its_band(code: str) -> None:
    known = MAPPING["natures"][code]
    [found] = convert(record(code))
    [right] = [one.data for one in found.events if isinstance(one.data, Interest) and one.data.status is Status.COMPLETED]
    assert right.interest_type == known["type"]
    bounds = None if right.share is None else [100 * one for one in right.share.bounds]
    assert (bounds or []) == known["percent"]
    assert (right.direct_or_indirect == "indirect") == bool(known["through"])
    assert found.refusals == ()


def test_the_natures_are_the_86_of_the_publisher() -> None:
    assert len(MAPPING["natures"]) == 86
    assert Counter(one["type"] for one in MAPPING["natures"].values()) == {
        "shareholding": 14,
        "votingRights": 23,
        "rightsToSurplusAssetsOnDissolution": 18,
        "appointmentOfBoard": 14,
        "otherInfluenceOrControl": 11,
        "nominee": 6,
    }


@pytest.mark.parametrize("code", MAPPING["statements"])
def test_every_statement_is_a_refusal_in_words(code: str) -> None:
    line = record(kind="persons-with-significant-control-statement", statement=code)
    [found] = convert(line)
    assert (found.events, [one.reason for one in found.refusals]) == ((), ["absence-told"])
    assert found.refusals[0].detail == code.replace("-", " ")


def test_bands_count_as_ranges() -> None:
    assert low_and_high(*convert(record("ownership-of-shares-25-to-50-percent", **HOLDER))) == pytest.approx((60.0, 80.0))


def test_a_change_of_band_updates_the_right_and_one_that_is_gone_ends() -> None:
    more = record("ownership-of-shares-75-to-100-percent", "voting-rights-75-to-100-percent", **HOLDER)
    less = record("ownership-of-shares-25-to-50-percent", etag="f", **HOLDER)
    before = convert(more)
    after = convert(less, name="psc-snapshot-2024-12-22.txt")
    assert low_and_high(*before)[1] < 1e-9
    assert low_and_high(*before, *after) == low_and_high(*after, *before) == pytest.approx((60.0, 80.0))


def test_a_company_that_holds_many_is_told_of_once() -> None:
    found = convert(
        *(
            record("voting-rights-75-to-100-percent", company=f"0000000{number}", psc=f"p{number}", **HOLDER)
            for number in range(2, 6)
        )
    )
    told = {one.id: one for conversion in found for one in conversion.events if isinstance(one.data, Entity)}
    assert len(told) == 1
    assert len({one.model_dump_json() for conversion in found for one in conversion.events if isinstance(one.data, Entity)}) == 1


def test_stream_and_snapshot_tell_of_the_same_claims_and_the_later_counts() -> None:
    first = convert(streamed(record("ownership-of-shares-75-to-100-percent", **HOLDER), 7, "2024-11-01T10:00:00"))
    later = convert(record("ownership-of-shares-25-to-50-percent", etag="f", **HOLDER))
    assert low_and_high(*first, *later)[0] == pytest.approx(60.0)
    assert low_and_high(*later, *convert(streamed(record(**HOLDER), 9, "2024-12-01T10:00:00"))) == (100.0, 100.0)


def test_what_has_ceased_ends_whatever_its_dates_say() -> None:
    base = convert(record("ownership-of-shares-75-to-100-percent", **HOLDER))
    for ceased in ("2022-01-01", "2019-01-01", "9999-12-31", "1083-02-30"):
        over = convert(record("ownership-of-shares-75-to-100-percent", ceased_on=ceased, **HOLDER), name="x-2025-01-01.txt")
        assert low_and_high(*base, *over) == (100.0, 100.0), ceased
    assert [one.reason for one in over[0].refusals] == ["date-not-possible"]


def test_what_is_removed_from_the_register_is_retracted() -> None:
    told = record("ownership-of-shares-75-to-100-percent", **HOLDER)
    [gone] = convert({**streamed(told, 9, "2025-01-01T10:00:00", "deleted"), "data": {}})
    assert all(isinstance(one.data, Correction) for one in gone.events)
    assert low_and_high(*convert(told), gone) == (100.0, 100.0)


@pytest.mark.parametrize(
    ("identification", "party"),
    [
        (
            {"country_registered": "England & Wales", "place_registered": "Companies House", "registration_number": "686734"},
            "gb-coh:00686734",
        ),
        ({"place_registered": "Companies House Cardiff", "registration_number": "SC123456"}, "gb-coh:sc123456"),
        ({"country_registered": "Minnesota, Usa", "registration_number": "41040669"}, None),
        ({"country_registered": "United Kingdom", "place_registered": "Delaware", "registration_number": "12345678"}, None),
        ({"registration_number": "12345678"}, None),
        ({"country_registered": "England", "registration_number": "none"}, None),
    ],
)
def test_a_company_is_joined_by_its_number_only_if_the_register_is_this_one(
    identification: dict[str, str], party: str | None
) -> None:
    [found] = convert(record("ownership-of-shares-75-to-100-percent", identification=identification))
    [told] = [one.data for one in found.events if isinstance(one.data, Entity)]
    assert told.subject == party if party else told.subject.startswith("psc:")
    assert bool(told.identifiers) == bool(party)


def test_of_people_the_name_alone_is_kept() -> None:
    person = record(
        "ownership-of-shares-75-to-100-percent",
        kind="individual-person-with-significant-control",
        name="Ms Jo Example",
        date_of_birth={"month": 1, "year": 1970},
        nationality="British",
        address={"postal_code": "EX1 1EX"},
    )
    text = "".join(one.model_dump_json() for one in convert(person)[0].events)
    assert "Jo Example" in text
    for secret in ("1970", "British", "EX1"):
        assert secret not in text


def test_a_snapshot_needs_its_date_and_says_whether_it_is_whole() -> None:
    with pytest.raises(NotThisFormat, match="date"):
        convert(record(), name="psc.txt")
    counts = {"persons_of_significant_control_count": 1, "statements_count": 0, "exemptions_count": 0}
    totals = {"data": {"kind": "totals#persons-of-significant-control-snapshot", **counts}}
    assert convert(record(), totals)[1].refusals[0].reason == "totals"
    assert convert(totals)[0].refusals[0].reason == "totals-differ"


def test_heartbeats_are_passed_over_and_bad_lines_do_not_stop_the_rest() -> None:
    found = convert(
        b"", b"nonsense", b"[]", b'{"data": 7}', {"company_number": "1"}, b"\r", record(kind="club"), record("juggling")
    )
    assert [[one.reason for one in it.refusals] for it in found] == [
        ["not-json"],
        ["not-json"],
        ["not-json"],
        ["not-a-record"],
        ["unknown-kind"],
        ["unknown-nature"],
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.booleans(), st.data())
def test_whatever_stands_in_a_field_is_events_or_a_refusal(of_the_stream: bool, data: st.DataObject) -> None:
    chosen = record("ownership-of-shares-25-to-50-percent", ceased_on="2024-01-01", **HOLDER)
    chosen = streamed(chosen, 7, "2024-11-01T10:00:00") if of_the_stream else chosen
    where = data.draw(st.sampled_from([one for one in (chosen, chosen["data"], chosen.get("event")) if one]))
    where[data.draw(st.sampled_from(sorted(where)))] = data.draw(json_values)
    assert len(convert(chosen)) == 1


def test_a_file_read_again_gives_the_same_events_under_names_of_their_own() -> None:
    records = [record("ownership-of-shares-25-to-50-percent", psc=psc, **HOLDER) for psc in ("a", "b", "A")]
    first = convert(*records)
    assert first == convert(*records)
    names = [(one.source, one.id) for conversion in first for one in conversion.events]
    assert (len(names), len(set(names))) == (12, 10)  # the company that holds is told of once


def test_the_group_above_a_vendor_is_seen() -> None:
    lab_owns_middle = record("ownership-of-shares-75-to-100-percent", company="00000002", psc="p1", **HOLDER)
    middle: dict[str, Any] = {"identification": {"country_registered": "England", "registration_number": "2"}}
    middle_owns_vendor = record("ownership-of-shares-25-to-50-percent", psc="p2", **middle)
    found = convert(lab_owns_middle, middle_owns_vendor)
    assert low_and_high(*found) == pytest.approx((100 * (1 - 0.8 * 0.5), 100 * (1 - 0.8 * 0.75 * 0.25)))
