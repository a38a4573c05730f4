"""BODS 0.4 into events: every statement an event or a refusal that says why."""

import io
import json
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import bods_fixtures
import pytest

from neutrality.events.claims import Interest, InterestType, Role, RoleType
from neutrality.events.vocabulary import EvidenceKind, Status
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.registers.bods import BodsConnector
from neutrality.registers.bods.mapping import mapping
from neutrality.registers.connector import NotThisFormat
from tests.support.bods import company, converted, events_of, holding, person, reasons, shares
from tests.support.events import lab, vendor

ACME = company("acme", ("GB-COH", "09876543"))
LAB = company("lab", ("XI-LEI", "5493001KJTIIGC8Y1R12"))


def interests(*statements: dict[str, Any]) -> list[Interest]:
    return [event.data for event in events_of(converted(*statements)) if isinstance(event.data, Interest)]


@pytest.mark.parametrize(
    ("case", "events", "refused"),
    [
        ("core/01-direct-ownership", 4, []),
        ("edge-cases/10-circular-ownership", 4, []),
        ("edge-cases/11-anonymous-person", 1, ["unspecified-party"]),
    ],
)
def test_every_statement_of_an_independent_fixture_pack_is_an_event_or_a_refusal(
    case: str, events: int, refused: list[str]
) -> None:
    statements = bods_fixtures.load(case).statements
    found = converted(*statements)
    assert (len(found), len(events_of(found)), reasons(found)) == (len(statements), events, refused)


def test_every_code_of_the_standard_has_one_meaning() -> None:
    table = mapping()
    assert set(table["interest"].values()) == {kind.value for kind in InterestType}
    assert set(table["role"]) == {"seniorManagingOfficial", "boardMember", "boardChair"}
    assert {RoleType(role) for role in table["role"].values()} == set(RoleType)
    assert not table["interest"].keys() & table["role"].keys()


def test_an_entity_goes_by_its_best_identifier_whatever_the_order() -> None:
    later = company("acme", ("XI-LEI", "5493001KJTIIGC8Y1R12"), date="2024-02-01")
    for order in permutations([ACME, later]):
        assert {event.data.subject for event in events_of(converted(*order))} == {"lei:5493001kjtiigc8y1r12"}


def test_equal_record_ids_of_two_publishers_are_two_entities() -> None:
    other = company("acme")
    other["publicationDetails"] = {**other["publicationDetails"], "publisher": {"name": "Another"}}
    other["statementId"] = "other".ljust(36, "0")
    found = events_of(converted(company("acme"), other))
    assert len({event.data.subject for event in found}) == 2
    assert len({event.source for event in found}) == 2


def test_of_a_person_nothing_but_the_name_is_taken() -> None:
    found = converted(person("ada"))
    (event,) = events_of(found)
    text = event.model_dump_json() + str(found)
    assert "Ada Invented" in text
    assert not any(private in text for private in ("SECRET", "1970", "Old Name"))
    assert reasons(found) == ["personal-identifier"]


def test_a_wrong_identifier_is_refused_and_the_entity_kept() -> None:
    found = converted(company("acme", ("XI-LEI", "5493001KJTIIGC8Y1R13")))
    assert len(events_of(found)) == 1
    assert reasons(found) == ["identifier"]


@pytest.mark.parametrize(
    ("told", "bounds"),
    [
        ({"exact": 7}, (0.07, 0.07)),
        ({"minimum": 25, "maximum": 50}, (0.25, 0.5)),
        ({"exclusiveMinimum": 75}, (0.75, 1.0)),
        ({"exclusiveMaximum": 25}, (0.0, 0.25)),
    ],
)
def test_percentages_become_ratios(told: dict[str, float], bounds: tuple[float, float]) -> None:
    (found,) = interests(ACME, LAB, holding("r", "acme", "lab", {"type": "votingRights", "share": told}))
    assert found.share is not None
    assert found.share.bounds == bounds
    assert found.direct_or_indirect == "unknown"


def test_statements_may_refer_forward_and_come_in_any_order() -> None:
    statements = [ACME, LAB, holding("r", "acme", "lab", shares(49))]
    found = [sorted(event.model_dump_json() for event in events_of(converted(*order))) for order in permutations(statements)]
    assert all(one == found[0] for one in found)


def test_claims_do_not_depend_on_the_order_of_interests() -> None:
    one, two = shares(10, startDate="2020-01-01"), shares(20, startDate="2021-01-01")
    first = interests(ACME, LAB, holding("r", "acme", "lab", one, two))
    second = interests(ACME, LAB, holding("r", "acme", "lab", two, one))
    assert {(item.claim_id, item.share) for item in first} == {(item.claim_id, item.share) for item in second}
    assert len({item.claim_id for item in first}) == 2


def test_an_indirect_interest_yields_to_its_components_of_the_same_type() -> None:
    middle = company("middle")
    parts = [
        holding("part", "acme", "middle", shares(50), {"type": "votingRights", "directOrIndirect": "direct"}),
        holding("upper", "middle", "lab", shares(100)),
    ]
    whole = holding("whole", "acme", "lab", shares(50, "indirect"), shares(5), components=["part", "upper", "middle"])
    found = interests(ACME, LAB, middle, *parts, whole)
    indirect = next(item for item in found if item.direct_or_indirect == "indirect")
    (component,) = indirect.component_claims
    assert next(item for item in found if item.claim_id == component).interest_type is InterestType.SHAREHOLDING
    assert all(not item.component_claims for item in found if item.direct_or_indirect == "direct")


def test_offices_become_roles() -> None:
    found = events_of(converted(ACME, person("ada"), holding("r", "acme", "ada", {"type": "boardChair"})))
    role = found[-1].data
    assert isinstance(role, Role)
    assert (role.role_type, role.title) == (RoleType.BOARD_MEMBER, "boardChair")


def test_a_holder_that_is_not_told_is_joined_to_nobody() -> None:
    unknown = {"reason": "unknown"}
    one, two = interests(ACME, holding("r", "acme", unknown, shares(10)), holding("s", "acme", unknown, shares(20)))
    assert one.interested_party != two.interested_party
    assert one.interested_party.startswith("bods-unspecified:")


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (holding("r", "acme", {"reason": "subjectExemptFromDisclosure"}), "unspecified-party"),
        (holding("r", "acme", {"reason": "noBeneficialOwners"}, shares(1)), "unspecified-party"),
        (holding("r", {"reason": "unknown"}, "lab", shares(1)), "unspecified-subject"),
        (holding("r", "acme", "elsewhere", shares(1)), "record-not-in-file"),
        (holding("r", "elsewhere", "lab", shares(1)), "record-not-in-file"),
        (holding("r", "acme", "lab"), "no-interests"),
        (holding("r", "acme", "lab", {"directOrIndirect": "direct"}), "interest-without-type"),
        (holding("r", "acme", "acme", shares(1)), "not-expressible"),
        (holding("r", "acme", "lab", shares(1, startDate="2024-01-01", endDate="2024-01-01")), "term-not-forward"),
        (holding("r", "acme", "lab", shares(101)), "not-valid"),
        (holding("r", "acme", "lab", {"type": "mindControl"}), "not-valid"),
        (holding("r", "acme", "lab", shares(1, startDate="2024-02-30")), "not-valid"),
        (holding("r", "acme", "lab", shares(1), publicationDetails={"bodsVersion": "0.5"}), "other-version"),
        ({"statementID": "x", "statementType": "entityStatement"}, "other-version"),
        ({k: v for k, v in company("x").items() if k != "publicationDetails"}, "no-publisher"),
    ],
)
def test_what_cannot_be_told_is_refused_with_a_reason(made: dict[str, Any], reason: str) -> None:
    found = converted(ACME, LAB, made)
    assert not found[-1].events
    assert reasons(found) == [reason]


@pytest.mark.parametrize(
    "odd",
    [
        company("odd", date="2016-12-31T23:59:60Z"),
        {**company("odd"), "publicationDetails": {**company("odd")["publicationDetails"], "publisher": {"name": ""}}},
    ],
)
def test_what_only_looks_valid_stops_nothing(odd: dict[str, Any]) -> None:
    found = converted(odd, ACME)
    assert len(found) == 2
    assert found[0].refusals
    assert len(found[1].events) == 1


def test_an_older_version_is_named() -> None:
    (found,) = converted({"statementID": "x", "statementType": "personStatement", "publicationDetails": {"bodsVersion": "0.2"}})
    assert "BODS 0.2" in found.refusals[0].detail


def test_a_closed_record_ends_its_claims_and_keeps_the_share() -> None:
    before = holding("r", "acme", "lab", shares(49))
    closed = holding("r", "acme", "lab", shares(49, endDate="2024-05-01"), date="2024-06-01", recordStatus="closed")
    new, ended = interests(ACME, LAB, before, closed)
    assert ended.claim_id == new.claim_id
    assert (ended.status, ended.share) == (Status.TERMINATED, new.share)
    assert ended.effective_time == datetime(2024, 6, 1, tzinfo=UTC)  # not before: an update between would outlive it


def test_an_interest_that_an_update_no_longer_tells_is_ended() -> None:
    before = holding("r", "acme", "lab", shares(49), {"type": "votingRights", "directOrIndirect": "direct"})
    update = holding("r", "acme", "lab", shares(49), date="2024-06-01", recordStatus="updated")
    for order in ([before, update], [update, before]):
        ended = [item for item in interests(ACME, LAB, *order) if item.status is Status.TERMINATED]
        assert [item.interest_type for item in ended] == [InterestType.VOTING_RIGHTS]


def test_an_update_replaces_what_was_told_before_whenever_the_interest_began() -> None:
    acme, meta = "gb-coh:09876543", "lei:5493001kjtiigc8y1r12"
    told = [
        holding("r", "acme", "lab", shares(49)),
        holding("r", "acme", "lab", shares(10, startDate="2019-01-01"), date="2024-06-01", recordStatus="updated"),
        holding("r", "acme", "lab", shares(10, endDate="2024-03-01"), date="2024-07-01", recordStatus="closed"),
    ]
    scores = []
    for count in (1, 2, 3):
        runner = LocalRunner(load_methodology(), datetime(2025, 6, 1, tzinfo=UTC))
        runner.apply([lab(meta), vendor(acme), *(one for it in told[:count] for one in events_of(converted(ACME, LAB, it)))])
        scores.append(runner.assessments[acme].headline.confirmed)
    assert scores == pytest.approx([100 * (1 - 0.8 * 0.49), 100 * (1 - 0.8 * 0.1), 100.0])


def test_an_update_that_only_confirms_changes_no_assessment() -> None:
    acme, meta = "gb-coh:09876543", "lei:5493001kjtiigc8y1r12"
    before = holding("r", "acme", "lab", shares(49, startDate="2023-01-01"))
    update = holding("r", "acme", "lab", shares(49, startDate="2023-01-01"), date="2024-06-01", recordStatus="updated")
    known = events_of(converted(ACME, LAB, before))
    runner = LocalRunner(load_methodology(), datetime(2025, 6, 1, tzinfo=UTC))
    runner.apply([lab(meta), vendor(acme), *known])
    first = runner.standing_assessments()[acme]
    runner.apply(event for event in events_of(converted(ACME, LAB, before, update)) if event not in known)
    second = runner.standing_assessments()[acme]
    assert first.labs
    assert (first.confirmed, first.projected, first.score_for(None)) == (
        second.confirmed,
        second.projected,
        second.score_for(None),
    )


def test_an_official_register_is_a_filing() -> None:
    (event,) = events_of(converted(ACME))
    assert event.data.evidence[0].kind is EvidenceKind.FILING


def test_lines_are_read_on_after_a_broken_one_and_a_single_object_too() -> None:
    lines = b"\n".join([json.dumps(ACME).encode(), b"{broken", json.dumps(LAB).encode()])
    found = list(BodsConnector().convert(io.BytesIO(lines)))
    assert [len(item.events) for item in found] == [1, 0, 1]
    assert reasons(found) == ["not-json"]
    (single,) = BodsConnector().convert(io.BytesIO(json.dumps(ACME, indent=2).encode()))
    assert len(single.events) == 1


@pytest.mark.parametrize("content", [b"", b"  \n", b"<xml/>", b"[{", b'{"a":\n'])
def test_what_is_no_json_is_not_this_format(content: bytes) -> None:
    with pytest.raises(NotThisFormat):
        list(BodsConnector().convert(io.BytesIO(content)))
