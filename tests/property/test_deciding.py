"""What holds of any course of scores: settling by a model that looks at every second, and memories that may be lost to the database and read back."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrality.events.assessment import Assessment, Score
from neutrality.model.methodology import load_methodology
from services.alerts.domain.conditions import BY_RULE, GradeChange, LevelCrossed, ScoreDrop, condition_key
from services.alerts.domain.decide import Case, Decision, decide
from services.alerts.domain.dry_run import DryRun, Moment
from services.alerts.domain.memory import Memory
from services.alerts.domain.rules import first_mark
from services.alerts.domain.severity import load_severity_scale
from services.alerts.domain.subscription import Subscription
from tests.support.assessments import assessment, score

SCALE = load_severity_scale()
START = datetime(2025, 6, 12, tzinfo=UTC)
FIRST = 100.0
values = st.sampled_from((10.0, 30.0, 45.0, 55.0, 80.0, 95.0, 100.0))
courses = st.lists(st.tuples(st.integers(0, 40), values), min_size=1, max_size=12)


def graded(value: float, **more: object) -> Score:
    return score(value, grade=load_methodology().grade(value), **more)


def played(subscription: Subscription, course: Iterable[tuple[int, float]], end_s: int) -> list[tuple[int, str, str]]:
    run = DryRun(subscription, None, SCALE, [assessment(1, graded(FIRST))])
    at_s = 0
    for version, (pause_s, value) in enumerate(course, start=2):
        at_s += pause_s
        run.take(Moment(START + timedelta(seconds=at_s), assessment(version, graded(value))))
    run.end(START + timedelta(seconds=end_s))
    return [
        (
            int((datetime.fromisoformat(one.alert.raised_at) - START).total_seconds()),
            one.alert.before.grade if one.alert.before else "",
            one.alert.after.grade,
        )
        for one in run.routed
    ]


def settled_by_the_second(course: list[tuple[int, float]], settling_s: int, end_s: int) -> list[tuple[int, str]]:
    """When which grade is told, by looking every second whether the grade differs from the one told last, and for how long it has."""
    changes: dict[int, list[float]] = {}
    at_s = 0
    for pause_s, value in course:
        at_s += pause_s
        changes.setdefault(at_s, []).append(value)
    grade_of = load_methodology().grade
    told, now, since = grade_of(FIRST), grade_of(FIRST), None
    found: list[tuple[int, str]] = []
    for second in range(end_s + 1):
        if since is not None and second >= since + settling_s:
            found.append((second, now))
            told, since = now, None
        for value in changes.get(second, ()):  # one after another, also within a second
            now = grade_of(value)
            if now == told:
                since = None
            elif since is None:
                since = second
            if since is not None and second >= since + settling_s:
                found.append((second, now))
                told, since = now, None
    return found


@settings(max_examples=150)
@given(courses, st.sampled_from((0, 1, 20, 60)))
def test_settling_is_what_somebody_sees_who_looks_every_second(course: list[tuple[int, float]], settling_s: int) -> None:
    end_s = sum(pause for pause, _ in course) + 200
    wanted = Subscription(lab="google", name="desk", conditions=(GradeChange(),), settling_s=settling_s)
    assert [(at, after) for at, _, after in played(wanted, course, end_s)] == settled_by_the_second(course, settling_s, end_s)


@settings(max_examples=100)
@given(courses, st.sampled_from((0, 30)))
def test_told_grades_follow_one_another_and_end_where_the_score_stands(course: list[tuple[int, float]], settling_s: int) -> None:
    wanted = Subscription(lab="google", name="desk", conditions=(GradeChange(),), settling_s=settling_s)
    told = [after for _, _, after in played(wanted, course, sum(pause for pause, _ in course) + 200)]
    assert all(one != other for one, other in pairwise(["N1", *told]))
    assert [load_methodology().grade(FIRST), *told][-1] == load_methodology().grade(course[-1][1])


@settings(max_examples=100)
@given(courses)
def test_no_fall_of_the_points_subscribed_goes_untold_however_small_its_steps(course: list[tuple[int, float]]) -> None:
    """Whenever the score stands so many points under any score since the last alert, it has been told."""
    wanted = Subscription(lab="google", name="desk", conditions=(ScoreDrop(points=20.0),))
    memory, previous, highest = None, assessment(1, graded(FIRST)), FIRST
    for version, (_, value) in enumerate(course, start=2):
        current = assessment(version, graded(value))
        decision = decide(Case(wanted, previous, current, memory), 0, SCALE)
        assert bool(decision.findings) == (highest - value >= 20.0)
        highest = value if decision.findings else max(highest, value)
        memory, previous = decision.memory, current


everything = Subscription(
    lab="google", name="desk", conditions=(*BY_RULE.values(), LevelCrossed(at=50.0), GradeChange(view="projected")), settling_s=0
)


@settings(max_examples=100)
@given(st.lists(st.tuples(values, values, st.sampled_from(("stable", "negative")), st.sampled_from((None, "down"))), max_size=10))
def test_what_is_not_remembered_is_not_missed(course: list[tuple[float, float, str, str | None]]) -> None:
    """A memory that is thrown away because the assessment says it all, and one that goes through the database, decide the same."""
    lean: Memory | None = None
    full: Memory | None = None
    previous = None
    for version, (confirmed, projected, outlook, watch) in enumerate(course, start=1):
        current = assessment(version, graded(confirmed, projected=projected, outlook=outlook, watch=watch))
        through = None if lean is None else msgspec.json.decode(msgspec.json.encode(lean), type=Memory)
        one: Decision = decide(Case(everything, previous, current, through), 0, SCALE)
        other: Decision = decide(Case(everything, previous, current, full), 0, SCALE)
        assert one.findings == other.findings
        lean = one.memory
        full = other.memory if other.memory is not None else _of(everything, current)
        previous = current


def _of(subscription: Subscription, current: Assessment) -> Memory:
    """All marks, as they are found from an assessment alone."""
    marks = {
        condition_key(condition): first_mark(condition, current, current, subscription.lab)
        for condition in subscription.conditions
        if condition.rule != "correction"
    }
    return Memory(marks)
