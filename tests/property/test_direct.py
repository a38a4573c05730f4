"""The direct solution gives the scores of the in-process runner, whatever the graph, the claims and their state."""

from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from neutrality.events.cloudevent import Event
from neutrality.model.direct import TOLERANCE_POINTS, DirectModel
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from tests.support.events import AT, event, lab, vendor

LABS = ("lab-a", "lab-b", "lab-c")
FIRMS = tuple(f"firm-{number}" for number in range(5))
PEOPLE = ("person-a", "person-b")
ORGANISATIONS = (*LABS, *FIRMS)
VIEWS = ("confirmed", "projected", "low", "high")
BASE = [
    *[lab(name) for name in LABS[:2]],
    lab(LABS[2], affiliates=[LABS[0]]),
    *[vendor(name) for name in FIRMS],
    event("entity", subject=FIRMS[0], board_size=4, claim_id="board"),
    event("entity", subject=FIRMS[1], group=LABS[1], claim_id="group"),
    # so that every vendor hears who declares the first lab an affiliate (see tests/unit/model/test_direct.py)
    *[event("contract", subject=name, customer=LABS[0], claim_id="work") for name in FIRMS],
]

organisations = st.sampled_from(ORGANISATIONS)
firms = st.sampled_from(FIRMS)
statuses = st.sampled_from(["completed", "completed", "completed", "announced", "rumoured", "terminated"])
shares = st.one_of(
    st.integers(1, 14).map(lambda part: {"exact": part / 20}),
    st.sampled_from([{"minimum": 0.1, "maximum": 0.6}, {"minimum": 0.3, "maximum": 0.45}, None]),
)
evidence = st.sampled_from([("official_statement", 1), ("named_press", 1), ("anonymous_source", 2), ("rumour", 1)])
numbers = st.integers(0, 30)


@st.composite
def interests(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["shareholding", "shareholding", "votingRights", "votingRights", "appointmentOfBoard"]))
    party, subject = draw(organisations), draw(organisations)
    return {
        "kind": "interest",
        "subject": subject,
        "interested_party": party if party != subject else "outsider",
        "interest_type": kind,
        "claim_id": f"{party}-{kind}",
        "share": draw(shares) if kind != "appointmentOfBoard" else None,
    }


@st.composite
def roles(draw: st.DrawFn) -> dict[str, Any]:
    person = draw(st.sampled_from(PEOPLE))
    kind = draw(st.sampled_from(["executive", "executive", "board_member"]))
    return {
        "kind": "role",
        "subject": draw(organisations),
        "person": person,
        "role_type": kind,
        "claim_id": f"{person}-{kind}",
        "represents": draw(st.sampled_from([None, None, *ORGANISATIONS])),
        "left_for": draw(st.sampled_from([None, None, *ORGANISATIONS])) if kind == "executive" else None,
    }


@st.composite
def revenues(draw: st.DrawFn) -> dict[str, Any]:
    customer, year = draw(st.sampled_from([None, *ORGANISATIONS])), draw(st.sampled_from([2023, 2024]))
    return {
        "kind": "revenue",
        "subject": draw(firms),
        "customer": customer,
        "fiscal_year": year,
        "amount": {"amount": str(draw(st.integers(0, 100)))},
        "claim_id": f"revenue-{customer}-{year}",
    }


@st.composite
def contracts(draw: st.DrawFn) -> dict[str, Any]:
    customer, intent = draw(organisations), draw(st.sampled_from(["end", "reduce", "continue"]))
    return {"kind": "contract", "subject": draw(firms), "customer": customer, "intent": intent, "claim_id": f"plan-{customer}"}


claims = st.lists(
    st.tuples(st.one_of(interests(), interests(), interests(), roles(), revenues(), contracts()), statuses, evidence, numbers),
    min_size=1,
    max_size=24,
)


def event_of(number: int, claim: dict[str, Any], status: str, by: tuple[str, int], day: int) -> Event:
    data = {name: value for name, value in claim.items() if value is not None and name != "kind"}
    return event(claim["kind"], status=status, by=by, day=day * 4, id=f"claim-{number}", **data)


Scores = dict[tuple[str, str | None, str], float]


def both(events: list[Event]) -> tuple[Scores, list[Scores], set[str]]:
    """By the runner, by the formulas (in full, and as far as the levels go), and the vendors whose levels were cut."""
    methodology = load_methodology()
    taken = [(found, int(found.time.timestamp() * 1000)) for found in events]
    runner, model = LocalRunner(methodology, AT), DirectModel(methodology)
    runner.apply_together(taken)
    model.add(taken)
    found = runner.standing_assessments()
    solutions = [model.solve(AT), model.solve(AT, levels=methodology.limits.levels)]
    asked = list(product(FIRMS, (None, *LABS), VIEWS))
    return (
        {(name, towards, view): getattr(found[name].score_for(towards), view) for name, towards, view in asked},
        [{key: solution.score(*key) for key in asked} for solution in solutions],
        {name for name, assessment in found.items() if "levels_cut" in assessment.flags},
    )


@settings(max_examples=100, deadline=None)
@given(drawn=claims)
def test_direct_scores_are_those_of_the_runner(drawn: list[tuple[dict[str, Any], str, tuple[str, int], int]]) -> None:
    by_runner, by_formula, cut = both([*BASE, *[event_of(number, *claim) for number, claim in enumerate(drawn)]])
    for key, score in by_runner.items():
        full, to_the_last_level = (found[key] for found in by_formula)
        bounds = (full, to_the_last_level) if key[0] in cut else (full, full)
        assert min(bounds) - TOLERANCE_POINTS <= score <= max(bounds) + TOLERANCE_POINTS, key
