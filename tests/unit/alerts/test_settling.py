"""A condition is told once it has held for the settling time: a cascade makes one alert, and what passes makes none."""

from datetime import UTC, datetime, timedelta

import pytest

from services.alerts.domain.conditions import CorrectionMade, GradeChange, ScoreDrop, WatchChange
from services.alerts.domain.dry_run import DryRun, Moment
from services.alerts.domain.severity import load_severity_scale
from services.alerts.domain.subscription import Subscription
from tests.support.assessments import STAKE, assessment, score

START = datetime(2025, 6, 12, 9, tzinfo=UTC)
SETTLED = Subscription(lab="google", name="desk", conditions=(GradeChange(), ScoreDrop()), settling_s=60)
N1, N3, N4 = score(100.0), score(60.8, grade="N3"), score(38.9, grade="N4")


def played(*steps: tuple[float, object], subscription: Subscription = SETTLED, end_s: float = 3600.0) -> list[tuple[float, str]]:
    """When, in seconds, which alerts are raised: their rule with the grades before and after."""
    run = DryRun(subscription, None, load_severity_scale(), [assessment(1, N1)])
    for version, (at_s, found) in enumerate(steps, start=2):
        run.take(Moment(START + timedelta(seconds=at_s), assessment(version, found)))  # type: ignore[arg-type] # a Score
    run.end(START + timedelta(seconds=end_s))
    return [
        (
            (datetime.fromisoformat(one.alert.raised_at) - START).total_seconds(),
            f"{one.alert.rule} {one.alert.before and one.alert.before.grade}>{one.alert.after.grade}",
        )
        for one in run.routed
    ]


def test_a_cascade_makes_one_alert_of_each_rule_from_the_first_state_to_the_last() -> None:
    assert played((0.0, N3), (20.0, N4)) == [(60.0, "grade N1>N4"), (60.0, "score_drop N1>N4")]


def test_what_passes_makes_none() -> None:
    assert played((0.0, N3), (59.0, N1)) == []


def test_what_holds_just_long_enough_is_told() -> None:
    assert played((0.0, N3), (60.0, N1), end_s=100.0) == [(60.0, "grade N1>N3"), (60.0, "score_drop N1>N3")]


def test_a_break_begins_the_time_anew() -> None:
    assert played((0.0, N3), (30.0, N1), (40.0, N3), end_s=99.0) == []
    assert played((0.0, N3), (30.0, N1), (40.0, N3), end_s=100.0)[0] == (100.0, "grade N1>N3")


def test_getting_worse_does_not_put_it_off() -> None:
    steps = [(float(at), score(60.0 - at, grade="N3")) for at in range(0, 60, 5)]
    assert [at for at, _ in played(*steps)] == [60.0, 60.0]


def test_back_again_later_is_news_of_its_own() -> None:
    assert [what for _, what in played((0.0, N3), (200.0, N1))] == ["grade N1>N3", "score_drop N1>N3", "grade N3>N1"]


def test_each_condition_settles_by_itself() -> None:
    both = Subscription(lab="google", name="desk", conditions=(GradeChange(), WatchChange()), settling_s=60)
    watched = score(60.8, grade="N3", watch="down")
    assert played((0.0, N3), (30.0, watched), subscription=both) == [(60.0, "grade N1>N3"), (90.0, "watch N1>N3")]


def test_the_first_sight_of_a_vendor_settles_too() -> None:
    run = DryRun(SETTLED, None, load_severity_scale())
    run.take(Moment(START, assessment(1, N4)))
    run.take(Moment(START + timedelta(seconds=10), assessment(2, N4)))
    run.end(START + timedelta(seconds=60))
    [one] = run.routed
    assert (one.alert.rule, one.alert.before, one.alert.title) == ("grade", None, "Scale Ai is rated 38.9 (N4) for google")


@pytest.mark.parametrize("settling_s", [0, 60])
def test_a_correction_does_not_wait_and_names_what_it_corrects(settling_s: int) -> None:
    wanted = Subscription(lab="google", name="desk", conditions=(GradeChange(), CorrectionMade()), settling_s=settling_s)
    run = DryRun(wanted, None, load_severity_scale(), [assessment(1, N1)])
    run.take(Moment(START, assessment(2, N3, losses={STAKE: 0.5})))
    run.take(Moment(START + timedelta(seconds=600), assessment(3, N1)))
    run.end(START + timedelta(seconds=6000))
    told, correction = (
        one for one in run.routed if one.outcome == "sent" and not (one.alert.rule == "grade" and one.alert.version == 3)
    )
    assert correction.alert.rule == "correction"
    assert correction.alert.corrects == (told.alert.id,)
    assert correction.alert.raised_at == "2025-06-12T09:10:00Z"
    assert correction.alert.severity == told.alert.severity == "critical"
    assert correction.alert.title == (
        "Correction of an earlier alert on Scale Ai for google, now 100.0 (N1): Meta holds 49 % of the equity of Scale AI"
    )
    assert correction.alert.reasons[0].status == "withdrawn"
