"""How things stand: the newest assessment of every vendor, and what the scores were before, by when they were published."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from neutrality.events.assessment import Assessment, Score

Window = Literal["day", "week", "quarter"]
WINDOWS: Final[Mapping[Window, timedelta]] = {"day": timedelta(days=1), "week": timedelta(days=7), "quarter": timedelta(days=91)}
LEAST_MOVE: Final = 0.05  # points; less is not seen in one decimal


@dataclass(frozen=True, slots=True)
class Past:
    """Confirmed scores from a time on (ms since 1970): the headline's, and those of labs whose score is another; None: not rated."""

    at_ms: int
    headline: float | None
    labs: Mapping[str, float | None]

    def score_for(self, lab: str | None) -> float | None:
        """The score towards a lab."""
        return self.headline if lab is None else self.labs.get(lab, self.headline)


def past_of(assessment: Assessment, at_ms: int) -> Past:
    """What is remembered of an assessment."""
    return Past(at_ms, _rated(assessment.headline), {lab: _rated(score) for lab, score in assessment.labs.items()})


def _rated(score: Score) -> float | None:
    return None if score.grade == "NR" else score.confirmed


class Market:
    """Changes by `take` and `recall` alone. `sequence` counts the changes; `changed_at` has that of each vendor's last one."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.vendors: dict[str, Assessment] = {}
        self.changed_at: dict[str, int] = {}
        self.sequence = 0
        self._past: dict[str, list[Past]] = {}
        self._labs: set[str] = set()

    def take(self, assessment: Assessment, at_ms: int) -> bool:
        """Take in what was published at a time; whether it is news."""
        known = self.vendors.get(assessment.vendor)
        if known is not None and assessment.version <= known.version:
            return False
        self.vendors[assessment.vendor] = assessment
        self.sequence += 1
        self.changed_at[assessment.vendor] = self.sequence
        self._past.setdefault(assessment.vendor, []).append(past_of(assessment, at_ms))
        self._labs |= labs_of(assessment)
        return True

    def recall(self, past: Mapping[str, Iterable[Past]]) -> None:
        """Put what was published before this process ran in front of what it saw itself."""
        for vendor, earlier in past.items():
            seen = self._past.get(vendor, [])
            until = seen[0].at_ms if seen else None
            self._past[vendor] = [one for one in earlier if until is None or one.at_ms < until] + seen

    def forget(self) -> None:
        """The topics were made anew: nothing of it holds."""
        self.vendors.clear()
        self.changed_at.clear()
        self._past.clear()
        self._labs.clear()
        self.sequence += 1

    @property
    def labs(self) -> frozenset[str]:
        """All labs that the scores know of."""
        return frozenset(self._labs)

    def categories(self) -> tuple[str, ...]:
        """All that vendors are in."""
        return tuple(sorted({category for found in self.vendors.values() for category in found.categories}))

    def moved(self, vendor: str, lab: str | None, window: Window, now_ms: int) -> float | None:
        """Points that the score towards a lab has risen or fallen by; None if it is not rated now, or was not before.

        A vendor that was not rated when the window began is compared with its first rating since.
        """
        known, history = self.vendors.get(vendor), self._past.get(vendor)
        if known is None or not history:
            return None
        since_ms = now_ms - int(WINDOWS[window] / timedelta(milliseconds=1))
        score = known.score_for(lab)
        if score.grade == "NR":
            return None
        index = max(0, bisect_right(history, since_ms, key=lambda one: one.at_ms) - 1)
        was = next((past for one in history[index:] if (past := one.score_for(lab)) is not None), None)
        return None if was is None else score.confirmed - was


def labs_of(assessment: Assessment) -> set[str]:
    """The labs that an assessment names."""
    found = {*assessment.labs, *assessment.excluded}
    found.update(term.lab for terms in (assessment.confirmed, assessment.projected) for term in terms)
    return found
