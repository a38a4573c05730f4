"""When a lab is told, and why: each case with its rule in words."""

from itertools import pairwise

import pytest

from neutrality.events.alert import Rule
from neutrality.events.assessment import Score
from services.alerts.domain.rules import decide
from services.alerts.domain.subscription import ByVendor, Subscription
from tests.support.assessments import STAKE, assessment, score

DESK = Subscription(lab="google", name="desk")
NOW = "2025-06-12T00:00:00Z"


def fired(before: Score | None, after: Score, *, reference: float | None = None, subscription: Subscription = DESK) -> set[Rule]:
    previous = None if before is None else assessment(1, before)
    decision = decide(previous, assessment(2, after), subscription, reference, raised_at=NOW)
    return {alert.rule for alert in decision.alerts}


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
        ("another outlook is news", score(100.0), score(100.0, outlook="negative"), {"outlook"}),
        ("back to a stable outlook is news", score(100.0, outlook="negative"), score(100.0), {"outlook"}),
        ("put on watch is news", score(100.0), score(100.0, watch="down"), {"watch"}),
        ("taken off watch is news", score(100.0, watch="down"), score(100.0), {"watch"}),
    ],
)
def test_rules(rule_in_words: str, before: Score | None, after: Score, expected: set[Rule]) -> None:
    assert fired(before, after) == expected, rule_in_words


def test_small_falls_in_a_row_do_not_slip_under() -> None:
    reference: float | None = None
    told = []
    scores = [100.0, 97.0, 94.0, 91.0]
    for version, (before, after) in enumerate(pairwise(scores), start=2):
        decision = decide(
            assessment(version - 1, score(before)), assessment(version, score(after)), DESK, reference, raised_at=NOW
        )
        reference = decision.reference
        told.append([alert.title for alert in decision.alerts])
    assert told == [[], ["Scale Ai fell in steps from 100.0 to 94.0 (N1) for google"], []]
    assert reference == 94.0


def test_a_recovery_raises_the_reference() -> None:
    decision = decide(assessment(1, score(80.0)), assessment(2, score(95.0)), DESK, 80.0, raised_at=NOW)
    assert decision.reference == 95.0


def test_only_subscribed_rules_and_the_score_towards_the_lab_count() -> None:
    only_watch = Subscription(lab="google", name="desk", rules=("watch",))
    assert fired(score(100.0), score(40.0, grade="N4"), subscription=only_watch) == set()
    current = assessment(2, score(35.6, grade="N4"), meta=score(91.4))
    told = decide(assessment(1, score(91.4)), current, Subscription(lab="meta", name="desk"), None, raised_at=NOW)
    assert told.alerts == ()


def test_an_alert_names_the_claim_that_moved_the_score_with_its_source_and_has_one_id() -> None:
    current = assessment(2, score(60.8, grade="N3"), losses={STAKE: 0.5})
    first, again = (
        decide(assessment(1, score(100.0)), current, DESK, None, raised_at=at) for at in (NOW, "2026-01-01T00:00:00Z")
    )
    drop = next(alert for alert in first.alerts if alert.rule == "score_drop")
    assert drop.title == "Scale Ai fell from 100.0 (N1) to 60.8 (N3) for google: Meta holds 49 % of the equity of Scale AI"
    [reason] = drop.reasons
    assert (reason.claim_id, reason.lab, reason.channel, round(reason.points, 1)) == (STAKE, "meta", "ownership", 39.2)
    assert reason.evidence[0]["publisher"] == "Meta"
    assert [alert.id for alert in first.alerts] == [alert.id for alert in again.alerts]
    assert len({alert.id for alert in first.alerts}) == 2


def test_a_withdrawn_claim_is_named_with_the_points_that_it_gives_back() -> None:
    previous = assessment(1, score(60.8, grade="N3"), losses={STAKE: 0.5})
    decision = decide(previous, assessment(2, score(100.0)), DESK, None, raised_at=NOW)
    [reason] = decision.alerts[0].reasons
    assert (reason.status, round(reason.points, 1)) == ("withdrawn", -39.2)


@pytest.mark.parametrize(("vendors", "covered"), [(None, True), ((), True), (("scale-ai",), True), (("turing",), False)])
def test_a_subscription_covers_all_vendors_or_those_it_names(vendors: tuple[str, ...] | None, covered: bool) -> None:
    wanted = Subscription(lab="google", name="desk", vendors=vendors)
    assert ByVendor([wanted]).of("scale-ai") == ([wanted] if covered else [])


def test_subscriptions_to_a_vendor_come_in_their_order() -> None:
    everything = Subscription(lab="b", name="all")
    first, last = (Subscription(lab=lab, name="desk", vendors=("scale-ai", "surge")) for lab in ("a", "c"))
    assert ByVendor([first, everything, last]).of("scale-ai") == [first, everything, last]
    assert ByVendor([first, everything, last]).of("other") == [everything]
