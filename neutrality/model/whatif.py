"""What some events would change: scores before and after, and the claims that the difference comes from. Pure.

A score is 100 exp(-L), so between two scores s and s' the difference is -m (L' - L) with m = (s - s') / ln(s / s'), their logarithmic mean
(Ang 2004, the logarithmic mean Divisia index). L is a sum over claims: each claim's part of the difference is exact, they add up, and a
claim that costs what it cost before has none.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from neutrality.events.assessment import Assessment, Channel, Score

_LEAST_POINTS: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Mover:
    """A claim's part of a difference: points gained (positive) or lost, through one lab's channel. `summary` is the claim in words."""

    claim_id: str
    lab: str
    channel: Channel
    through: str
    points: float
    summary: str
    status: str


@dataclass(frozen=True, slots=True)
class Change:
    """One vendor's score towards a lab (None: the headline), before and after; None where it has no score.

    `movers` add up to the difference between the scores of `view`: the confirmed ones, or the projected ones if only these moved.
    """

    vendor: str
    name: str
    lab: str | None
    before: Score | None
    after: Score | None
    view: Literal["confirmed", "projected"]
    movers: tuple[Mover, ...]


def changes(before: Mapping[str, Assessment], after: Mapping[str, Assessment]) -> tuple[Change, ...]:
    """Every score that differs, by vendor; the headline first, then the labs whose score is or was not the headline."""
    found = []
    for vendor in sorted(before.keys() | after.keys()):
        old, new = before.get(vendor), after.get(vendor)
        labs = sorted({lab for one in (old, new) if one is not None for lab in one.labs})
        for lab in (None, *labs):
            one, other = (None if known is None else known.score_for(lab) for known in (old, new))
            if one != other:
                found.append(_change(vendor, lab, old, new))
    return tuple(found)


def _change(vendor: str, lab: str | None, old: Assessment | None, new: Assessment | None) -> Change:
    one, other = (None if known is None else known.score_for(lab) for known in (old, new))
    same = one is not None and other is not None and one.confirmed == other.confirmed
    view: Literal["confirmed", "projected"] = "projected" if same else "confirmed"
    known = new or old
    name = vendor if known is None else known.name
    return Change(vendor, name, lab, one, other, view, _movers(lab, old, new, view))


def _movers(
    lab: str | None, old: Assessment | None, new: Assessment | None, view: Literal["confirmed", "projected"]
) -> tuple[Mover, ...]:
    """Each claim's part, largest first."""
    was, now = (_losses(known, lab, view) for known in (old, new))
    mean = _logarithmic_mean(*(100.0 * math.exp(-math.fsum(losses.values())) for losses in (was, now)))
    movers = []
    for key in was.keys() | now.keys():
        points = mean * (was.get(key, 0.0) - now.get(key, 0.0))
        if abs(points) < _LEAST_POINTS:
            continue
        rival, channel, claim_id, through = key
        note = next((note for known in (new, old) if known is not None and (note := known.claim(claim_id)) is not None), None)
        summary, status = (claim_id, "unknown") if note is None else (note.summary, note.status)
        movers.append(Mover(claim_id, rival, channel, through, points, summary, status))
    return tuple(sorted(movers, key=lambda mover: (-abs(mover.points), mover.lab, mover.channel, mover.claim_id, mover.through)))


def _losses(
    known: Assessment | None, lab: str | None, view: Literal["confirmed", "projected"]
) -> dict[tuple[str, Channel, str, str], float]:
    """Log losses by lab, channel, claim and party."""
    if known is None:
        return {}
    excluded = known.excluded_for(lab)
    found: dict[tuple[str, Channel, str, str], float] = {}
    for term in getattr(known, view):
        for part in term.parts if term.lab not in excluded else ():
            key = term.lab, term.channel, part.claim_id, part.through
            found[key] = found.get(key, 0.0) + term.log_loss * part.ratio
    return found


def _logarithmic_mean(one: float, other: float) -> float:
    return one if math.isclose(one, other, rel_tol=1e-12) else (one - other) / math.log(one / other)
