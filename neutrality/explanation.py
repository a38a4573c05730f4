"""Why a score is what it is: the parts down to claims, each with its points, its path and who says so. Pure.

The points of the lines add up to 100 - score (an exact attribution, see `attribute`).
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal

from neutrality.events.assessment import CHANNELS, Assessment, Attribution, Channel, ClaimNote, Step, attribute

View = Literal["confirmed", "projected"]

_PERCENT: Final = re.compile(r"\d+(?:\.\d+)?(?: to \d+(?:\.\d+)?)? %")
_WHAT_IS_UNKNOWN: Final[dict[Channel, str]] = {
    "ownership": "nobody has said who owns it",
    "votes": "nobody has said who holds its votes",
    "governance": "nobody has said who leads it or sits on its board",
    "revenue": "its revenue and a customer's spending in one year are not both known",
}
LEAST_MOVE: Final = 0.05  # points; what rounds to nothing is not told
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
class Move:
    """What one claim's cost through one lab's channel has changed by since the version before; points over 0 were won."""

    lab: str
    channel: Channel
    points: float
    path: str
    claim: ClaimNote | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """One vendor's score towards one lab, taken apart. `aside` are claims that cost nothing: pending, disputed, ended or harmless.

    `moves` add up to the score less what it was in the version before; empty if there was none.
    """

    assessment: Assessment
    lab: str | None
    lines: tuple[Line, ...]
    moves: tuple[Move, ...]
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
    return Explanation(assessment, lab, lines, _moves(assessment, lab), aside, what_is_unknown(assessment))


def what_is_unknown(assessment: Assessment) -> tuple[str, ...]:
    """In words, a line each."""
    unknown = [f"{channel}: {_WHAT_IS_UNKNOWN[channel]}" for channel in CHANNELS if not assessment.coverage.get(channel)]
    return (*unknown, *[_WHAT_A_FLAG_MEANS.get(flag, flag) for flag in assessment.flags])


def _moves(assessment: Assessment, lab: str | None) -> tuple[Move, ...]:
    """Largest first. A claim that costs nothing now is told by the path that it had."""
    if assessment.before is None:
        return ()
    costs: dict[tuple[str, Channel, str, str], float] = {}
    rows: dict[tuple[str, Channel, str, str], Attribution] = {}
    for sign, found in ((1.0, attribute(assessment.before, lab)), (-1.0, attribute(assessment, lab))):
        for row in found:
            key = row.lab, row.channel, row.claim_id, row.through
            costs[key] = costs.get(key, 0.0) + sign * row.points
            rows[key] = row
    moved = sorted((key for key in costs if abs(costs[key]) >= LEAST_MOVE), key=lambda key: (-abs(costs[key]), key))
    return tuple(
        Move(rows[key].lab, rows[key].channel, costs[key], path_of(assessment, rows[key], note), note)
        for key in moved
        for note in [assessment.claim(rows[key].claim_id)]
    )


def _line(assessment: Assessment, row: Attribution) -> Line:
    note = assessment.claim(row.claim_id)
    return Line(row.lab, row.channel, row.points, path_of(assessment, row, note), note)


def path_of(assessment: Assessment, row: Attribution, note: ClaimNote | None, view: View = "confirmed") -> str:
    """`meta → 49 % → Scale AI`, with a step between for everybody through whom the lab reaches the vendor."""
    steps = [row.lab]
    for holder, held in pairwise(row.path):
        steps += [_share(holder), held.holder]
    if len(row.path) == 1 and row.through not in (row.lab, assessment.vendor):
        steps.append(row.path[0].holder)
    if row.channel == "revenue":
        steps.append(f"{100.0 * _influence(assessment, row, view):.1f} % of revenue")
    elif row.channel != "governance" and note is not None and (share := _PERCENT.search(note.summary)) is not None:
        steps.append(share.group() + (" of votes" if row.channel == "votes" else ""))
    return " → ".join([*steps, assessment.name])


def _share(step: Step) -> str:
    return f"{100.0 * step.share:.4g} %" if step.share > 0.0 else "…"


def _influence(assessment: Assessment, row: Attribution, view: View) -> float:
    """The part of the term's influence that this claim makes up."""
    for term in getattr(assessment, view):
        if (term.lab, term.channel) == (row.lab, row.channel):
            part = sum(p.ratio for p in term.parts if (p.claim_id, p.through) == (row.claim_id, row.through))
            return float(term.influence * part)
    return 0.0


def score_document(assessment: Assessment, lab: str | None) -> dict[str, Any]:
    """A vendor's score towards a lab, or its headline."""
    return {
        "vendor": assessment.vendor,
        "name": assessment.name,
        "lab": lab,
        "version": assessment.version,
        "methodology": assessment.methodology,
        "rated": assessment.score_for(lab).grade != "NR",
        "score": assessment.score_for(lab),
        "coverage": assessment.coverage,
        "categories": assessment.categories,
        "flags": assessment.flags,
    }


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """An explanation: the score, what it was, the parts that add up to the points lost, and all claims as they stand."""
    before = explanation.assessment.before
    return {
        **score_document(explanation.assessment, explanation.lab),
        "before": None if before is None else {"version": before.version, "score": before.score_for(explanation.lab)},
        "moves": explanation.moves,
        "points_lost": explanation.points_lost,
        "parts": [
            {
                "lab": line.lab,
                "channel": line.channel,
                "points": line.points,
                "path": line.path,
                "claim": line.claim,
            }
            for line in explanation.lines
        ],
        "claims": explanation.assessment.claims,
        "unknown": explanation.unknown,
    }
