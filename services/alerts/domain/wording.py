"""What an alert says in one line, without its reason."""

from typing import Final

from neutrality.events.assessment import Assessment, Score
from services.alerts.domain.conditions import Condition, InfluenceOver, LevelCrossed, View
from services.alerts.domain.memory import Mark
from services.alerts.domain.rules import grade_of, points_of, rivals_over, view_of

_SHOWN: Final = 0.05  # scores are shown with one decimal


def title_of(condition: Condition, mark: Mark, before: Score | None, current: Assessment, lab: str) -> str:
    """News of a condition. `mark` is what it was told of before."""
    after, name, view = current.score_for(lab), current.name, view_of(condition)
    if condition.rule in ("watch", "outlook"):
        put = "is off watch" if after.watch is None else f"is on watch {after.watch}"
        return (
            f"{name} {put} for {lab}" if condition.rule == "watch" else f"The outlook of {name} for {lab} is now {after.outlook}"
        )
    if condition.rule == "coverage":
        lost = [channel for channel in _names(mark) if not current.coverage.get(channel)]
        return f"Nothing is known any more of {' and '.join(lost)} of {name}"
    if isinstance(condition, InfluenceOver):
        fresh = [rival for rival in rivals_over(condition, current, lab, condition.above) if rival not in _names(mark)]
        return f"{' and '.join(fresh)} came to {condition.above:.0%} or more of influence on {name} through {condition.channel}"
    if isinstance(condition, LevelCrossed):
        way = "under" if points_of(after, view) < condition.at else "back over"
        return f"{_projected(name, view)} is {way} {condition.at:g} for {lab}, at {_rated(after, view)}"
    return f"{_moved(condition, mark, before, after, _projected(name, view))} for {lab}"


def _moved(condition: Condition, mark: Mark, before: Score | None, after: Score, name: str) -> str:
    view = view_of(condition)
    now = points_of(after, view)
    if before is None:
        return f"{name} is rated {_rated(after, view)}"
    was = points_of(before, view)
    if condition.rule == "grade":
        return f"{name} was regraded from {mark} to {grade_of(after, view)} ({was:.1f} to {now:.1f})"
    start = mark if isinstance(mark, float) else was
    verb = "fell" if now < start else "rose"
    if abs(start - was) > _SHOWN:
        return f"{name} {verb} in steps from {start:.1f} to {_rated(after, view)}"
    return f"{name} {verb} from {_rated(before, view)} to {_rated(after, view)}"


def correction_title(current: Assessment, lab: str, alerts: int) -> str:
    """That alerts no longer hold."""
    after = current.score_for(lab)
    what = "an earlier alert" if alerts == 1 else f"{alerts} earlier alerts"
    return f"Correction of {what} on {current.name} for {lab}, now {_rated(after, 'confirmed')}"


def _rated(score: Score, view: View) -> str:
    return f"{points_of(score, view):.1f} ({grade_of(score, view)})"


def _projected(name: str, view: View) -> str:
    return name if view == "confirmed" else f"The projected score of {name}"


def _names(mark: Mark) -> tuple[str, ...]:
    return mark if isinstance(mark, tuple) else ()
