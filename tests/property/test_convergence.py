"""Whatever the order, the repeats and the interleaving: one result, which is that of the direct solution."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrality.events.assessment import Assessment, attribute
from neutrality.events.cloudevent import Event
from neutrality.model.assessment import terms_of
from neutrality.model.claims import retractions, standings
from neutrality.model.direct import controlled, integrated_ownership
from neutrality.model.facts import Facts
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.model.ownership import integrated
from neutrality.model.picture import Picture
from neutrality.model.views import VIEWS
from tests.support.events import AT, event, lab, stake, vendor

LABS = ("lab-a", "lab-b", "lab-c")
FIRMS = tuple(f"firm-{number}" for number in range(6))
ENTITIES = (*LABS, *FIRMS)
BASE = [*[lab(name) for name in LABS], *[vendor(name) for name in FIRMS]]

edges = st.lists(
    st.tuples(
        st.sampled_from(ENTITIES),
        st.sampled_from(ENTITIES),
        st.integers(1, 19),
        st.sampled_from(["shareholding", "votingRights"]),
    ).filter(lambda edge: edge[0] != edge[1]),
    min_size=1,
    max_size=16,
)


def events_of(graph: list[tuple[str, str, int, str]]) -> list[Event]:
    """Later edges on the same pair update the earlier claim, so that the newest must win."""
    return [
        stake(party, subject, part / 20, of=kind, id=f"edge-{number}", day=number)
        for number, (party, subject, part, kind) in enumerate(graph)
    ]


def run(events: list[Event], *, together: bool = False) -> LocalRunner:
    runner = LocalRunner(load_methodology(), AT)
    (runner.apply_together if together else runner.apply)(events)
    return runner


def told(runner: LocalRunner) -> dict[str, Assessment]:
    """What was published, without how often and why it was."""
    return {name: found.unversioned() for name, found in runner.assessments.items()}


@settings(max_examples=40, deadline=None)
@given(graph=edges, seed=st.integers(0, 2**32))
def test_order_repeats_and_interleaving_do_not_matter_bit_for_bit(graph: list[tuple[str, str, int, str]], seed: int) -> None:
    events = [*BASE, *events_of(graph)]
    expected = told(run(events))
    shuffled = [*events, *events[::2]]
    random.Random(seed).shuffle(shuffled)
    assert told(run(shuffled)) == expected
    assert told(run(shuffled, together=True)) == expected


@settings(max_examples=40, deadline=None)
@given(graph=edges)
def test_ownership_and_control_are_those_of_the_direct_solution(graph: list[tuple[str, str, int, str]]) -> None:
    runner = run([*BASE, *events_of(graph)])
    newest = {(subject, party, kind): part / 20 for party, subject, part, kind in graph}
    for kind in ("shareholding", "votingRights"):
        shares = {(subject, party): share for (subject, party, of), share in newest.items() if of == kind}
        totals = {subject: math.fsum(v for (s, _), v in shares.items() if s == subject) for subject, _ in shares}
        shares = {(s, p): share / max(1.0, totals[s]) for (s, p), share in shares.items()}
        for name in LABS:
            profiles = {entity: runner.vertices[entity].profile.value for entity in ENTITIES if entity != name}
            if kind == "votingRights":
                in_control = {
                    e for e, profile in profiles.items() if profile and profile.exposure(name, "confirmed").control is not None
                }
                assert in_control == controlled({name}, shares) - {name}
            elif not any("levels_cut" in found.flags for found in runner.assessments.values()):
                direct = integrated_ownership({name}, shares)
                by_levels = {e: integrated(p.exposure(name, "confirmed").levels) if p else 0.0 for e, p in profiles.items()}
                direct = {entity: direct.get(entity, 0.0) for entity in by_levels}
                assert by_levels == pytest.approx(direct, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(graph=edges, seed=st.integers(0, 2**32))
def test_retracting_everything_restores_what_was(graph: list[tuple[str, str, int, str]], seed: int) -> None:
    events = events_of(graph)
    back = [
        event("correction", day=200, subject=e.data.subject, retracts_event={"source": e.source, "id": e.id}, reason="a test")
        for e in events
    ]
    random.Random(seed).shuffle(back)
    assert told(run([*BASE, *events, *back])) == told(run(BASE))


@settings(max_examples=40, deadline=None)
@given(graph=edges)
def test_scores_stay_in_range_and_attributions_add_up(graph: list[tuple[str, str, int, str]]) -> None:
    for found in run([*BASE, *events_of(graph)]).assessments.values():
        for towards in (None, *LABS):
            score = found.score_for(towards)
            assert 0.0 <= score.confirmed <= 100.0
            rows = attribute(found, towards)
            assert math.fsum(row.points for row in rows) == pytest.approx(100.0 - score.confirmed, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(part=st.integers(0, 10), more=st.integers(1, 9), other=st.integers(0, 5))
def test_more_of_a_rivals_stake_never_raises_a_score_nor_lowers_its_own(part: int, more: int, other: int) -> None:
    def scores(share: float) -> Assessment:
        return run([*BASE, stake("lab-b", "firm-0", other / 20), stake("lab-a", "firm-0", share)]).assessments["firm-0"]

    less, greater = scores(part / 20), scores(min(1.0 - other / 20, (part + more) / 20))
    assert greater.score_for("lab-b").confirmed <= less.score_for("lab-b").confirmed
    assert greater.headline.confirmed <= less.headline.confirmed
    assert greater.score_for("lab-a").confirmed >= less.score_for("lab-a").confirmed


claims = st.lists(
    st.tuples(
        st.sampled_from(ENTITIES),
        st.sampled_from(ENTITIES),
        st.sampled_from([{"exact": 0.4}, {"minimum": 0.1, "maximum": 0.6}, None]),
        st.sampled_from(["completed", "announced", "rumoured", "terminated"]),
        st.sampled_from(["shareholding", "votingRights"]),
    ).filter(lambda claim: claim[0] != claim[1]),
    min_size=1,
    max_size=10,
)


@settings(max_examples=40, deadline=None)
@given(drawn=claims)
def test_a_view_that_is_left_out_would_have_said_the_same(
    drawn: list[tuple[str, str, dict[str, float] | None, str, str]],
) -> None:
    methodology = load_methodology()
    runner = run(
        [
            *BASE,
            *[
                event(
                    "interest",
                    subject=subject,
                    interested_party=party,
                    interest_type=kind,
                    status=status,
                    claim_id=f"{party}-{kind}",
                    day=number,
                    share=share,
                )
                for number, (party, subject, share, status, kind) in enumerate(drawn)
            ],
        ]
    )
    for name, state in runner.vertices.items():
        found = standings(state.reports.values(), retractions([]), AT, methodology.evidence)
        parties = {sender: known.value for sender, known in state.profiles.items() if known.value is not None}
        facts = Facts(name, AT, Picture(name, found, AT, methodology), parties)
        for view in VIEWS:
            assert terms_of(facts, facts.distinct_views()[view], methodology) == terms_of(facts, view, methodology)
