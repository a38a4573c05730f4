"""Whether a condition has news in an assessment, and what of the vendor is remembered for the next one. See `memory` for marks.

- Falls are measured from the score at the last such alert, or the highest since: small falls in a row do not slip under, and a recovery is not
  forgotten. Rises the other way round.
- A first rating is news only if it is N3 or worse. On first sight a bad grade, a watch, a level and an influence are news; nothing else has changed.
- Nothing known is not neutral: a vendor that is not rated has not risen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from neutrality.events.assessment import CHANNELS, Assessment, Grade, Score
from neutrality.model.methodology import load_methodology
from services.alerts.domain.conditions import Condition, InfluenceOver, LevelCrossed, ScoreDrop, ScoreRise, View
from services.alerts.domain.memory import Mark

_BAD_FIRST_RATINGS: Final = ("N3", "N4", "N5")
_SAME: Final = 1e-9
ABOVE: Final = "above"
BELOW: Final = "below"


@dataclass(frozen=True, slots=True)
class Look:
    """What a condition sees: the mark from here on if there is no news, and else (`news` is not None) the mark once the news is told."""

    mark: Mark
    news: "News | None" = None


@dataclass(frozen=True, slots=True)
class News:
    """News: the mark once it is told, and whether the vendor is better off."""

    mark: Mark
    improves: bool = False


def view_of(condition: Condition) -> View:
    """The score that a condition is about; outlook and watch are about what is projected."""
    if condition.rule in ("outlook", "watch"):
        return "projected"
    view: View = getattr(condition, "view", "confirmed")
    return view


def points_of(score: Score, view: View) -> float:
    """The score in a view, in [0, 100]."""
    return score.confirmed if view == "confirmed" else score.projected


def grade_of(score: Score, view: View) -> Grade:
    """The grade in a view; a vendor not rated is so in both."""
    if view == "confirmed" or score.grade == "NR":
        return score.grade
    return load_methodology().grade(score.projected)


def rivals_over(condition: InfluenceOver, found: Assessment, lab: str, level: float) -> tuple[str, ...]:
    """Rivals of a lab whose influence through the channel is at a level or over it."""
    excluded = found.excluded_for(lab)
    terms = found.confirmed if condition.view == "confirmed" else found.projected
    return tuple(
        term.lab
        for term in terms
        if term.channel == condition.channel
        and term.influence >= level - _SAME
        and term.lab not in excluded
        and (not condition.rivals or term.lab in condition.rivals)
    )


def first_mark(condition: Condition, previous: Assessment | None, current: Assessment, lab: str) -> Mark:
    """Where a condition begins: with what is known before `current`; `previous` is None on first sight."""
    return _FIRST[condition.rule](condition, previous, current, lab)


def look(condition: Condition, mark: Mark, current: Assessment, lab: str) -> Look:
    """What a condition sees in an assessment."""
    return _LOOK[condition.rule](condition, mark, current, lab)


def _first_score(condition: Any, previous: Assessment | None, current: Assessment, lab: str) -> Mark:
    return points_of((previous or current).score_for(lab), condition.view)


def _drop(condition: ScoreDrop, mark: Any, current: Assessment, lab: str) -> Look:
    now = points_of(current.score_for(lab), condition.view)
    return Look(max(mark, now), News(now) if mark - now >= condition.points - _SAME else None)


def _rise(condition: ScoreRise, mark: Any, current: Assessment, lab: str) -> Look:
    score = current.score_for(lab)
    if score.grade == "NR":
        return Look(mark)
    now = points_of(score, condition.view)
    return Look(min(mark, now), News(now, improves=True) if now - mark >= condition.points - _SAME else None)


def _first_grade(condition: Any, previous: Assessment | None, _current: Assessment, lab: str) -> Mark:
    return "NR" if previous is None else grade_of(previous.score_for(lab), condition.view)


def _grade(condition: Any, mark: Any, current: Assessment, lab: str) -> Look:
    now = grade_of(current.score_for(lab), condition.view)
    news = now in _BAD_FIRST_RATINGS if mark == "NR" else now != mark
    return Look(now, News(now, improves=mark != "NR" and now < mark) if news else None)  # N1 < N2 < ... < NR


def _side(condition: LevelCrossed, found: Assessment, lab: str, before: str) -> str:
    score = found.score_for(lab)
    now = points_of(score, condition.view)
    if now < condition.at:
        return BELOW
    return ABOVE if now >= condition.at + condition.hysteresis and score.grade != "NR" else before


def _first_level(condition: LevelCrossed, previous: Assessment | None, _current: Assessment, lab: str) -> Mark:
    return ABOVE if previous is None else _side(condition, previous, lab, ABOVE)


def _level(condition: LevelCrossed, mark: Any, current: Assessment, lab: str) -> Look:
    now = _side(condition, current, lab, mark)
    told = now != mark and condition.direction in ("both", "down" if now == BELOW else "up")
    return Look(now, News(now, improves=now == ABOVE) if told else None)


def _outlook(_condition: Any, mark: Any, current: Assessment, lab: str) -> Look:
    score = current.score_for(lab)
    return Look(score.outlook, News(score.outlook, improves=_brightens(mark, score.outlook)) if score.outlook != mark else None)


def _brightens(before: str, after: str) -> bool:
    return after == "positive" or (before == "negative" and after == "stable")


def _watch(_condition: Any, mark: Any, current: Assessment, lab: str) -> Look:
    now = current.score_for(lab).watch
    return Look(now, News(now, improves=now == "up" or (mark == "down" and now is None)) if now != mark else None)


def _influence(condition: InfluenceOver, mark: Any, current: Assessment, lab: str) -> Look:
    over = rivals_over(condition, current, lab, condition.above)
    still = tuple(
        rival for rival in rivals_over(condition, current, lab, condition.above - condition.hysteresis) if rival in mark
    )
    fresh = tuple(rival for rival in over if rival not in mark)
    return Look(still, News(tuple(sorted({*still, *fresh}))) if fresh else None)


def _known(found: Assessment) -> tuple[str, ...]:
    return tuple(channel for channel in CHANNELS if found.coverage.get(channel))


def _coverage(_condition: Any, mark: Any, current: Assessment, _lab: str) -> Look:
    now = _known(current)
    return Look(now, None if set(mark) <= set(now) else News(now))


_First = Callable[[Any, Assessment | None, Assessment, str], Mark]
_FIRST: Final[dict[str, _First]] = {
    "score_drop": _first_score,
    "score_rise": _first_score,
    "grade": _first_grade,
    "level": _first_level,
    "outlook": lambda _condition, previous, current, lab: (previous or current).score_for(lab).outlook,
    "watch": lambda _condition, previous, _current, lab: None if previous is None else previous.score_for(lab).watch,
    "influence": lambda condition, previous, _current, lab: (
        () if previous is None else rivals_over(condition, previous, lab, condition.above)
    ),
    "coverage": lambda _condition, previous, current, _lab: _known(previous or current),
}
_LOOK: Final[dict[str, Callable[[Any, Any, Assessment, str], Look]]] = {
    "score_drop": _drop,
    "score_rise": _rise,
    "grade": _grade,
    "level": _level,
    "outlook": _outlook,
    "watch": _watch,
    "influence": _influence,
    "coverage": _coverage,
}
