"""Known answers from the literature, each through the whole model: events, the in-process runner, the terms of the assessment.

The numbers are worked out by hand beside each test. Sources:

- Brioschi, Buzzacchi & Colombo 1989, "Risk capital financing and the separation of ownership and control in business groups".
- Vitali, Glattfelder & Battiston 2011, "The network of global corporate control", appendix (what an owner holds in itself is left out).
- Ceri, Gottlob & Tanca 1990, "Logic Programming and Databases" (the company control problem).
- Shapley & Shubik 1954, "A method for evaluating the distribution of power in a committee system".
- Milnor & Shapley 1978, "Values of large games II: oceanic games".
- Clayton Act, section 8 (interlocks); ASC 280-10-50-42 (major customers, by fiscal year).
"""

import math
from typing import Any

import pytest

from neutrality.events.assessment import Assessment, Channel
from neutrality.events.cloudevent import Event
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from tests.support.events import AT, event, lab, stake, vendor

VOTES = "votingRights"


def run(*events: Event) -> LocalRunner:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply(events)
    return runner


def influence(assessment: Assessment, lab_id: str, channel: Channel) -> float:
    return next((term.influence for term in assessment.confirmed if (term.lab, term.channel) == (lab_id, channel)), 0.0)


def owned(runner: LocalRunner, lab_id: str, entity: str) -> float:
    return influence(runner.assessments[entity], lab_id, "ownership")


def vendors(names: str) -> list[Event]:
    return [vendor(name) for name in names.split()]


# --- integrated ownership ---


def test_integrated_ownership_adds_up_all_paths() -> None:
    # the model paper's S0..S3: S2 = .6 (nobody but S0); S1 = .8 + .1 x .6 = .86; S3 = .1 + .4 x .86 + .2 x .6 = .564
    runner = run(
        lab("s0"),
        *vendors("s1 s2 s3"),
        stake("s0", "s1", 0.8),
        stake("s0", "s2", 0.6),
        stake("s0", "s3", 0.1),
        stake("s1", "s3", 0.4),
        stake("s2", "s1", 0.1),
        stake("s2", "s3", 0.2),
    )
    assert [owned(runner, "s0", name) for name in ("s1", "s2", "s3")] == pytest.approx([0.86, 0.60, 0.564])
    # 100 x (1 - .8 x .564) = 54.88: N3
    assert runner.assessments["s3"].headline.confirmed == pytest.approx(54.88)
    assert runner.assessments["s3"].headline.grade == "N3"
    # by the last step of each path: S0 itself .1, through S1 .4 x .86 = .344, through S2 .2 x .6 = .12
    (term,) = runner.assessments["s3"].confirmed
    assert {part.through: part.ratio for part in term.parts} == pytest.approx(
        {"s0": 0.1 / 0.564, "s1": 0.344 / 0.564, "s2": 0.12 / 0.564}
    )


def test_cross_holding_of_two_firms() -> None:
    # Brioschi et al.: two firms own half of each other, each has an outside owner with the other half:
    # C = [[0, 1/2], [1/2, 0]], det(I - C) = 3/4, (I - C)^-1 = 4/3 [[1, 1/2], [1/2, 1]], times 1/2: [[2/3, 1/3], [1/3, 2/3]]
    runner = run(
        *[lab("r"), lab("q"), *vendors("a b")],
        *[stake("r", "a", 0.5), stake("b", "a", 0.5), stake("q", "b", 0.5), stake("a", "b", 0.5)],
    )
    assert [owned(runner, lab_id, firm) for lab_id in ("r", "q") for firm in ("a", "b")] == pytest.approx(
        [2 / 3, 1 / 3, 1 / 3, 2 / 3], abs=1e-6
    )
    # 100 x (1 - .8 x 2/3) (1 - .8 x 1/3) = 100 x 7/15 x 11/15 = 34.2222
    assert runner.assessments["a"].headline.confirmed == pytest.approx(100 * 77 / 225, abs=1e-4)


def test_a_ring_of_three_firms_with_one_outside_owner() -> None:
    # a = 1/2 + 1/2 c, b = 1/2 a, c = 1/2 b: a = 1/2 + a/8, so a = 4/7, b = 2/7, c = 1/7
    runner = run(
        *[lab("r"), *vendors("a b c")],
        *[stake("r", "a", 0.5), stake("a", "b", 0.5), stake("b", "c", 0.5), stake("c", "a", 0.5)],
    )
    assert [owned(runner, "r", name) for name in ("a", "b", "c")] == pytest.approx([4 / 7, 2 / 7, 1 / 7], abs=1e-6)


def test_owners_of_a_group_with_a_ring_share_all_of_it() -> None:
    # Brioschi et al.: what the ultimate owners hold in a group adds up to 1 a firm, whatever the rings inside;
    # a = .3 + .7 b, b = .2 + .4 a for r: a = .44 / .72 = 11/18, b = 4/9; for q a = .7 b, b = .4 + .4 a: a = .28 / .72 = 7/18, b = 5/9
    runner = run(
        *[lab("r"), lab("q"), *vendors("a b")],
        *[stake("r", "a", 0.3), stake("b", "a", 0.7), stake("r", "b", 0.2), stake("q", "b", 0.4), stake("a", "b", 0.4)],
    )
    assert [owned(runner, lab_id, firm) for lab_id in ("r", "q") for firm in ("a", "b")] == pytest.approx(
        [11 / 18, 4 / 9, 7 / 18, 5 / 9], abs=1e-6
    )


def test_what_is_held_in_the_owner_does_not_count_twice() -> None:
    # Vitali et al.: r holds half of v, v half of r. The series 1/2 + 1/8 + 1/32 + ... = 2/3 counts r's own half again and again
    runner = run(lab("r"), vendor("v"), stake("r", "v", 0.5), stake("v", "r", 0.5))
    assert owned(runner, "r", "v") == 0.5
    # the same with a firm between: r -> v 1/2, v -> w 1/2, w -> r 1: v 1/2, w 1/4
    runner = run(lab("r"), *vendors("v w"), stake("r", "v", 0.5), stake("v", "w", 0.5), stake("w", "r", 1.0))
    assert [owned(runner, "r", name) for name in ("v", "w")] == [0.5, 0.25]


# --- company control ---


def votes_of(first: str, *held: tuple[str, str, float]) -> dict[str, float]:
    """The votes influence of one lab on each of the others, by what is held."""
    names = sorted({name for party, subject, _ in held for name in (party, subject)} - {first})
    runner = run(
        lab(first), *[vendor(name) for name in names], *[stake(party, subject, share, of=VOTES) for party, subject, share in held]
    )
    return {name: influence(runner.assessments[name], first, "votes") for name in names}


CHAIN = (("c1", "c2", 0.60), ("c1", "c3", 0.20), ("c2", "c3", 0.35), ("c3", "c4", 0.51))


def test_company_control_through_chains() -> None:
    # Ceri et al.: c1 controls c2 (60), with it c3 (20 + 35 = 55), with it c4 (51)
    assert votes_of("c1", *CHAIN) == {"c2": 1.0, "c3": 1.0, "c4": 1.0}
    # c2 holds 35 of c3 beside c1's 20 and an ocean of 45: no control, so nothing of c4; (.5 - .2)^2 / .45^2 = 4/9 of the power in c3
    assert votes_of("c2", *CHAIN) == pytest.approx({"c1": 0.0, "c3": 4 / 9, "c4": 0.0})
    assert votes_of("c3", *CHAIN) == {"c1": 0.0, "c2": 0.0, "c4": 1.0}


def test_a_ring_of_three_with_thirty_each_controls_nothing() -> None:
    # each holds 30 of the next: a lone block and an ocean of 70, .3 / .7 = 3/7, and no way on from there
    found = votes_of("c1", ("c1", "c2", 0.3), ("c2", "c3", 0.3), ("c3", "c1", 0.3))
    assert found == pytest.approx({"c2": 3 / 7, "c3": 0.0})


def test_a_ring_with_majorities_is_controlled_by_who_breaks_in() -> None:
    # b and c hold 60 of each other and a 51 of b through 40 + what it controls: a -> b needs c's 60, which needs b: none
    assert votes_of("a", ("a", "b", 0.4), ("c", "b", 0.6), ("b", "c", 0.6))["c"] == 0.0
    # with 51 of d, which holds 11 of b, a still has 40 + 11 = 51 of b if c has only 49: control of b, and with it of c
    found = votes_of("a", ("a", "b", 0.4), ("d", "b", 0.11), ("c", "b", 0.49), ("b", "c", 0.6), ("a", "d", 0.51))
    assert found == {"b": 1.0, "c": 1.0, "d": 1.0}


# --- Shapley-Shubik power, with and without an ocean ---


def power_of(cast: dict[str, float]) -> dict[str, float]:
    runner = run(*[lab(name) for name in cast], vendor("v"), *[stake(name, "v", share, of=VOTES) for name, share in cast.items()])
    return {name: influence(runner.assessments["v"], name, "votes") for name in cast}


@pytest.mark.parametrize(
    ("cast", "expected"),
    [
        # [51; 50, 49, 1]: of the 6 orders a is pivot in bac, bca, cab, cba (b + c = 50 is no majority), b in abc, c in acb
        ({"a": 0.50, "b": 0.49, "c": 0.01}, {"a": 2 / 3, "b": 1 / 6, "c": 1 / 6}),
        # 49 / 26 / 25: any two have a majority, so all are alike
        ({"a": 0.49, "b": 0.26, "c": 0.25}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
        ({"a": 0.51, "b": 0.49}, {"a": 1.0, "b": 0.0}),
        # 40 / 20 / 20 / 20: the apex needs one of the three, or they all hold together: pivot in second or third place, 2 of 4;
        # the rest shares 1/2
        ({"a": 0.4, "b": 0.2, "c": 0.2, "d": 0.2}, {"a": 1 / 2, "b": 1 / 6, "c": 1 / 6, "d": 1 / 6}),
        # the apex game with 12 players, as many blocks as the model tells apart: 10 votes and 11 times 1 of 21. The apex is pivot unless
        # it comes first or last: 10/12; each of the others has 1/11 of the remaining 2/12
        (
            {"apex": 10 / 21} | {f"b{n:02}": 1 / 21 for n in range(11)},
            {"apex": 5 / 6} | {f"b{n:02}": 1 / 66 for n in range(11)},
        ),
    ],
)
def test_shapley_shubik_index_of_blocks(cast: dict[str, float], expected: dict[str, float]) -> None:
    found = power_of(cast)
    assert found == pytest.approx(expected)
    assert math.fsum(found.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.49, 0.49 / 0.51),  # .9608
        (0.40, 2 / 3),  # Shapley & Shubik's stockholder with 40 % beside 600 small ones: 66.6 %
        (0.25, 1 / 3),
    ],
)
def test_one_block_and_an_ocean(share: float, expected: float) -> None:
    # Milnor & Shapley: pivot if the ocean's part before it, t, has 1/2 - w < t (1 - w) < 1/2: a length of w / (1 - w)
    assert power_of({"a": share})["a"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Milnor & Shapley, two major players w1, w2 and an ocean a = 1 - w1 - w2 at simple majority. Together under half:
        # int_0^1 over the other before (t) or after (1 - t), which comes to (w1 / a) (1 - w2 / a), and the same with 1 and 2 exchanged
        (0.30, 0.10, ((0.3 / 0.6) * (1 - 0.1 / 0.6), (0.1 / 0.6) * (1 - 0.3 / 0.6))),  # 5/12 and 1/12
        (0.20, 0.20, ((0.2 / 0.6) * (1 - 0.2 / 0.6), (0.2 / 0.6) * (1 - 0.2 / 0.6))),  # 2/9 each: less than 1/4 alone
        # together over half: ((1/2 - w2) / a)^2 and ((1/2 - w1) / a)^2
        (0.40, 0.30, ((0.2 / 0.3) ** 2, (0.1 / 0.3) ** 2)),  # 4/9 and 1/9
        (0.35, 0.35, ((0.15 / 0.3) ** 2, (0.15 / 0.3) ** 2)),  # 1/4 each, the ocean holds 30 % of the votes and half of the power
        (0.45, 0.15, ((0.35 / 0.4) ** 2, (0.05 / 0.4) ** 2)),  # 49/64 and 1/64
    ],
)
def test_two_blocks_and_an_ocean(first: float, second: float, expected: tuple[float, float]) -> None:
    assert power_of({"a": first, "b": second}) == pytest.approx({"a": expected[0], "b": expected[1]})


def test_the_same_power_in_another_mans_hands() -> None:
    # what a lab controls casts its votes with it: 51 of d, which has 10 of v, makes 30 + 10 = 40 and an ocean of 60: 2/3
    held = [stake("a", "v", 0.3, of=VOTES), stake("d", "v", 0.1, of=VOTES), stake("a", "d", 0.51, of=VOTES)]
    found = run(lab("a"), vendor("v"), *held).assessments["v"]
    assert influence(found, "a", "votes") == pytest.approx(2 / 3)
    # and without that, two blocks: 5/12 as above
    found = run(lab("a"), vendor("v"), *held[:2]).assessments["v"]
    assert influence(found, "a", "votes") == pytest.approx(5 / 12)


def test_a_block_that_a_lab_buys_from_the_ocean_may_give_power_to_another() -> None:
    # why "own ties never lower the own score" is not promised for votes: beside p with 40, q's 30 has 1/9; once c has bought 20 an
    # ocean of 10 is left and any two of the three win, so q is pivot with just one of them before it: 2 x int_0^1 t (1 - t) dt = 1/3
    assert power_of({"p": 0.4, "q": 0.3})["q"] == pytest.approx(1 / 9)
    assert power_of({"p": 0.4, "q": 0.3, "c": 0.2})["q"] == pytest.approx(1 / 3)


# --- governance ---


def executive(person: str, subject: str, **data: Any) -> Event:
    return event("role", subject=subject, person=person, role_type="executive", **data)


def seat(person: str, subject: str, **data: Any) -> Event:
    return event("role", subject=subject, person=person, role_type="board_member", **data)


def test_governance_ties_leave_the_product_of_what_each_leaves() -> None:
    base = [lab("r"), vendor("v"), seat("s", "v", represents="r", claim_id="seat")]
    # a seat of an appointee weighs .2
    assert influence(run(*base).assessments["v"], "r", "governance") == pytest.approx(0.2)
    # and an executive of both (Clayton Act, section 8) .5: 1 - .8 x .5 = .6
    both = [*base, executive("p", "v", claim_id="here"), executive("p", "r", claim_id="there")]
    assert influence(run(*both).assessments["v"], "r", "governance") == pytest.approx(0.6)
    # and one who left for r within 24 months .5: 1 - .8 x .5 x .5 = .8
    left = executive("w", "v", claim_id="ceo", status="terminated", left_for="r")
    found = run(*both, left).assessments["v"]
    assert influence(found, "r", "governance") == pytest.approx(0.8)
    # 100 x (1 - .6 x .8) = 52, by claims in proportion to the logarithms of what they leave: ln .8 : ln .5 : ln .5
    assert found.headline.confirmed == pytest.approx(52.0)
    (term,) = found.confirmed
    whole = math.log(0.8) + 2 * math.log(0.5)
    assert {part.claim_id: part.ratio for part in term.parts} == pytest.approx(
        {"seat": math.log(0.8) / whole, "here": math.log(0.5) / whole, "ceo": math.log(0.5) / whole}
    )


def test_an_interlock_with_what_a_lab_controls_is_one_with_the_lab() -> None:
    # r has 51 of the votes in d; an executive of d and of v: .5
    found = run(
        *[lab("r"), vendor("v"), stake("r", "d", 0.51, of=VOTES), stake("d", "v", 0.01)],
        *[executive("p", "v"), executive("p", "d")],
    ).assessments["v"]
    assert influence(found, "r", "governance") == pytest.approx(0.5)


# --- revenue ---


def revenue(year: int, amount: int, customer: str | None = None) -> Event:
    who: dict[str, Any] = {} if customer is None else {"customer": customer}
    return event("revenue", subject="v", fiscal_year=year, amount={"amount": str(amount)}, **who)


def test_revenue_is_that_of_the_newest_year_with_both_known() -> None:
    older = [revenue(2022, 100), revenue(2022, 40, "r")]
    newer = [revenue(2023, 200), revenue(2023, 30, "r")]
    assert influence(run(lab("r"), vendor("v"), *older).assessments["v"], "r", "revenue") == pytest.approx(0.4)
    assert influence(run(lab("r"), vendor("v"), *newer, *older).assessments["v"], "r", "revenue") == pytest.approx(0.15)
    # 2024 has only the whole, 2025 only r's part: 2023 stands
    one_sided = [revenue(2024, 400), revenue(2025, 500, "r")]
    found = run(lab("r"), vendor("v"), *newer, *older, *one_sided).assessments["v"]
    assert influence(found, "r", "revenue") == pytest.approx(0.15)
    # 100 x (1 - .5 x .15)
    assert found.headline.confirmed == pytest.approx(92.5)


@pytest.mark.parametrize("known", [revenue(2024, 400), revenue(2024, 100, "r")])
def test_revenue_is_unknown_while_one_side_is_missing(known: Event) -> None:
    found = run(lab("r"), vendor("v"), known).assessments["v"]
    assert not found.coverage["revenue"]
    assert found.confirmed == ()


def test_revenue_of_different_years_is_never_compared() -> None:
    found = run(lab("r"), vendor("v"), revenue(2023, 400), revenue(2024, 100, "r")).assessments["v"]
    assert not found.coverage["revenue"]


def test_a_newer_year_of_one_customer_does_not_make_the_others_zero() -> None:
    # r(R, v) is a matter of R and v: q's newest year with both known is 2023, whatever is known of r in 2024; 40/100 and 20/200
    found = run(
        *[lab("r"), lab("q"), vendor("v")],
        *[revenue(2023, 100), revenue(2023, 40, "q"), revenue(2024, 200), revenue(2024, 20, "r")],
    ).assessments["v"]
    assert influence(found, "r", "revenue") == pytest.approx(0.1)
    assert influence(found, "q", "revenue") == pytest.approx(0.4)
