"""Which report of a claim stands.

A vertex keeps every report of a claim, so that order and repeats do not matter and a retraction restores what was before.
From the reports that are not retracted two may stand:

- `confirmed`: the newest by (effective time, recorded time, event) that is in force at the given time and credible enough;
- `pending`: the newest by (recorded time, effective time, event) of what is rumoured, announced, in force later, or in force on too
  little evidence, if it was recorded after what is confirmed. A plan is judged by when it was told, not by when it is to happen:
  a closing that is brought forward replaces the older plan.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from neutrality.events.claims import Claim, Correction, Role
from neutrality.events.cloudevent import Event
from neutrality.events.vocabulary import Status
from neutrality.model.evidence import credibility, is_official
from neutrality.model.methodology import EvidenceWeights

Order = tuple[datetime, datetime, str, str]
_IN_FORCE: Final = frozenset({Status.COMPLETED, Status.TERMINATED})
_NOT_THE_VALUE: Final = {"claim_id", "status", "effective_time", "evidence", "contradicts", "note"}


@dataclass(frozen=True, slots=True)
class Report:
    """One event about a claim (never a correction), and when Kafka first had it (ms since 1970)."""

    event: Event
    accepted_ms: int

    @property
    def data(self) -> Claim:
        """The claim as this event reports it."""
        return cast("Claim", self.event.data)

    @property
    def is_end(self) -> bool:
        """Whether it tells the end of the claimed state: a role that names where the person goes does so before it is terminated."""
        data = self.data
        return data.status is Status.TERMINATED or (isinstance(data, Role) and data.left_for is not None)

    @property
    def by_effect(self) -> Order:
        """Order of what is in force: (effective time, recorded time, event)."""
        return self.data.effective_time, self.event.time, self.event.source, self.event.id

    @property
    def by_record(self) -> Order:
        """Order of what was told: (recorded time, effective time, event)."""
        return self.event.time, self.data.effective_time, self.event.source, self.event.id

    def value_at(self, at: datetime) -> Claim | None:
        """The claim, or None if this report tells its end or its term is over."""
        over = self.data.end_time is not None and self.data.end_time <= at
        return None if over or self.is_end else self.data


@dataclass(frozen=True, slots=True)
class Standing:
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
    at: datetime
    active: Claim | None
    expected: Claim | None

    def weigh(self, probability: float) -> tuple[tuple[Claim, float], ...]:
        """The values that the claim may take, each with its probability (> 0), if the pending report is true with `probability`."""
        if self.pending is None:
            return () if self.active is None else ((self.active, 1.0),)
        values = ((self.active, 1.0 - probability), (self.expected, probability))
        return tuple((claim, chance) for claim, chance in values if claim is not None and chance > 0.0)


@dataclass(frozen=True, slots=True)
class Retractions:
    """What was taken back: events by (source, id), and claims up to a recorded time."""

    events: frozenset[tuple[str, str]]
    claims: Mapping[str, datetime]

    def covers(self, report: Report) -> bool:
        """Whether the report was taken back."""
        if (report.event.source, report.event.id) in self.events:
            return True
        until = self.claims.get(report.data.claim_id)
        return until is not None and report.event.time <= until


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


def standings(reports: Iterable[Report], taken_back: Retractions, at: datetime, weights: EvidenceWeights) -> tuple[Standing, ...]:
    """Every claim that has a report left, at time `at`, in order of claim id."""
    by_claim: dict[str, list[Report]] = {}
    for report in reports:
        if not taken_back.covers(report):
            by_claim.setdefault(report.data.claim_id, []).append(report)
    disputes = _disputes(by_claim)
    return tuple(
        _standing(claim_id, by_claim[claim_id], disputes.get(claim_id, {}), at, weights) for claim_id in sorted(by_claim)
    )


def boundaries(reports: Iterable[Report], taken_back: Retractions) -> Iterator[datetime]:
    """Every time at which a claim's standing may change without an event."""
    for report in reports:
        if not taken_back.covers(report):
            yield report.data.effective_time
            if report.data.end_time is not None:
                yield report.data.end_time


def _disputes(by_claim: Mapping[str, list[Report]]) -> dict[str, dict[str, bool]]:
    """For each disputed claim, who disputes it, and whether officially: by the newest report of each disputing claim."""
    disputes: dict[str, dict[str, bool]] = {}
    for claim_id, reports in by_claim.items():
        newest = max(reports, key=lambda report: report.by_record)
        for disputed in newest.data.contradicts:
            disputes.setdefault(disputed, {})[claim_id] = is_official(newest.data.evidence)
    return disputes


def _value(report: Report) -> str:
    """What a report says, apart from who says it: two reports with the same value corroborate one another."""
    return report.data.model_dump_json(exclude=_NOT_THE_VALUE)


def _standing(
    claim_id: str, reports: list[Report], disputed_by: Mapping[str, bool], at: datetime, weights: EvidenceWeights
) -> Standing:
    denials = [report for report in reports if report.data.status is Status.DENIED]
    told = [report for report in reports if report.data.status is not Status.DENIED]
    disputed = any(disputed_by.values())

    def belief(report: Report) -> float:
        same = [
            other.data.evidence
            for other in told
            if (other.data.status in _IN_FORCE) == (report.data.status in _IN_FORCE)
            and (other is report or _value(other) == _value(report))
        ]
        denied = any(is_official(denial.data.evidence) and denial.by_record > report.by_record for denial in denials)
        factor = weights.denial_factor if denied or disputed else 1.0
        return factor * credibility((item for evidence in same for item in evidence), weights)

    beliefs = {id(report): belief(report) for report in told}

    def certain(report: Report) -> bool:
        in_force = report.data.status in _IN_FORCE and report.data.effective_time <= at
        return in_force and beliefs[id(report)] >= weights.credibility_threshold

    confirmed = max((report for report in told if certain(report)), key=lambda report: report.by_effect, default=None)

    def is_pending(report: Report) -> bool:
        if certain(report):
            return False
        if confirmed is None:
            return True
        settled = report.data.status in _IN_FORCE and report.data.effective_time <= at
        if settled and report.by_effect <= confirmed.by_effect:
            return False
        return report.by_record > confirmed.by_record

    pending = max((report for report in told if is_pending(report)), key=lambda report: report.by_record, default=None)
    standing = pending or confirmed
    return Standing(
        claim_id=claim_id,
        confirmed=confirmed,
        pending=pending,
        credibility=beliefs[id(standing)] if standing is not None else 0.0,
        newest=max(reports, key=lambda report: report.by_record),
        contradicted_by=tuple(sorted(disputed_by)),
        at=at,
        active=None if confirmed is None else confirmed.value_at(at),
        expected=None if pending is None else pending.value_at(at),
    )
