"""When a lab is told, and why: each case with its rule in words."""

from dataclasses import replace
from itertools import pairwise

import pytest

from neutrality.events.alert import Rule
from neutrality.events.assessment import Assessment, Score, Term
from services.alerts.domain.conditions import (
    Condition,
    CoverageLost,
    GradeChange,
    InfluenceOver,
    LevelCrossed,
    ScoreDrop,
    ScoreRise,
)
from services.alerts.domain.decide import Case, Decision, decide
from services.alerts.domain.memory import Memory
from services.alerts.domain.severity import load_severity_scale
from services.alerts.domain.subscription import ByVendor, Subscription
from tests.support.assessments import STAKE, assessment, score

DESK = Subscription(lab="google", name="desk")
SCALE = load_severity_scale()


def decided(
    previous: Assessment | None, current: Assessment, *conditions: Condition, memory: Memory | None = None, lab: str = "google"
) -> Decision:
    subscription = Subscription(lab=lab, name="desk", conditions=conditions) if conditions else Subscription(lab=lab, name="desk")
    return decide(Case(subscription, previous, current, memory), 0, SCALE)


def fired(before: Score | None, after: Score, *conditions: Condition) -> set[Rule]:
    previous = None if before is None else assessment(1, before)
    return {found.condition.rule for found in decided(previous, assessment(2, after), *conditions).findings}


def titles(scores: list[Score], *conditions: Condition) -> list[list[str]]:
    """What each step from one score to the next is told as."""
    memory: Memory | None = None
    told = []
    for version, (before, after) in enumerate(pairwise(scores), start=2):
        decision = decided(assessment(version - 1, before), assessment(version, after), *conditions, memory=memory)
        memory = decision.memory
        told.append([found.title for found in decision.findings])
    return told


@pytest.mark.parametrize(
    ("rule_in_words", "before", "after", "expected"),
    [
        ("nothing changed", score(91.4), score(91.4), set()),
        ("a fall under the points subscribed is no news", score(91.4), score(90.5), set()),
        ("a fall of just the points subscribed is news", score(100.0), score(95.0), {"score_drop"}),
        ("a rise is no fall", score(80.0, grade="N2"), score(89.0, grade="N2"), set()),
        ("another grade is news, down", score(91.0), score(89.0, grade="N2"), {"grade"}),
        ("another grade is news, up", score(89.0, grade="N2"), score(91.0), {"grade"}),
        ("a fall through a grade is both", score(100.0), score(60.8, grade="N3"), {"score_drop", "grade"}),
        ("a first rating that is good is no news", score(100.0, grade="NR"), score(100.0), set()),
        ("a first rating that is bad is news", score(100.0, grade="NR"), score(60.0, grade="N3"), {"score_drop", "grade"}),
        ("on first sight a good vendor is no news", None, score(91.4), set()),
        ("on first sight a bad grade is news", None, score(38.9, grade="N4"), {"grade"}),
        ("on first sight a watch is news", None, score(100.0, watch="down"), {"watch"}),
        ("on first sight an outlook is no news", None, score(100.0, outlook="negative"), set()),
        ("another outlook is news", score(100.0), score(100.0, outlook="negative"), {"outlook"}),
        ("back to a stable outlook is news", score(100.0, outlook="negative"), score(100.0), {"outlook"}),
        ("put on watch is news", score(100.0), score(100.0, watch="down"), {"watch"}),
        ("taken off watch is news", score(100.0, watch="down"), score(100.0), {"watch"}),
    ],
)
def test_the_usual_conditions(rule_in_words: str, before: Score | None, after: Score, expected: set[Rule]) -> None:
    assert fired(before, after) == expected, rule_in_words


NOT_RATED = score(100.0, grade="NR")
FIFTY = LevelCrossed(at=50.0, hysteresis=2.0)


@pytest.mark.parametrize(
    ("rule_in_words", "condition", "before", "after", "is_news"),
    [
        ("a rise of the points subscribed is news", ScoreRise(points=5.0), score(60.0), score(65.0), True),
        ("a smaller one is not", ScoreRise(points=5.0), score(60.0), score(64.9), False),
        ("a vendor that nothing is known of any more has not risen", ScoreRise(points=5.0), score(60.0), NOT_RATED, False),
        ("the projected score counts if it is asked for", ScoreDrop(view="projected"), score(90.0), score(90.0, projected=40.0), True),
        ("and the confirmed one does not then", ScoreDrop(view="projected"), score(90.0, projected=40.0), score(40.0), False),
        ("a projected grade is graded as the methodology does", GradeChange(view="projected"), score(95.0), score(95.0, projected=60.0), True),
        ("a vendor not rated has no projected grade either", GradeChange(view="projected"), NOT_RATED, replace(NOT_RATED, projected=10.0), False),
        ("under the level is crossed down", FIFTY, score(50.0), score(49.9), True),
        ("at the level it is not", FIFTY, score(60.0), score(50.0), False),
        ("back at the level is not crossed up yet", FIFTY, score(49.0), score(50.0), False),
        ("past the hysteresis it is", FIFTY, score(49.0), score(52.0), True),
        ("not if the vendor is not rated", FIFTY, score(49.0), NOT_RATED, False),
        ("on first sight under a level is news", FIFTY, None, score(49.0), True),
        ("only downward, if so subscribed", LevelCrossed(at=50.0, direction="down"), score(40.0), score(60.0), False),
        ("only upward, if so subscribed", LevelCrossed(at=50.0, direction="up"), score(60.0), score(40.0), False),
    ],
)  # fmt: skip
def test_each_condition(rule_in_words: str, condition: Condition, before: Score | None, after: Score, is_news: bool) -> None:
    assert bool(fired(before, after, condition)) is is_news, rule_in_words


def test_small_falls_in_a_row_do_not_slip_under_and_a_recovery_raises_the_reference() -> None:
    scores = [score(value) for value in (100.0, 97.0, 94.0, 91.0, 96.0, 91.0)]
    assert titles(scores, ScoreDrop()) == [
        [],
        ["Scale Ai fell in steps from 100.0 to 94.0 (N1) for google"],
        [],
        [],
        ["Scale Ai fell from 96.0 (N1) to 91.0 (N1) for google"],
    ]


def test_small_rises_in_a_row_do_not_slip_under_either() -> None:
    told = titles([score(value, grade="N3") for value in (50.0, 53.0, 56.0)], ScoreRise())
    assert told == [[], ["Scale Ai rose in steps from 50.0 to 56.0 (N3) for google"]]


def test_a_score_that_trembles_at_a_level_is_told_once() -> None:
    told = titles([score(value) for value in (51.0, 49.9, 50.1, 49.8, 51.9, 49.0, 52.0)], FIFTY)
    assert [bool(one) for one in told] == [True, False, False, False, False, True]
    assert told[0] == ["Scale Ai is under 50 for google, at 49.9 (N1)"]
    assert told[-1] == ["Scale Ai is back over 50 for google, at 52.0 (N1)"]


def held_by(version: int, **influences: float) -> Assessment:
    terms = tuple(Term(lab, "ownership", influence, 0.1, ()) for lab, influence in sorted(influences.items()))
    return replace(assessment(version, score(80.0)), confirmed=terms)


def test_a_rivals_influence_is_told_once_until_it_was_under_the_level_and_its_hysteresis() -> None:
    quarter = InfluenceOver(channel="ownership", above=0.25, hysteresis=0.05)
    memory: Memory | None = None
    told = []
    steps = [
        {"meta": 0.1},
        {"meta": 0.25},
        {"meta": 0.22},
        {"meta": 0.3, "xai": 0.4},
        {"meta": 0.1, "xai": 0.4},
        {"meta": 0.26, "xai": 0.4},
    ]
    for version, (before, after) in enumerate(pairwise(steps), start=2):
        decision = decided(held_by(version - 1, **before), held_by(version, **after), quarter, memory=memory)
        memory = decision.memory
        told.append([found.title.split(" came")[0] for found in decision.findings])
    assert told == [["meta"], [], ["xai"], [], ["meta"]]


@pytest.mark.parametrize(
    ("rule_in_words", "condition", "expected"),
    [
        ("its own influence is no rival's", InfluenceOver(channel="ownership", above=0.2), False),
        ("another channel does not count", InfluenceOver(channel="votes", above=0.2), False),
        ("another rival does not count", InfluenceOver(channel="ownership", above=0.2, rivals=("openai",)), False),
    ],
)
def test_whose_influence_counts(rule_in_words: str, condition: Condition, expected: bool) -> None:
    lab = "meta" if not getattr(condition, "rivals", ()) and condition.channel == "ownership" else "google"  # type: ignore[union-attr] # an InfluenceOver
    found = decided(held_by(1), held_by(2, meta=0.49), condition, lab=lab).findings
    assert bool(found) is expected, rule_in_words


def test_losing_sight_of_a_channel_is_told_and_weighs_by_the_channels_lost() -> None:
    before = replace(assessment(1, score(60.0)), coverage={"ownership": True, "votes": True, "revenue": False})
    after = replace(assessment(2, NOT_RATED), coverage={"ownership": False, "votes": False, "revenue": True})
    [found] = decided(before, after, CoverageLost()).findings
    assert found.title == "Nothing is known any more of ownership and votes of Scale Ai"
    assert found.points == 2 * SCALE.other.channel_lost
    assert decided(after, replace(before, version=3), CoverageLost()).findings[0].title.endswith("revenue of Scale Ai")


def test_only_the_score_towards_the_lab_counts() -> None:
    current = assessment(2, score(35.6, grade="N4"), meta=score(91.4))
    assert decided(assessment(1, score(91.4)), current, lab="meta").findings == ()
    assert decided(assessment(1, score(91.4)), current, lab="google").findings != ()


def test_news_names_the_claim_that_moved_the_score_with_its_source() -> None:
    current = assessment(2, score(60.8, grade="N3"), losses={STAKE: 0.5})
    drop = decided(assessment(1, score(100.0)), current).findings[0]
    assert drop.title == "Scale Ai fell from 100.0 (N1) to 60.8 (N3) for google: Meta holds 49 % of the equity of Scale AI"
    [reason] = drop.reasons
    assert (reason.claim_id, reason.lab, reason.channel, round(reason.points, 1)) == (STAKE, "meta", "ownership", 39.2)
    assert reason.evidence[0]["publisher"] == "Meta"
    assert round(drop.points, 1) == 39.2


def test_a_withdrawn_claim_is_named_with_the_points_that_it_gives_back() -> None:
    previous = assessment(1, score(60.8, grade="N3"), losses={STAKE: 0.5})
    [regraded] = decided(previous, assessment(2, score(100.0))).findings
    assert regraded.improves
    [reason] = regraded.reasons
    assert (reason.status, round(reason.points, 1)) == ("withdrawn", -39.2)


def test_nothing_is_remembered_that_the_assessment_says_itself() -> None:
    """Rows are kept for what would be forgotten: a reference above the score, not a grade."""
    before, after = assessment(1, score(95.0)), assessment(2, score(94.0))
    assert decided(before, after, GradeChange()).memory is None
    kept = decided(before, after, ScoreDrop()).memory
    assert kept is not None
    assert kept.marks == {"score_drop": 95.0}


@pytest.mark.parametrize(
    ("terms", "covered"),
    [
        ({}, True),
        ({"vendors": ()}, True),
        ({"vendors": ("scale-ai",)}, True),
        ({"vendors": ("turing",)}, False),
        ({"categories": ("data-labelling",)}, True),
        ({"categories": ("evaluation",)}, False),
        ({"categories": ("evaluation",), "vendors": ("scale-ai",)}, True),
        ({"portfolio": True}, True),
        ({"portfolio": True, "lab": "openai"}, False),
    ],
)
def test_a_subscription_watches_all_vendors_or_those_listed_of_a_category_or_in_the_portfolio(
    terms: dict[str, object], covered: bool
) -> None:
    wanted = Subscription.model_validate({"lab": "google", "name": "desk", **terms})
    found = ByVendor([wanted], {"google": ("scale-ai",), "openai": ()}).of("scale-ai", ("data-labelling",))
    assert found == ([wanted] if covered else [])


def test_subscriptions_to_a_vendor_come_in_their_order_and_once() -> None:
    everything = Subscription(lab="b", name="all")
    first, last = (
        Subscription(lab=lab, name="desk", vendors=("scale-ai", "surge"), categories=("labelling",)) for lab in ("a", "c")
    )
    assert ByVendor([first, everything, last]).of("scale-ai", ("labelling", "evaluation")) == [first, everything, last]
    assert ByVendor([first, everything, last]).of("other") == [everything]
