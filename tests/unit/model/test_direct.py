"""The direct solution: answers known from the literature, and cases in which it once found the runner wrong."""

from datetime import timedelta
from typing import Any

import pytest

from neutrality.events.cloudevent import Event
from neutrality.model.direct import TOLERANCE_POINTS, DirectModel, controlled, integrated_ownership, shapley_with_ocean
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from tests.support.events import AT, event, lab, stake, vendor

VIEWS = ("confirmed", "projected", "low", "high")
HELD = {("s1", "s0"): 0.8, ("s2", "s0"): 0.6, ("s3", "s0"): 0.1, ("s3", "s1"): 0.4, ("s1", "s2"): 0.1, ("s3", "s2"): 0.2}


def test_integrated_ownership_adds_up_all_paths() -> None:
    assert integrated_ownership({"s0"}, HELD) == pytest.approx({"s1": 0.86, "s2": 0.6, "s3": 0.564})


def test_a_cross_holding_counts_once_for_each_way_round() -> None:
    """Brioschi, Buzzacchi & Colombo 1989: two firms own half of each other, the other halves are free."""
    halves = {("a", "b"): 0.5, ("b", "a"): 0.5, ("a", "owner"): 0.5}
    assert integrated_ownership({"owner"}, halves) == pytest.approx({"a": 2 / 3, "b": 1 / 3})


def test_a_closed_ring_that_no_lab_reaches_is_nobodys() -> None:
    assert integrated_ownership({"lab"}, {("a", "b"): 1.0, ("b", "a"): 1.0, ("c", "lab"): 0.3}) == {"c": 0.3}


def test_levels_leave_out_the_longer_paths() -> None:
    assert integrated_ownership({"s0"}, HELD, levels=1) == pytest.approx({"s1": 0.8, "s2": 0.6, "s3": 0.1})


def test_control_runs_through_what_is_controlled() -> None:
    votes = {("c2", "c1"): 0.6, ("c3", "c1"): 0.2, ("c3", "c2"): 0.35, ("c4", "c3"): 0.51}
    assert controlled({"c1"}, votes) == {"c1", "c2", "c3", "c4"}
    assert controlled({"c3"}, votes) == {"c3", "c4"}
    ring = {("a", "b"): 0.3, ("b", "c"): 0.3, ("c", "a"): 0.3}
    assert all(controlled({name}, ring) == {name} for name in "abc")
    assert controlled({"c1"}, {}, {("c5", "c1")}) == {"c1", "c5"}


@pytest.mark.parametrize(
    ("own", "others", "index"),
    [
        (0.49, [], 0.49 / 0.51),  # Milnor & Shapley 1978: a lone block and an ocean
        (0.5, [0.49, 0.01], 2 / 3),
        (0.49, [0.5, 0.01], 1 / 6),
        (0.26, [0.49, 0.25], 1 / 3),
    ],
)
def test_power_is_the_shapley_shubik_index(own: float, others: list[float], index: float) -> None:
    assert shapley_with_ocean(own, others) == pytest.approx(index)


BASE = [lab("lab-a"), lab("lab-b"), vendor("firm")]


def differing(*events: Event) -> list[str]:
    """The scores of `firm` in which runner and formulas differ."""
    methodology = load_methodology()
    taken = [(found, int(found.time.timestamp() * 1000)) for found in (*BASE, *events)]
    runner, model = LocalRunner(methodology, AT), DirectModel(methodology)
    runner.apply_together(taken)
    model.add(taken)
    solution, found = model.solve(AT), runner.assessments["firm"]
    return [
        f"{lab_} {view}"
        for lab_ in (None, "lab-a", "lab-b")
        for view in VIEWS
        if abs(solution.score("firm", lab_, view) - getattr(found.score_for(lab_), view)) > TOLERANCE_POINTS
    ]


def test_repeats_and_two_events_under_one_name_count_once_whatever_the_order() -> None:
    one, other = stake("lab-a", "firm", 0.2, id="same"), stake("lab-a", "firm", 0.3, id="same")
    assert differing(one, other, one) == []
    assert differing(other, one) == []


def test_a_retracted_claim_is_gone() -> None:
    told = stake("lab-a", "firm", 0.2)
    back = event("correction", day=9, subject="firm", retracts_claim=told.data.claim_id, reason="a test")  # type: ignore[union-attr]
    assert differing(told, back) == []


def test_a_departed_executive_cools_off_here_too() -> None:
    left = event("role", status="terminated", subject="firm", person="p", role_type="executive", left_for="lab-a")
    model = DirectModel(load_methodology())
    model.add((found, 0) for found in (*BASE, left))
    end = left.data.effective_time.replace(year=2027)  # type: ignore[union-attr]
    assert model.solve(end - timedelta(seconds=1)).score("firm", None, "confirmed") == pytest.approx(70.0)
    assert model.solve(end).score("firm", None, "confirmed") == 100.0


def executive(subject: str, claim_id: str, **more: Any) -> Event:
    return event("role", subject=subject, person="p", role_type="executive", claim_id=claim_id, **more)


def test_an_interlock_counts_though_the_lab_has_no_other_tie() -> None:
    assert differing(executive("lab-a", "there"), executive("firm", "here")) == []


def test_a_promotion_that_is_only_announced_is_not_confirmed() -> None:
    seat = event("role", subject="lab-a", person="p", role_type="board_member", claim_id="there")
    promoted = executive("lab-a", "there", status="announced", day=3)
    assert differing(seat, promoted, executive("firm", "here"), stake("lab-a", "firm", 0.1)) == []


def test_a_customer_that_is_owned_whole_through_a_ring_is_of_the_group() -> None:
    ring = [stake("lab-a", "s1", 0.2), stake("s2", "s1", 0.8), stake("s1", "s2", 1.0)]
    revenue = event("revenue", subject="firm", fiscal_year=2024, amount={"amount": "100"})
    spent = event("revenue", subject="firm", fiscal_year=2024, customer="s1", amount={"amount": "50"})
    assert differing(*ring, revenue, spent) == []


def test_a_range_of_votes_in_other_hands_moves_the_ends() -> None:
    others = event(
        "interest",
        subject="firm",
        interested_party="z",
        interest_type="votingRights",
        share={"minimum": 0.1, "maximum": 0.4},
    )
    assert differing(stake("lab-a", "firm", 0.4, of="votingRights"), others) == []


def test_a_lab_that_has_influence_only_at_the_end_of_a_range_is_no_rival_to_itself() -> None:
    votes = event(
        "interest",
        subject="holding",
        interested_party="lab-a",
        interest_type="votingRights",
        share={"minimum": 0.1, "maximum": 0.6},
    )
    seat = event("role", subject="firm", person="p", role_type="board_member", represents="holding")
    assert differing(votes, seat) == []


def test_an_affiliate_that_is_tied_through_a_person_only_is_no_rival() -> None:
    affiliate = event("entity", subject="lab-b", affiliates=["lab-a"])
    assert differing(affiliate, executive("lab-a", "there"), executive("firm", "here")) == []
