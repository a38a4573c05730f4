"""The assessment of a vendor, as published to `neutrality.scores`: all that alerts, the CLI and the board need to tell and explain it.

Plain frozen dataclasses, because the stream makes and writes thousands a second; `parse_assessment` validates what comes in.
Scores are in [0, 100], influences and credibilities in [0, 1].
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import orjson
from pydantic import TypeAdapter, ValidationError

from neutrality.events.cloudevent import to_kafka_binary

ASSESSMENT_TYPE: Final = "watch.neutrality.assessment.v1"

Grade = Literal["N1", "N2", "N3", "N4", "N5", "NR"]
Outlook = Literal["negative", "stable", "positive", "developing"]
Watch = Literal["down", "up", "developing"]
Channel = Literal["ownership", "votes", "governance", "revenue"]
CHANNELS: Final[tuple[Channel, ...]] = ("ownership", "votes", "governance", "revenue")


@dataclass(frozen=True, slots=True)
class Score:
    """One neutrality, towards one lab or (headline) towards a lab without ties.

    `low` and `high` are the confirmed score at the worse and the better end of all ranges; `projected` counts pending claims.
    """

    confirmed: float
    projected: float
    low: float
    high: float
    grade: Grade
    outlook: Outlook
    watch: Watch | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step on the way from a lab: who holds, by name, and what ratio of the next one (0: none, or unknown)."""

    holder: str
    share: float


@dataclass(frozen=True, slots=True)
class Part:
    """A claim's part in one term: a ratio in [0, 1]; the parts of a term add up to 1. `through` is the party next to the vendor.

    `path` is the way from the lab, or from whoever is tied to it otherwise than by holding, up to that party.
    """

    claim_id: str
    ratio: float
    through: str
    path: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class Term:
    """The influence of one lab through one channel; `log_loss` is -ln(1 - weight x influence)."""

    lab: str
    channel: Channel
    influence: float
    log_loss: float
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class ClaimNote:
    """A claim as it stands: what it says, how far it has come, who says so and which claims dispute it."""

    claim_id: str
    kind: str
    summary: str
    status: str
    counts: Literal["confirmed", "pending", "no"]
    credibility: float
    effective_time: str
    recorded_time: str
    event_source: str
    event_id: str
    evidence: tuple[dict[str, Any], ...]
    contradicted_by: tuple[str, ...] = ()
    ended: bool = False
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """The input record that an assessment stems from: where it lies, and when Kafka took it (ms since 1970).

    `traceparent` is the event's (W3C Trace Context), if it had one; it goes on to the assessment and to the alerts unchanged.
    """

    event_source: str
    event_id: str
    topic: str
    partition: int
    offset: int
    accepted_ms: int
    traceparent: str | None = None

    @property
    def trace_id(self) -> str | None:
        """The trace's id, for exemplars and logs; None if there is none."""
        parts = (self.traceparent or "").split("-")
        return parts[1] if len(parts) >= 4 and len(parts[1]) == 32 else None


class _Scores:
    """What an assessment and an earlier one have in common: the headline, and the labs whose score is another."""

    __slots__ = ()
    headline: Score
    labs: dict[str, Score]
    excluded: dict[str, tuple[str, ...]]

    def score_for(self, lab: str | None) -> Score:
        """The score towards a lab; the headline for None and for a lab without ties."""
        return self.headline if lab is None else self.labs.get(lab, self.headline)

    def excluded_for(self, lab: str | None) -> frozenset[str]:
        """The labs that are no rivals to `lab`; empty for the headline."""
        return frozenset() if lab is None else frozenset(self.excluded.get(lab, (lab,)))


@dataclass(frozen=True, slots=True)
class Earlier(_Scores):
    """The scores of an earlier version of an assessment, and the terms behind the confirmed ones."""

    version: int
    headline: Score
    labs: dict[str, Score]
    excluded: dict[str, tuple[str, ...]]
    confirmed: tuple[Term, ...]


@dataclass(frozen=True, slots=True)
class Assessment(_Scores):
    """A vendor's neutrality. `version` rises by one with every change; `labs` holds the labs whose score is not the headline.

    `excluded` names, for a lab, the labs that are no rivals to it (itself, its group, its affiliates); absent: the lab alone.
    `confirmed` and `projected` are the terms behind the two scores; `before` is what was published before, under the version below.
    """

    vendor: str
    name: str
    version: int
    methodology: str
    headline: Score
    labs: dict[str, Score]
    excluded: dict[str, tuple[str, ...]]
    confirmed: tuple[Term, ...]
    projected: tuple[Term, ...]
    coverage: dict[str, bool]
    claims: tuple[ClaimNote, ...]
    categories: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    cause: Cause | None = None
    before: Earlier | None = None

    def unversioned(self) -> "Assessment":
        """What it says, apart from how it came about: without version, cause and what stood before."""
        return replace(self, version=0, cause=None, before=None)

    def as_earlier(self, version: int) -> Earlier:
        """What the next version will say of this one, published under `version`."""
        return Earlier(version, self.headline, self.labs, self.excluded, self.confirmed)

    def claim(self, claim_id: str) -> ClaimNote | None:
        """The note of a claim, if it is known."""
        return next((note for note in self.claims if note.claim_id == claim_id), None)


@dataclass(frozen=True, slots=True)
class Attribution:
    """Points that one claim costs through one lab's channel; all of them add up to 100 - score."""

    lab: str
    channel: Channel
    claim_id: str
    through: str
    points: float
    path: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class InvalidAssessment:
    """Why a record of `neutrality.scores` could not be read."""

    detail: str


def attribute(
    assessment: Assessment | Earlier, lab: str | None, view: Literal["confirmed", "projected"] = "confirmed"
) -> tuple[Attribution, ...]:
    """Who took the points: (100 - score) shared out by log loss, then by each claim's part; largest first.

    Source: neutrality model, from channels to a score (an exact decomposition of the product in logarithms).
    """
    excluded = assessment.excluded_for(lab)
    terms = [term for term in getattr(assessment, view) if term.lab not in excluded]
    total = sum(term.log_loss for term in terms)
    if total <= 0.0:
        return ()
    lost = 100.0 - getattr(assessment.score_for(lab), view)
    rows = [
        Attribution(term.lab, term.channel, part.claim_id, part.through, lost * term.log_loss / total * part.ratio, part.path)
        for term in terms
        for part in term.parts
    ]
    return tuple(sorted(rows, key=lambda row: (-row.points, row.lab, row.channel, row.claim_id)))


def assessment_to_kafka(assessment: Assessment, time: str, value: bytes | None = None) -> tuple[list[tuple[str, bytes]], bytes]:
    """Headers and value for `neutrality.scores`; `time` is RFC 3339, `value` the assessment as JSON if it is at hand."""
    return to_kafka_binary(
        trace_of(assessment.cause)
        | {
            "specversion": "1.0",
            "id": f"{assessment.vendor}:{assessment.version}",
            "source": "urn:neutrality-watch:scoring",
            "type": ASSESSMENT_TYPE,
            "time": time,
            "subject": assessment.vendor,
            "data": orjson.Fragment(assessment_to_bytes(assessment) if value is None else value),
        }
    )


def trace_of(cause: Cause | None) -> dict[str, str]:
    """The CloudEvents extension `traceparent` of what came of an event."""
    return {} if cause is None or cause.traceparent is None else {"traceparent": cause.traceparent}


_ASSESSMENT: Final = TypeAdapter(Assessment)


def parse_assessment(value: bytes) -> Assessment | InvalidAssessment:
    """An assessment from a record's value; a value that is none is told, not raised, so that a reader can count and go on."""
    try:
        return _ASSESSMENT.validate_json(value)
    except ValidationError as error:
        return InvalidAssessment(str(error)[:500])


def assessment_to_bytes(assessment: Assessment) -> bytes:
    """JSON, as in the record's value."""
    content = content_to_bytes(assessment, (note_to_bytes(note) for note in assessment.claims))
    return under_version(content, assessment.version, assessment.cause, assessment.before)


def content_to_bytes(assessment: Assessment, notes: Iterable[bytes]) -> bytes:
    """The JSON of all but version, cause and `before`, with the notes' JSON as given."""
    return orjson.dumps(
        {
            "vendor": assessment.vendor,
            "name": assessment.name,
            "methodology": assessment.methodology,
            "headline": assessment.headline,
            "labs": assessment.labs,
            "excluded": assessment.excluded,
            "confirmed": assessment.confirmed,
            "projected": assessment.projected,
            "coverage": assessment.coverage,
            "claims": [orjson.Fragment(note) for note in notes],
            "categories": assessment.categories,
            "flags": assessment.flags,
        }
    )


def under_version(content: bytes, version: int, cause: Cause | None, before: Earlier | None) -> bytes:
    """The JSON of an assessment, from that of its content."""
    return orjson.dumps({"version": version, "cause": cause, "before": before})[:-1] + b"," + content[1:]


def note_to_bytes(note: ClaimNote) -> bytes:
    """JSON."""
    return orjson.dumps(note)
