"""Which report of a claim stands.

A vertex keeps every report of a claim, so that order and repeats do not matter and a retraction restores what was before.
From the reports that are not retracted two may stand:

- `confirmed`: the newest by (effective time, recorded time, event) that is in force at the given time and credible enough;
- `pending`: the newest by (recorded time, effective time, event) of what is rumoured, announced, in force later, or in force on too
  little evidence, if it was recorded after what is confirmed. A plan is judged by when it was told, not by when it is to happen:
  a closing that is brought forward replaces the older plan.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final, cast, get_args

from msgspec import Struct

from neutrality.events.structs import Claim, Correction, Event, Role, Status, event_to_json
from neutrality.model.evidence import credibility, is_official
from neutrality.model.methodology import EvidenceWeights

Order = tuple[datetime, datetime, str, str]
_NOT_THE_VALUE: Final = frozenset({"claim_id", "status", "effective_time", "evidence", "contradicts", "note"})
_what_it_says: Final[Mapping[type[Claim], Callable[[Claim], object]]] = {
    kind: attrgetter(*(name for name in kind.__struct_fields__ if name not in _NOT_THE_VALUE)) for kind in get_args(Claim)
}
_NOBODY: Final[Mapping[str, bool]] = {}


class Report:
    """One event about a claim (never a correction), and when Kafka first had it (ms since 1970). What is asked often is kept beside it.

    `effective` and `ends`: when it takes effect, and when its term ends, if it has one; `recorded`: when it was told. All of them in UTC: datetimes
    of one zone compare thirty times as fast. `is_end`: it tells the end of the claimed state; a role that names where a person goes does so
    before it is terminated. `kept`: whoever stores vertices has stored this report by itself. `json` is made when it is asked for, and
    let go once the report is kept; `size_bytes` is its length.
    """

    __slots__ = (
        "_belief",
        "_json",
        "_size_bytes",
        "_value",
        "accepted_ms",
        "data",
        "effective",
        "ends",
        "event",
        "in_force",
        "is_denial",
        "is_end",
        "kept",
        "recorded",
    )

    def __init__(self, event: Event, accepted_ms: int, kept_bytes: int | None = None) -> None:
        """Keep the event of a claim; `kept_bytes`: it is stored already, in so many bytes."""
        self.event: Final = event
        self.accepted_ms: Final = accepted_ms
        data = self.data = cast("Claim", event.data)
        status, ends = data.status, data.end_time
        self.in_force: Final = status is Status.COMPLETED or status is Status.TERMINATED
        self.is_denial: Final = status is Status.DENIED
        self.is_end: Final = status is Status.TERMINATED or (type(data) is Role and data.left_for is not None)
        self.effective: Final = data.effective_time.astimezone(UTC)
        self.recorded: Final = event.time.astimezone(UTC)
        self.ends: Final = None if ends is None else ends.astimezone(UTC)
        self._value: tuple[object, ...] | None = None
        self._belief: tuple[EvidenceWeights, float] | None = None
        self._json: bytes | None = None
        self._size_bytes = kept_bytes
        self.kept = kept_bytes is not None

    def __eq__(self, other: object) -> bool:
        """The same event, accepted at the same time."""
        return isinstance(other, Report) and self.accepted_ms == other.accepted_ms and self.event == other.event

    def __hash__(self) -> int:
        """By the event's name."""
        return hash((self.event.source, self.event.id))

    @property
    def by_effect(self) -> Order:
        """Orders what is in force: (effective time, recorded time, event)."""
        event = self.event
        return self.effective, self.recorded, event.source, event.id

    @property
    def by_record(self) -> Order:
        """Orders what was told: (recorded time, effective time, event)."""
        event = self.event
        return self.recorded, self.effective, event.source, event.id

    @property
    def is_official(self) -> bool:
        """Whether an official source stands behind it."""
        return is_official(self.data.evidence)

    @property
    def json(self) -> bytes:
        """The event as structured JSON."""
        if self._json is None:
            self._json = event_to_json(self.event)
        return self._json

    @property
    def size_bytes(self) -> int:
        """What it takes as JSON."""
        return len(self.json) if self._size_bytes is None else self._size_bytes

    def keep(self) -> None:
        """It is stored by itself from now on."""
        self._size_bytes, self._json, self.kept = self.size_bytes, None, True

    @property
    def value(self) -> tuple[object, ...]:
        """What it says, apart from who says it: two reports with the same value corroborate one another."""
        if self._value is None:
            data = self.data
            self._value = type(data), _what_it_says[type(data)](data)
        return self._value

    def value_at(self, at: datetime) -> Claim | None:
        """The claim, or None if this report tells its end or its term is over."""
        over = self.ends is not None and self.ends <= at
        return None if over or self.is_end else self.data

    def belief(self, weights: EvidenceWeights) -> float:
        """Credibility in [0, 1] by its own evidence alone."""
        known = self._belief
        if known is None or known[0] is not weights:
            known = self._belief = weights, credibility(self.data.evidence, weights)
        return known[1]


class Standing(Struct, frozen=True, gc=False):
    """A claim at a given time. `credibility` is that of the pending report if there is one, else of the confirmed one.

    `active` is what is in force: not ended by termination, nor by its term. `expected` is what will be if the pending report comes
    true; None if that is an end, or nothing is pending.
    """

    claim_id: str
    confirmed: Report | None
    pending: Report | None
    credibility: float
    newest: Report
    contradicted_by: tuple[str, ...]
    active: Claim | None
    expected: Claim | None

    def weigh(self, probability: float) -> tuple[tuple[Claim, float], ...]:
        """The values that the claim may take, each with its probability (> 0), if the pending report is true with `probability`."""
        if self.pending is None:
            return () if self.active is None else ((self.active, 1.0),)
        values = ((self.active, 1.0 - probability), (self.expected, probability))
        return tuple((claim, chance) for claim, chance in values if claim is not None and chance > 0.0)


class Retractions(Struct, frozen=True, gc=False):
    """What was taken back: events by (source, id), and claims up to a recorded time."""

    events: frozenset[tuple[str, str]] = frozenset()
    claims: dict[str, datetime] = {}

    def covers(self, report: Report) -> bool:
        """Whether the report was taken back."""
        if (report.event.source, report.event.id) in self.events:
            return True
        until = self.claims.get(report.data.claim_id)
        return until is not None and report.recorded <= until


NO_RETRACTIONS: Final = Retractions()


def retractions(corrections: Iterable[Event]) -> Retractions:
    """All corrections together; the order of arrival does not matter. A later correction may itself take back an earlier one."""
    events: set[tuple[str, str]] = set()
    claims: dict[str, datetime] = {}
    for event in sorted(corrections, key=lambda event: (event.time, event.source, event.id), reverse=True):
        if not isinstance(event.data, Correction) or (event.source, event.id) in events:
            continue
        if event.data.retracts_event is not None:
            events.add((event.data.retracts_event.source, event.data.retracts_event.id))
        elif event.data.retracts_claim is not None:
            claims.setdefault(event.data.retracts_claim, event.time)  # the latest comes first
    return Retractions(frozenset(events), claims)


def by_claim(reports: Iterable[Report], taken_back: Retractions) -> dict[str, list[Report]]:
    """Reports that were not taken back, by claim id."""
    found: dict[str, list[Report]] = {}
    for report in reports:
        if taken_back is NO_RETRACTIONS or not taken_back.covers(report):
            found.setdefault(report.data.claim_id, []).append(report)
    return found


def disputes(claims: Mapping[str, Sequence[Report]]) -> dict[str, dict[str, bool]]:
    """For each disputed claim, who disputes it, and whether officially: by the newest report of each disputing claim."""
    found: dict[str, dict[str, bool]] = {}
    for claim_id, reports in claims.items():
        newest = reports[0] if len(reports) == 1 else max(reports, key=_by_record)
        for disputed in newest.data.contradicts:
            found.setdefault(disputed, {})[claim_id] = newest.is_official
    return found


def standings(reports: Iterable[Report], taken_back: Retractions, at: datetime, weights: EvidenceWeights) -> tuple[Standing, ...]:
    """Every claim that has a report left, at time `at`, in order of claim id."""
    claims = by_claim(reports, taken_back)
    disputed = disputes(claims)
    return tuple(
        standing_of(claim_id, claims[claim_id], disputed.get(claim_id, _NOBODY), at, weights) for claim_id in sorted(claims)
    )


def boundaries(reports: Iterable[Report]) -> Iterator[datetime]:
    """Every time at which a claim's standing may change without an event."""
    for report in reports:
        yield report.effective
        if report.ends is not None:
            yield report.ends


def standing_of(
    claim_id: str, reports: Sequence[Report], disputed_by: Mapping[str, bool], at: datetime, weights: EvidenceWeights
) -> Standing:
    """How one claim stands at time `at`, by its reports (at least one) and by those that dispute it (claim id -> officially?)."""
    if len(reports) == 1 and not disputed_by and not reports[0].is_denial:
        return _undisputed(claim_id, reports[0], at, weights)
    if not disputed_by and (settled := _settled(claim_id, reports, at, weights)) is not None:
        return settled
    told = [report for report in reports if not report.is_denial]
    beliefs = _beliefs(told, reports, officially_disputed=any(disputed_by.values()), weights=weights)
    certain: list[Report] = []
    uncertain: list[Report] = []
    for report, belief in zip(told, beliefs, strict=True):
        stands = report.in_force and report.effective <= at and belief >= weights.credibility_threshold
        (certain if stands else uncertain).append(report)
    confirmed = max(certain, key=_by_effect, default=None)
    pending = max((report for report in uncertain if _is_pending(report, confirmed, at)), key=_by_record, default=None)
    standing = pending or confirmed
    return Standing(
        claim_id=claim_id,
        confirmed=confirmed,
        pending=pending,
        credibility=next((belief for report, belief in zip(told, beliefs, strict=True) if report is standing), 0.0),
        newest=max(reports, key=_by_record),
        contradicted_by=tuple(sorted(disputed_by)),
        active=None if confirmed is None else confirmed.value_at(at),
        expected=None if pending is None else pending.value_at(at),
    )


def _undisputed(claim_id: str, report: Report, at: datetime, weights: EvidenceWeights) -> Standing:
    """A claim of one report, which is most of them."""
    belief = report.belief(weights)
    value = report.value_at(at)
    if report.in_force and report.effective <= at and belief >= weights.credibility_threshold:
        return Standing(claim_id, report, None, belief, report, (), value, None)
    return Standing(claim_id, None, report, belief, report, (), None, value)


def _settled(claim_id: str, reports: Sequence[Report], at: datetime, weights: EvidenceWeights) -> Standing | None:
    """A claim of which every report is in force and credible enough by itself: the newest stands. None: it has to be weighed."""
    threshold = weights.credibility_threshold
    for report in reports:
        if not report.in_force or report.effective > at or report.belief(weights) < threshold:
            return None
    confirmed = max(reports, key=_by_effect)
    same = [report for report in reports if report is confirmed or report.value == confirmed.value]
    belief = (
        confirmed.belief(weights)
        if len(same) == 1
        else credibility([item for report in same for item in report.data.evidence], weights)
    )
    return Standing(claim_id, confirmed, None, belief, max(reports, key=_by_record), (), confirmed.value_at(at), None)


def _beliefs(
    told: Sequence[Report], reports: Sequence[Report], *, officially_disputed: bool, weights: EvidenceWeights
) -> list[float]:
    """Credibility of each report, by its evidence and that of all that say the same; times the denial factor where one applies."""
    if len(told) == 1:
        together = [told[0].belief(weights)]
    else:
        same: dict[tuple[bool, tuple[object, ...]], list[Report]] = {}
        for report in told:
            same.setdefault((report.in_force, report.value), []).append(report)
        believed = {
            said: credibility((item for report in group for item in report.data.evidence), weights)
            for said, group in same.items()
        }
        together = [believed[report.in_force, report.value] for report in told]
    denials = [report.by_record for report in reports if report.is_denial and report.is_official]
    if not denials and not officially_disputed:
        return together
    return [
        belief * weights.denial_factor if officially_disputed or any(denial > report.by_record for denial in denials) else belief
        for report, belief in zip(told, together, strict=True)
    ]


def _is_pending(report: Report, confirmed: Report | None, at: datetime) -> bool:
    """Whether a report that is not certain tells of what may come to stand, given what is confirmed."""
    if confirmed is None:
        return True
    settled = report.in_force and report.effective <= at
    if settled and report.by_effect <= confirmed.by_effect:
        return False
    return report.by_record > confirmed.by_record


def _by_effect(report: Report) -> Order:
    return report.by_effect


def _by_record(report: Report) -> Order:
    return report.by_record
