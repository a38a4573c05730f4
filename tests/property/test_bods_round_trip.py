"""What is written as BODS 0.4 is read back as the same claims."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from neutrality.events.claims import Interest, InterestType, Role
from neutrality.events.cloudevent import Event
from neutrality.registers.bods import statements_about
from neutrality.registers.bods.validation import refusal_of
from tests.support.bods import converted, events_of, reasons
from tests.support.events import event, vendor

NAMES = ["acme", "holding", "lab", "fund"]
shares = st.one_of(
    st.none(),
    st.integers(0, 10_000).map(lambda bp: {"exact": bp / 10_000}),
    st.tuples(st.integers(0, 50), st.integers(50, 100)).map(lambda two: {"minimum": two[0] / 100, "maximum": two[1] / 100}),
)
ends = st.sampled_from(NAMES)


@st.composite
def held(draw: Any) -> Event:
    day = draw(st.integers(0, 300))
    common: dict[str, Any] = {"subject": draw(ends), "day": day, "status": draw(st.sampled_from(["completed", "terminated"]))}
    if common["status"] == "completed" and draw(st.booleans()):
        finish = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(days=day + draw(st.integers(1, 99)))
        common["end_time"] = finish.isoformat()
    if draw(st.booleans()):
        return event("role", person="ada", role_type=draw(st.sampled_from(["executive", "board_member"])), **common)
    party = draw(ends.filter(lambda name: name != common["subject"]))
    kind, how = draw(st.sampled_from([t.value for t in InterestType])), draw(st.sampled_from(["direct", "indirect", "unknown"]))
    share = draw(shares)
    if share is not None:
        common["share"] = share
    return event("interest", interested_party=party, interest_type=kind, direct_or_indirect=how, **common)


def said(found: Event) -> tuple[object, ...]:
    data = found.data
    assert isinstance(data, Interest | Role)
    common = (
        data.subject,
        data.status,
        data.effective_time.isoformat(),
        data.end_time and data.end_time.isoformat(),
        data.evidence[0].kind,
    )
    if isinstance(data, Role):
        return ("role", *common, data.person, data.role_type)
    return ("interest", *common, data.interested_party, data.interest_type, data.share, data.direct_or_indirect)


@settings(max_examples=60, deadline=None)
@given(st.lists(held(), max_size=12))
def test_a_round_trip_keeps_the_claims(holdings: list[Event]) -> None:
    statements = statements_about("acme", [vendor("acme"), *holdings])
    assert all(refusal_of(statement) is None for statement in statements)
    back = converted(*statements)
    assert reasons(back) == []
    reached = {"acme"}
    for _ in NAMES:
        reached |= {e.data.interested_party for e in holdings if isinstance(e.data, Interest) and e.data.subject in reached}
    expected = sorted(repr(said(e)) for e in holdings if e.data.subject in reached)
    assert sorted(repr(said(e)) for e in events_of(back) if isinstance(e.data, Interest | Role)) == expected


def test_the_same_events_give_the_same_statements_and_an_unknown_vendor_none() -> None:
    known = [vendor("acme", name="Acme", time="2025-01-01T00:00:00+00:00")]
    assert statements_about("acme", known) == statements_about("acme", known) != []
    assert statements_about("nobody", known) == []
