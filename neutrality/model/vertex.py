"""`react`: the model as a vertex-centric computation (Malewicz et al., Pregel, 2010). Pure, and the only place where state changes.

Each entity is a vertex. It keeps the reports about itself, the newest profile of each party named in them, and the links of the subjects
in which it holds something. Reacting to inputs is one function of (vertex, inputs, time):

1. take the inputs in; each is kept by a rule that knows neither order nor repeats (events by id, messages by version);
2. reckon: standings of the claims, the own profile, the links owed to parties, the assessment;
3. say what changed: `holds` or `released` to parties, the `profile` to all subjects, the assessment if the entity is a vendor.

An input that was applied before (offset not above `applied` of its topic) is a repeat after a crash: what stands is said again, under the
same versions, because it may have been lost. A repeat on its way is recognised by its version and changes nothing, so no echo can go round.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Generic, Literal, TypeVar

from pydantic import TypeAdapter

from neutrality.events.assessment import Assessment, Cause
from neutrality.events.claims import Correction, Role, RoleType
from neutrality.events.cloudevent import Event
from neutrality.model.assessment import assess, watch_lapses
from neutrality.model.claims import Report, Retractions, Standing, boundaries, retractions, standings
from neutrality.model.facts import Facts, attributes_of, exposures, parties_of
from neutrality.model.governance import cooling_ends
from neutrality.model.messages import Message, message_from_bytes, message_to_bytes
from neutrality.model.methodology import Methodology
from neutrality.model.profile import EMPTY_PROFILE, Affiliation, Exposure, LabExposure, Link, Profile, Tie
from neutrality.model.views import PROJECTED

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an input record lies, and when Kafka took it (ms since 1970)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Input:
    """One record for one entity."""

    origin: Origin
    body: Event | Message


@dataclass(frozen=True, slots=True)
class Versioned(Generic[T]):
    """A value under a version; None: it was taken back."""

    version: int
    value: T | None


@dataclass(frozen=True, slots=True)
class Vertex:
    """The state of one entity. `applied` is the highest offset taken in, by topic (an entity's records share a partition)."""

    entity: str
    version: int = 0
    reports: dict[str, Report] = field(default_factory=dict)
    corrections: dict[str, Event] = field(default_factory=dict)
    profiles: dict[str, Versioned[Profile]] = field(default_factory=dict)
    held: dict[str, Versioned[Link]] = field(default_factory=dict)
    links: dict[str, Versioned[Link]] = field(default_factory=dict)
    profile: Versioned[Profile] = field(default_factory=lambda: Versioned(0, EMPTY_PROFILE))
    assessment: Assessment | None = None
    next_change: datetime | None = None
    applied: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reaction:
    """What came of it: the new state, messages to other vertices, and an assessment to publish, if any."""

    vertex: Vertex
    messages: tuple[Message, ...]
    assessment: Assessment | None


def react(vertex: Vertex | None, entity: str, inputs: Sequence[Input], *, at: datetime, methodology: Methodology) -> Reaction:
    """Take in all inputs of one entity at time `at`; no inputs: a tick, which only lets time pass.

    Idempotent, and independent of the order of inputs of different origin. Raises ValueError for an input of another entity.
    """
    before = vertex or Vertex(entity)
    repeated = any(item.origin.offset <= before.applied.get(item.origin.topic, -1) for item in inputs)
    taken = _take_in(before, inputs)
    cause = _cause(inputs)
    after, facts, cut = _reckon(taken, at, methodology)
    messages: list[Message] = []
    after = _tell_parties(after, facts, cause, messages, again=repeated)
    _tell_subjects(before, after, cause, messages, again=repeated)
    after, assessment = _publish(after, facts, methodology, cause, levels_cut=cut, again=repeated)
    return Reaction(after, tuple(messages), assessment)


def _take_in(vertex: Vertex, inputs: Sequence[Input]) -> Vertex:
    reports, corrections = dict(vertex.reports), dict(vertex.corrections)
    profiles, held, applied = dict(vertex.profiles), dict(vertex.held), dict(vertex.applied)
    for item in inputs:
        origin, body = item.origin, item.body
        applied[origin.topic] = max(origin.offset, applied.get(origin.topic, -1))
        if isinstance(body, Message):
            if body.receiver != vertex.entity:
                raise ValueError(f"a message for {body.receiver!r} was given to {vertex.entity!r}")
            if body.kind == "profile":
                _keep(profiles, body.sender, Versioned(body.version, body.profile))
            else:
                _keep(held, body.sender, Versioned(body.version, body.link))
            continue
        if body.data.subject != vertex.entity:
            raise ValueError(f"an event about {body.data.subject!r} was given to {vertex.entity!r}")
        key = f"{body.source}\n{body.id}"
        if isinstance(body.data, Correction):
            corrections[key] = _settle(corrections.get(key, body), body)
        else:
            reports[key] = _settle_report(reports.get(key), Report(body, origin.timestamp_ms))
    return replace(vertex, reports=reports, corrections=corrections, profiles=profiles, held=held, applied=applied)


def _keep(known: dict[str, Versioned[T]], sender: str, new: Versioned[T]) -> None:
    if sender not in known or new.version > known[sender].version:
        known[sender] = new


def _settle(one: Event, other: Event) -> Event:
    """Of two different events under one (source, id), which is against the contract, the same one whatever the order."""
    return max(one, other, key=lambda event: (event.time, event.model_dump_json()))


def _settle_report(known: Report | None, new: Report) -> Report:
    if known is None:
        return new
    event = known.event if known.event == new.event else _settle(known.event, new.event)
    return Report(event, min(known.accepted_ms, new.accepted_ms))


def _cause(inputs: Sequence[Input]) -> Cause | None:
    """The newest input record behind a batch."""
    causes = []
    for item in inputs:
        if isinstance(item.body, Message):
            if item.body.cause is not None:
                causes.append(item.body.cause)
            continue
        origin = item.origin
        causes.append(Cause(item.body.source, item.body.id, origin.topic, origin.partition, origin.offset, origin.timestamp_ms))
    return max(causes, key=lambda cause: (cause.accepted_ms, cause.topic, cause.partition, cause.offset), default=None)


def _reckon(vertex: Vertex, at: datetime, methodology: Methodology) -> tuple[Vertex, Facts, bool]:
    taken_back = retractions(vertex.corrections.values())
    standing = standings(vertex.reports.values(), taken_back, at, methodology.evidence)
    parties = {sender: known.value for sender, known in vertex.profiles.items() if known.value is not None}
    wanted = _parties(standing)
    facts = Facts(vertex.entity, at, standing, {p: parties[p] for p in sorted(wanted) if p in parties}, attributes_of(standing))
    labs, cut = exposures(facts, methodology)
    profile = _own_profile(facts, labs, vertex.held)
    if profile != vertex.profile.value:
        vertex = replace(vertex, version=vertex.version + 1, profile=Versioned(vertex.version + 1, profile))
    return replace(vertex, next_change=_next_change(vertex, standing, taken_back, at, methodology)), facts, cut


def _parties(standing: Sequence[Standing]) -> set[str]:
    reports = (report for s in standing for report in (s.confirmed, s.pending) if report is not None)
    return {party for report in reports for party in parties_of(report.data)}


def _own_profile(facts: Facts, labs: Mapping[str, LabExposure], held: Mapping[str, Versioned[Link]]) -> Profile:
    links = sorted((subject, known.value) for subject, known in held.items() if known.value is not None)
    exposed = dict(labs)
    if facts.lab is not None:
        exposed[facts.lab] = LabExposure(Exposure((1.0,), 0), affiliated_by=_affiliated_by(facts, links))
    affiliations = tuple(
        Affiliation(subject, tie.claim_id, tie.confirmed, tie.projected, link.controllers, link.projected_controllers)
        for subject, link in links
        for tie in link.ties
    )
    return Profile(facts.attributes.name, facts.lab, {lab: exposed[lab] for lab in sorted(exposed)} or None, affiliations)


def _affiliated_by(facts: Facts, links: Sequence[tuple[str, Link]]) -> tuple[str, ...]:
    """Labs that declare this entity's lab an affiliate: they tell the lab itself, and its members ask it."""
    if facts.lab == facts.entity:
        return tuple(subject for subject, link in links if link.affiliate)
    own_lab = facts.parties.get(facts.lab or "")
    exposure = (own_lab.labs or {}).get(facts.lab or "") if own_lab is not None else None
    return exposure.affiliated_by if exposure is not None else ()


def _tell_parties(vertex: Vertex, facts: Facts, cause: Cause | None, messages: list[Message], *, again: bool) -> Vertex:
    """Send each party named in a standing claim its link, and take back the links of those that are named no more."""
    owed = _owed_links(facts, vertex.profile.value or EMPTY_PROFILE)
    links = dict(vertex.links)
    version = vertex.version
    for party in sorted(owed.keys() | links.keys()):
        known, link = links.get(party), owed.get(party)
        if known is None or known.value != link:
            version += 1
            known = links[party] = Versioned(version, link)
        elif not again:
            continue
        kind: Literal["holds", "released"] = "released" if known.value is None else "holds"
        messages.append(Message(kind, vertex.entity, party, known.version, link=known.value, cause=cause))
    return vertex if version == vertex.version else replace(vertex, version=version, links=links)


def _owed_links(facts: Facts, profile: Profile) -> dict[str, Link]:
    """The link of each party: who controls this entity is told only to those that are executives here."""
    ties: dict[str, list[Tie]] = {}
    owed: dict[str, Link] = {}
    for standing in facts.standings:
        for report in (standing.confirmed, standing.pending):
            if report is not None:
                owed.update((party, Link()) for party in parties_of(report.data))
        held = [
            (claim.person, probability)
            for claim, probability in standing.weigh(PROJECTED.probability(standing))
            if isinstance(claim, Role) and claim.role_type is RoleType.EXECUTIVE
        ]
        for person in sorted({person for person, _ in held}):
            certain = isinstance(standing.active, Role) and standing.active.person == person
            projected = math.fsum(probability for holder, probability in held if holder == person)
            ties.setdefault(person, []).append(Tie(standing.claim_id, 1.0 if certain else 0.0, projected))
    for person, found in ties.items():
        owed[person] = Link(tuple(found), profile.controllers("confirmed"), profile.controllers("projected"))
    if facts.attributes.is_lab:
        for other in facts.attributes.affiliates:
            owed[other] = replace(owed.get(other, Link()), affiliate=True)
    owed.pop(facts.entity, None)
    return owed


def _tell_subjects(before: Vertex, after: Vertex, cause: Cause | None, messages: list[Message], *, again: bool) -> None:
    """Send the profile: to every subject if it changed, else to those that have just begun to ask."""
    known = after.profile
    if known.version == 0:
        return
    changed = again or known.version != before.profile.version
    for subject, link in sorted(after.held.items()):
        asks = link.value is not None and (changed or before.held.get(subject) != link)
        if asks:
            messages.append(Message("profile", after.entity, subject, known.version, profile=known.value, cause=cause))


def _publish(
    vertex: Vertex, facts: Facts, methodology: Methodology, cause: Cause | None, *, levels_cut: bool, again: bool
) -> tuple[Vertex, Assessment | None]:
    """The assessment, if the entity is a vendor and it says something new (or has to be said again)."""
    if not facts.attributes.is_vendor:
        return vertex, None
    known = vertex.assessment
    version = 0 if known is None else known.version
    found = assess(facts, methodology, levels_cut=levels_cut, version=version, cause=None if known is None else known.cause)
    if found == known:
        return vertex, known if again else None
    found = replace(found, version=version + 1, cause=cause)
    return replace(vertex, assessment=found), found


def _next_change(
    vertex: Vertex, standing: Sequence[Standing], taken_back: Retractions, at: datetime, methodology: Methodology
) -> datetime | None:
    times = list(boundaries(vertex.reports.values(), taken_back))
    for item in standing:
        lapse = watch_lapses(item, methodology)
        times += [] if lapse is None else [lapse]
        for report in (item.confirmed, item.pending):
            if report is not None and isinstance(report.data, Role) and report.is_end:
                times.append(cooling_ends(report.data.effective_time, methodology.governance.cooling_months))
    return min((time for time in times if time > at), default=None)


_VERTEX: Final = TypeAdapter(Vertex)


def vertex_to_bytes(vertex: Vertex) -> bytes:
    """The state as JSON, for the table and its changelog."""
    return _VERTEX.dump_json(vertex, exclude_defaults=True)


def vertex_from_bytes(value: bytes) -> Vertex:
    """The state from JSON. Raises pydantic.ValidationError if it is none."""
    return _VERTEX.validate_json(value)


__all__ = [
    "Input",
    "Message",
    "Origin",
    "Reaction",
    "Versioned",
    "Vertex",
    "message_from_bytes",
    "message_to_bytes",
    "react",
    "vertex_from_bytes",
    "vertex_to_bytes",
]
