"""Why a score is what it is: the parts down to claims, each with its points, its path and who says so. Pure.

The points of the lines add up to 100 - score (an exact attribution, see `attribute`).
"""

import re
from dataclasses import dataclass
from typing import Final

from neutrality.events.assessment import CHANNELS, Assessment, Attribution, Channel, ClaimNote, attribute

_PERCENT: Final = re.compile(r"\d+(?:\.\d+)?(?: to \d+(?:\.\d+)?)? %")
_WHAT_IS_UNKNOWN: Final[dict[Channel, str]] = {
    "ownership": "nobody has said who owns it",
    "votes": "nobody has said who holds its votes",
    "governance": "nobody has said who leads it or sits on its board",
    "revenue": "its revenue and a customer's spending in one year are not both known",
}
_WHAT_A_FLAG_MEANS: Final = {
    "levels_cut": "ownership runs in rings so closed that the reckoning was cut off",
    "shares_over_one": "reported shares add up to more than 100 % and were scaled down",
    "unknown_shares": "some shareholders are known, but not the size of their shares",
}


@dataclass(frozen=True, slots=True)
class Line:
    """One claim's cost through one lab's channel. `path` runs from the lab to the vendor."""

    lab: str
    channel: Channel
    points: float
    path: str
    claim: ClaimNote | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """One vendor's score towards one lab, taken apart. `aside` are claims that cost nothing: pending, disputed, ended or harmless."""

    assessment: Assessment
    lab: str | None
    lines: tuple[Line, ...]
    aside: tuple[ClaimNote, ...]
    unknown: tuple[str, ...]

    @property
    def points_lost(self) -> float:
        """100 - score."""
        return 100.0 - self.assessment.score_for(self.lab).confirmed


def explain(assessment: Assessment, lab: str | None) -> Explanation:
    """Take a score apart. Largest cost first."""
    rows = attribute(assessment, lab)
    lines = tuple(_line(assessment, row) for row in rows)
    costing = {row.claim_id for row in rows}
    aside = tuple(note for note in assessment.claims if note.claim_id not in costing)
    unknown = [f"{channel}: {_WHAT_IS_UNKNOWN[channel]}" for channel in CHANNELS if not assessment.coverage.get(channel)]
    unknown += [_WHAT_A_FLAG_MEANS.get(flag, flag) for flag in assessment.flags]
    return Explanation(assessment, lab, lines, aside, tuple(unknown))


def _line(assessment: Assessment, row: Attribution) -> Line:
    note = assessment.claim(row.claim_id)
    return Line(row.lab, row.channel, row.points, _path(assessment, row, note), note)


def _path(assessment: Assessment, row: Attribution, note: ClaimNote | None) -> str:
    """`meta → 49 % → Scale AI`; with a step between where the lab reaches the vendor through somebody."""
    steps = [row.lab]
    if row.through not in (row.lab, assessment.vendor):
        steps.append(row.through if row.channel == "governance" else f"… → {row.through}")
    if row.channel == "revenue":
        steps.append(f"{100.0 * _influence(assessment, row):.1f} % of revenue")
    elif row.channel != "governance" and note is not None and (share := _PERCENT.search(note.summary)) is not None:
        steps.append(share.group() + (" of votes" if row.channel == "votes" else ""))
    return " → ".join([*steps, assessment.name])


def _influence(assessment: Assessment, row: Attribution) -> float:
    """The part of the term's influence that this claim makes up."""
    for term in assessment.confirmed:
        if (term.lab, term.channel) == (row.lab, row.channel):
            return term.influence * sum(p.ratio for p in term.parts if (p.claim_id, p.through) == (row.claim_id, row.through))
    return 0.0
