"""GLEIF level 2: who consolidates whom, in every rendering; never a percentage."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neutrality.events import structs
from neutrality.events.claims import Correction, Interest
from neutrality.events.cloudevent import Event
from neutrality.model.dossier import Dossier
from neutrality.model.methodology import load_methodology
from neutrality.registers.connector import Conversion, NotThisFormat
from neutrality.registers.gleif import GleifConnector
from neutrality.registers.gleif.conversion import MAPPING

CHILD, PARENT, OTHER = "001GPB6A9XPE8XJICC14", "5493001Z012YSB2A0K51", "5493001KJTIIGC8Y1R12"
SUBJECT = f"lei:{CHILD.lower()}"
AT = datetime(2026, 1, 1, tzinfo=UTC)


def convert(content: bytes | Any) -> list[Conversion]:
    return list(GleifConnector().convert(io.BytesIO(content if isinstance(content, bytes) else json.dumps(content).encode())))


def record(
    kind: str = "IS_DIRECTLY_CONSOLIDATED_BY", parent: str = PARENT, updated: str = "2024-01-01T00:00:00Z", **more: Any
) -> dict[str, Any]:
    return {
        "Relationship": {
            "StartNode": {"NodeID": CHILD, "NodeIDType": "LEI"},
            "EndNode": {"NodeID": parent, "NodeIDType": "LEI"},
            "RelationshipType": kind,
            "RelationshipStatus": more.pop("status", "ACTIVE"),
            "RelationshipPeriods": more.pop(
                "periods", [{"StartDate": "2012-11-29T00:00:00Z ", "PeriodType": "RELATIONSHIP_PERIOD"}]
            ),
        },
        "Registration": {
            "InitialRegistrationDate": more.pop("first", "2020-01-01T00:00:00Z"),
            "LastUpdateDate": updated,
            "RegistrationStatus": more.pop("registered", "PUBLISHED"),
            "ValidationSources": more.pop("validated", "FULLY_CORROBORATED"),
        },
        **more,
    }


def parents(*records: dict[str, Any]) -> list[str]:
    """Whom the child is controlled by, as the model reads the claims."""
    events: list[Event] = [one for conversion in convert(list(records)) for one in conversion.events]
    picture = Dossier().add((one, 0) for one in events).picture(SUBJECT, AT, load_methodology())
    return [one.active.interested_party for one in picture.standings if isinstance(one.active, structs.Interest)]


RECORDS = [
    ("IS_DIRECTLY_CONSOLIDATED_BY", {}),
    ("IS_ULTIMATELY_CONSOLIDATED_BY", {"parent": OTHER, "registered": "LAPSED"}),
    ("IS_FEEDER_TO", {"validated": "ENTITY_SUPPLIED_ONLY"}),
    ("IS_SUBFUND_OF", {}),
    ("IS_DIRECTLY_CONSOLIDATED_BY", {"status": "INACTIVE", "updated": "2024-05-05T12:00:00.123+02:00"}),
]


def test_every_rendering_tells_the_same() -> None:
    plain = convert([record(kind, **more) for kind, more in RECORDS])
    assert [len(one.events) for one in plain] == [1, 1, 1, 0, 1]
    golden = {"relations": [{"RelationshipRecord": dollars(record(kind, **more))} for kind, more in RECORDS]}
    assert convert(golden) == plain
    records = "".join(f"<rr:RelationshipRecord>{xml(record(kind, **more))}</rr:RelationshipRecord>" for kind, more in RECORDS)
    name = "http://www.gleif.org/data/schema/rr/2016"
    records = f"<rr:Header/><rr:RelationshipRecords>{records}</rr:RelationshipRecords>"
    text = f'<?xml version="1.0"?>\n<rr:RelationshipData xmlns:rr="{name}">{records}</rr:RelationshipData>'
    assert convert(text.encode()) == plain
    api = {"data": [{"type": "relationship-records", "attributes": attributes(record(kind, **more))} for kind, more in RECORDS]}
    assert convert(api) == plain
    assert convert({"data": api["data"][0]}) == plain[:1]
    out = io.StringIO()
    rows = [columns(record(kind, **more)) for kind, more in RECORDS]
    writer = csv.DictWriter(out, sorted({name for row in rows for name in row}))
    writer.writeheader()
    writer.writerows(rows)
    assert convert(out.getvalue().encode()) == plain


def xml(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(f"<rr:RelationshipPeriod>{xml(one)}</rr:RelationshipPeriod>" for one in value)
    return "".join(f"<rr:{name}>{xml(one)}</rr:{name}>" for name, one in value.items())


def attributes(one: dict[str, Any]) -> dict[str, Any]:
    told, registered = one["Relationship"], one["Registration"]
    return {
        "relationship": {
            "startNode": {"id": told["StartNode"]["NodeID"], "type": "LEI"},
            "endNode": {"id": told["EndNode"]["NodeID"], "type": "LEI"},
            "type": told["RelationshipType"],
            "status": told["RelationshipStatus"],
            "periods": [{"startDate": it["StartDate"], "type": it["PeriodType"]} for it in told["RelationshipPeriods"]],
        },
        "registration": {
            "initialRegistrationDate": registered["InitialRegistrationDate"],
            "lastUpdateDate": registered["LastUpdateDate"],
            "status": registered["RegistrationStatus"],
            "corroborationLevel": registered["ValidationSources"],
        },
        "extension": {"deletedAt": None},
    }


def dollars(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: dollars(one) for name, one in value.items()}
    return [dollars(one) for one in value] if isinstance(value, list) else {"$": value}


def columns(one: dict[str, Any]) -> dict[str, str]:
    told = one["Relationship"]
    row = {f"Registration.{name}": str(value) for name, value in one["Registration"].items() if isinstance(value, str)}
    row |= {f"Relationship.{node}.NodeID": told[node]["NodeID"] for node in ("StartNode", "EndNode")}
    row |= {f"Relationship.{name}": told[name] for name in ("RelationshipType", "RelationshipStatus")}
    for number, period in enumerate(told["RelationshipPeriods"], start=1):
        for name in ("startDate", "endDate", "periodType"):
            row[f"Relationship.Period.{number}.{name}"] = period.get(name[0].upper() + name[1:], "")
    return row


def test_consolidation_is_control_without_a_percentage() -> None:
    quantified = record()
    quantified["Relationship"]["RelationshipQuantifiers"] = [
        {"MeasurementMethod": "ACCOUNTING_CONSOLIDATION", "QuantifierAmount": "100.00", "QuantifierUnits": "PERCENTAGE"}
    ]
    found = convert([quantified])[0].events[0].data
    assert isinstance(found, Interest)
    assert (found.interest_type, found.share) == ("otherInfluenceOrControl", None)
    told = convert([record()])[0].events[0].data
    assert isinstance(told, Interest)
    assert (told.subject, told.interested_party) == (SUBJECT, f"lei:{PARENT.lower()}")


def test_the_ultimate_parent_yields_to_the_direct_one() -> None:
    found = convert([record("IS_ULTIMATELY_CONSOLIDATED_BY"), record()])
    ultimate, direct = (one.events[0].data for one in found)
    assert isinstance(ultimate, Interest)
    assert isinstance(direct, Interest)
    assert (ultimate.direct_or_indirect, ultimate.component_claims) == ("indirect", (direct.claim_id,))


def test_a_new_parent_takes_the_place_of_the_old() -> None:
    old, new = record(), record(parent=OTHER, first="2023-05-01T00:00:00Z", updated="2024-06-01T00:00:00Z")
    assert parents(old, new) == parents(new, old) == [f"lei:{OTHER.lower()}"]


@pytest.mark.parametrize(
    ("change", "stands"),
    [
        ({"registered": "LAPSED"}, True),
        ({"registered": "PENDING_TRANSFER"}, True),
        ({"registered": "RETIRED"}, False),
        ({"registered": "ANNULLED"}, False),
        ({"registered": "DUPLICATE"}, False),
        ({"status": "INACTIVE"}, False),
        ({"Extension": {"Deletion": {"DeletedAt": "2024-07-01T00:00:00Z"}}}, False),
        ({"Extension": {"Deletion": None}}, True),
    ],
)
def test_what_a_record_has_become_decides(change: dict[str, Any], stands: bool) -> None:
    assert bool(parents(record(), record(updated="2024-06-01T00:00:00Z", **change))) == stands


def test_an_annulled_record_never_was() -> None:
    assert isinstance(convert([record(registered="ANNULLED")])[0].events[0].data, Correction)


def test_only_the_relationships_own_period_counts() -> None:
    periods = [
        {"StartDate": "2016-01-01T00:00:00Z", "EndDate": "2016-12-31T00:00:00Z", "PeriodType": "ACCOUNTING_PERIOD"},
        {"StartDate": "2012-11-29T00:00:00+02:00", "PeriodType": "RELATIONSHIP_PERIOD"},
    ]
    assert parents(record(periods=periods)) == [f"lei:{PARENT.lower()}"]


@pytest.mark.parametrize("kind", [*MAPPING["consolidation"], *MAPPING["other"], "IS_FEEDER_TO", "IS_FRIEND_OF"])
def test_every_type_of_relationship_has_its_fate(kind: str) -> None:
    [found] = convert([record(kind)])
    if kind in MAPPING["other"] or kind == "IS_FRIEND_OF":
        assert (found.events, found.refusals[0].reason) == ((), "unknown-code" if kind == "IS_FRIEND_OF" else "no-interest")
    elif kind == "IS_FEEDER_TO":
        data = found.events[0].data
        assert isinstance(data, Interest)
        assert (data.subject, data.interested_party, data.share) == (f"lei:{PARENT.lower()}", SUBJECT, None)
    else:
        assert len(found.events) == 1


@pytest.mark.parametrize("reason", MAPPING["exceptions"])
def test_every_exception_says_why_no_parent_is_told(reason: str) -> None:
    [found] = convert([{"LEI": CHILD, "ExceptionCategory": "DIRECT_ACCOUNTING_CONSOLIDATION_PARENT", "ExceptionReason": reason}])
    assert [(one.reason, MAPPING["exceptions"][reason] in one.detail) for one in found.refusals] == [("parent-not-told", True)]


def test_what_is_wrong_in_one_record_does_not_stop_the_rest() -> None:
    wrong = [
        record(parent="5493001Z012YSB2A0K52"),
        record(status="NULL"),
        record(registered="BROKEN"),
        {},
        {"Relationship": 7},
        record(),
    ]
    assert [[one.reason for one in found.refusals] for found in convert(wrong)] == [
        ["not-a-lei"],
        ["not-applicable"],
        ["unknown-code"],
        ["not-a-record"],
        ["not-a-record"],
        [],
    ]


BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><a>&c;</a>'
EXTERNAL = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/hostname">]><RelationshipRecord>&b;</RelationshipRecord>'
)


@pytest.mark.parametrize("hostile", [BOMB, EXTERNAL, b"", b"hello", b"<a><b></a>", b"<RelationshipData>", b'[{"a": ', b"{"])
def test_hostile_and_broken_files_are_told_as_a_whole(hostile: bytes) -> None:
    with pytest.raises(NotThisFormat):
        convert(hostile)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.data())
def test_whatever_stands_in_a_field_is_an_event_or_a_refusal(data: st.DataObject) -> None:
    chosen = record()
    where = data.draw(
        st.sampled_from([chosen, chosen["Relationship"], chosen["Registration"], chosen["Relationship"]["StartNode"]])
    )
    where[data.draw(st.sampled_from(sorted(where)))] = data.draw(json_values)
    assert len(convert([chosen])) == 1
