"""The history of scores: what each version of an assessment said, and which claims moved it. Pure."""

from dataclasses import dataclass
from typing import Final

import orjson
from pydantic import TypeAdapter

from neutrality.events.assessment import Assessment, Cause, Score
from neutrality.events.vocabulary import EntityId
from services.alerts.domain.conditions import View
from services.alerts.domain.reasons import reasons_for

HEADLINE: Final = ""  # among labs: a lab without ties


@dataclass(frozen=True, slots=True)
class Moved:
    """A claim that costs more points than before (positive) or fewer (negative), through one lab's channel.

    `effective_time` is the claim's, RFC 3339; None if the claim is gone.
    """

    claim_id: str
    lab: str
    channel: str
    through: str
    points: float
    summary: str
    status: str
    credibility: float
    effective_time: str | None


@dataclass(frozen=True, slots=True)
class Reasons:
    """What moved the two scores, largest change first, at most five each."""

    confirmed: tuple[Moved, ...]
    projected: tuple[Moved, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """One version of a vendor's assessment. `at_ms`: when Kafka took the event behind it, in ms since 1970.

    `labs` holds the labs whose score is not the headline; `reasons` are by lab, and hold what moved it since the version that was taken in before.
    """

    vendor: EntityId
    name: str
    version: int
    at_ms: int
    methodology: str
    headline: Score
    labs: dict[str, Score]
    coverage: dict[str, bool]
    categories: tuple[str, ...]
    flags: tuple[str, ...]
    cause: Cause | None
    reasons: dict[str, Reasons]

    def score_for(self, lab: str | None) -> Score:
        """The score towards a lab; the headline for None and for a lab without ties."""
        return self.headline if lab is None else self.labs.get(lab, self.headline)

    def reasons_for(self, lab: str | None) -> Reasons:
        """What moved that score."""
        return self.reasons.get(HEADLINE if lab is None else lab, self.reasons[HEADLINE])


def step_of(previous: Assessment | None, current: Assessment, now_ms: int) -> Step:
    """What the history keeps of an assessment. `now_ms` stands in for a cause that is not told."""
    labs = current.labs.keys() | (set() if previous is None else previous.labs.keys())
    return Step(
        vendor=current.vendor,
        name=current.name,
        version=current.version,
        at_ms=now_ms if current.cause is None else current.cause.accepted_ms,
        methodology=current.methodology,
        headline=current.headline,
        labs=current.labs,
        coverage=current.coverage,
        categories=current.categories,
        flags=current.flags,
        cause=current.cause,
        reasons={lab: _reasons(previous, current, lab) for lab in sorted({HEADLINE, *labs})},
    )


def _reasons(previous: Assessment | None, current: Assessment, lab: str) -> Reasons:
    return Reasons(_moved(previous, current, lab, "confirmed"), _moved(previous, current, lab, "projected"))


def _moved(previous: Assessment | None, current: Assessment, lab: str, view: View) -> tuple[Moved, ...]:
    found = []
    for reason in reasons_for(previous, current, lab, view):
        note = current.claim(reason.claim_id)
        found.append(
            Moved(
                reason.claim_id,
                reason.lab,
                reason.channel,
                reason.through,
                reason.points,
                reason.summary,
                reason.status,
                reason.credibility,
                None if note is None else note.effective_time,
            )
        )
    return tuple(found)


_STEP: Final = TypeAdapter(Step)


def parse_step(document: bytes) -> Step:
    """A step as it was stored."""
    return _STEP.validate_json(document)


def step_to_bytes(step: Step) -> bytes:
    """JSON."""
    return orjson.dumps(step)
