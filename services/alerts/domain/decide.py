"""What of a vendor's new assessment one subscription is told, once it has settled. Pure: `now` is an argument.

A condition with news is told when it has held for the settling time without a break, as with Prometheus' `for:`. So a cascade makes one alert, on
how the vendor stood before and how it stands after; and what passes makes none. Corrections do not wait.

`decide` is called for each new version of an assessment, and again when `Decision.due_ms` has come.
"""

from dataclasses import dataclass

from neutrality.events.alert import Reason
from neutrality.events.assessment import Assessment, Score
from services.alerts.domain.conditions import Condition, CorrectionMade
from services.alerts.domain.corrections import taken_back, without
from services.alerts.domain.memory import Mark, Memory, Told
from services.alerts.domain.reasons import reasons_for
from services.alerts.domain.rules import first_mark, look, points_of, view_of
from services.alerts.domain.severity import SeverityScale
from services.alerts.domain.subscription import Subscription
from services.alerts.domain.wording import correction_title, title_of


@dataclass(frozen=True, slots=True)
class Case:
    """One vendor in the eyes of one subscription.

    `previous` is what was known before `current`, None on first sight; `baseline` the assessment of the version that `memory` names, if any.
    """

    subscription: Subscription
    previous: Assessment | None
    current: Assessment
    memory: Memory | None = None
    baseline: Assessment | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """News that is due: an alert to be, before it is weighed and routed. `points` is the fall; 0 if there is none."""

    condition: Condition
    key: str
    title: str
    before: Score | None
    after: Score
    reasons: tuple[Reason, ...]
    points: float
    improves: bool
    corrects: tuple[Told, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What is told now, what is remembered (None: nothing that `current` does not say), and when to decide again without a new version."""

    findings: tuple[Finding, ...]
    memory: Memory | None
    due_ms: int | None = None


def decide(case: Case, now_ms: int, scale: SeverityScale) -> Decision:
    """Apply a subscription's conditions."""
    subscription, current, lab = case.subscription, case.current, case.subscription.lab
    memory = case.memory or Memory()
    before = case.baseline if memory.since_ms else case.previous
    settling_ms = subscription.settling_s * 1000
    marks: dict[str, Mark] = {}
    since_ms: dict[str, int] = {}
    told: list[tuple[Condition, str, Mark, bool]] = []
    for key, condition in subscription.keyed:
        mark = memory.marks[key] if key in memory.marks else first_mark(condition, case.previous, current, lab)
        seen = look(condition, mark, current, lab)
        if seen.news is None:
            marks[key] = seen.mark
            continue
        since = memory.since_ms.get(key, now_ms)
        if now_ms < since + settling_ms:
            marks[key], since_ms[key] = mark, since
        else:
            marks[key] = seen.news.mark
            told.append((condition, key, mark, seen.news.improves))
    gone = _taken_back(case, memory)
    findings = [_finding(case, before, condition, key, mark, improves, scale) for condition, key, mark, improves in told]
    if gone:
        findings.append(_correction(case, before, gone))
    baseline = None if not since_ms or before is None else before.version
    kept = Memory(marks, since_ms, baseline, without(memory, gone) if gone else memory.told)
    due_ms = min(since_ms.values()) + settling_ms if since_ms else None
    return Decision(tuple(findings), None if _says_nothing(kept, case) else kept, due_ms)


def _taken_back(case: Case, memory: Memory) -> tuple[Told, ...]:
    if not memory.told or "correction" not in case.subscription.told_rules:
        return ()
    return taken_back(memory.told, case.current)


def _finding(
    case: Case, before: Assessment | None, condition: Condition, key: str, mark: Mark, improves: bool, scale: SeverityScale
) -> Finding:
    lab, view = case.subscription.lab, view_of(condition)
    was = None if before is None else before.score_for(lab)
    now = case.current.score_for(lab)
    reasons = reasons_for(before, case.current, lab, view)
    title = title_of(condition, mark, was, case.current, lab)
    points = 0.0 if improves else _fall(condition, mark, was, case.current, lab, scale)
    return Finding(condition, key, because(title, reasons), was, now, reasons, points, improves)


def _fall(condition: Condition, mark: Mark, was: Score | None, current: Assessment, lab: str, scale: SeverityScale) -> float:
    """The points that severity weighs. On first sight they are those that the vendor lacks of full neutrality."""
    now = current.score_for(lab)
    if condition.rule == "coverage" and isinstance(mark, tuple):
        return min(100.0, scale.other.channel_lost * sum(not current.coverage.get(channel) for channel in mark))
    if condition.rule in ("outlook", "watch"):  # what would be lost if it comes true
        return max(0.0, now.confirmed - now.projected)
    view = view_of(condition)
    start = mark if condition.rule == "score_drop" and isinstance(mark, float) else 100.0 if was is None else points_of(was, view)
    return max(0.0, start - points_of(now, view))


def _correction(case: Case, before: Assessment | None, gone: tuple[Told, ...]) -> Finding:
    lab = case.subscription.lab
    was = None if before is None else before.score_for(lab)
    reasons = reasons_for(before, case.current, lab, "confirmed") or reasons_for(before, case.current, lab, "projected")
    condition = CorrectionMade()
    title = because(correction_title(case.current, lab, len(gone)), reasons)
    return Finding(
        condition, condition.rule, title, was, case.current.score_for(lab), reasons, 0.0, improves=False, corrects=gone
    )


def because(title: str, reasons: tuple[Reason, ...]) -> str:
    """A title with its first reason."""
    return f"{title}: {reasons[0].summary}" if reasons else title


def _says_nothing(memory: Memory, case: Case) -> bool:
    """Whether all of it would be found again from the present assessment alone: then no row is needed."""
    if memory.since_ms or memory.told:
        return False
    lab, current = case.subscription.lab, case.current
    return all(memory.marks[key] == first_mark(condition, current, current, lab) for key, condition in case.subscription.keyed)
