"""Why a score moved: the claims whose points changed most between two assessments."""

from collections.abc import Iterable
from typing import Final

from neutrality.events.alert import Reason
from neutrality.events.assessment import Assessment, Attribution, attribute
from services.alerts.domain.conditions import View

MAX_REASONS: Final = 5
LEAST_POINTS: Final = 0.05  # under what is shown with one decimal

_Key = tuple[str, str, str, str]


def reasons_for(previous: Assessment | None, current: Assessment, lab: str, view: View) -> tuple[Reason, ...]:
    """Claims by how many points each costs more (positive) or less (negative) than before; largest change first, at most five."""
    before = {} if previous is None else _points(attribute(previous, lab, view))
    after = _points(attribute(current, lab, view))
    moved = {key: after.get(key, 0.0) - before.get(key, 0.0) for key in before.keys() | after.keys()}
    ranked = sorted(moved.items(), key=lambda item: (-abs(item[1]), item[0]))
    return tuple(_reason(previous, current, key, points) for key, points in ranked[:MAX_REASONS] if abs(points) >= LEAST_POINTS)


def _points(rows: Iterable[Attribution]) -> dict[_Key, float]:
    return {(row.claim_id, row.lab, row.channel, row.through): row.points for row in rows}


def _reason(previous: Assessment | None, current: Assessment, key: _Key, points: float) -> Reason:
    claim_id, rival, channel, through = key
    note = current.claim(claim_id) or (None if previous is None else previous.claim(claim_id))
    return Reason(
        claim_id=claim_id,
        lab=rival,
        channel=channel,
        through=through,
        points=points,
        summary=claim_id if note is None else note.summary,
        status="withdrawn" if note is None or current.claim(claim_id) is None else note.status,
        credibility=0.0 if note is None else note.credibility,
        evidence=() if note is None else note.evidence,
    )
