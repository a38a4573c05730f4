"""The history of scores: what each version of an assessment said, and which claims moved it. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import orjson
from pydantic import TypeAdapter

from neutrality.events.alert import Reason
from neutrality.events.assessment import Assessment, Cause, Channel, ClaimNote, Score, Term
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
class Influence:
    """Of one lab through one channel, in [0, 1], in both views."""

    lab: str
    channel: Channel
    confirmed: float
    projected: float


@dataclass(frozen=True, slots=True)
class StandingClaim:
    """A claim as it stood: when its report was recorded (RFC 3339), and how far it had come."""

    claim_id: str
    recorded_time: str
    status: str


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
    influences: tuple[Influence, ...] = ()
    excluded: dict[str, tuple[str, ...]] = field(default_factory=dict)
    claims: tuple[StandingClaim, ...] = ()

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
        influences=_influences(current),
        excluded=current.excluded,
        claims=tuple(StandingClaim(note.claim_id, note.recorded_time, note.status) for note in current.claims),
    )


def _influences(current: Assessment) -> tuple[Influence, ...]:
    confirmed = {(term.lab, term.channel): term.influence for term in current.confirmed}
    projected = {(term.lab, term.channel): term.influence for term in current.projected}
    keys = sorted(confirmed.keys() | projected.keys())
    return tuple(
        Influence(lab, channel, confirmed.get((lab, channel), 0.0), projected.get((lab, channel), 0.0)) for lab, channel in keys
    )


def assessment_of(step: Step) -> Assessment:
    """As much of the assessment as decisions look at: scores, influences, coverage and how claims stood. It attributes no points."""
    return Assessment(
        vendor=step.vendor,
        name=step.name,
        version=step.version,
        methodology=step.methodology,
        headline=step.headline,
        labs=step.labs,
        excluded=step.excluded,
        confirmed=tuple(Term(one.lab, one.channel, one.confirmed, 0.0, ()) for one in step.influences),
        projected=tuple(Term(one.lab, one.channel, one.projected, 0.0, ()) for one in step.influences),
        coverage=step.coverage,
        claims=tuple(
            ClaimNote(one.claim_id, "", "", one.status, "no", 0.0, one.recorded_time, one.recorded_time, "", "", ())
            for one in step.claims
        ),
        categories=step.categories,
        flags=step.flags,
        cause=step.cause,
    )


def reasons_of(moved: Iterable[Moved]) -> tuple[Reason, ...]:
    """Without their evidence, which the history does not keep."""
    return tuple(
        Reason(one.claim_id, one.lab, one.channel, one.through, one.points, one.summary, one.status, one.credibility, ())
        for one in moved
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
