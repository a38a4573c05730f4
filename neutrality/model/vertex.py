"""`react`: the model as a vertex-centric computation (Malewicz et al., Pregel, 2010). Pure, and the only place where state changes.

Each entity is a vertex. It keeps the reports about itself, the newest profile of each party named in them, and the links of the subjects
in which it holds something. Reacting to inputs is one function of (vertex, inputs, time):

1. take the inputs in; each is kept by a rule that knows neither order nor repeats (events by id, messages by version);
2. reckon: standings of the claims, the own profile, the links owed to parties, the assessment;
3. say what changed: `holds` or `released` to parties, the `profile` to all subjects, the assessment if the entity is a vendor.

An input that was applied before (offset not above `applied` of its topic) is a repeat after a crash: what stands is said again, under the
same versions, because it may have been lost. A repeat on its way is recognised by its version and changes nothing, so no echo can go round.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Final, Generic, NamedTuple, TypeVar

from msgspec import Raw, Struct, field, structs
from msgspec.json import Encoder

from neutrality.events.assessment import Assessment, Cause, Earlier, content_to_bytes, note_to_bytes, under_version
from neutrality.events.structs import AnyEvent
from neutrality.model.assessment import assess, notes_of
from neutrality.model.claims import Report
from neutrality.model.dossier import Dossier
from neutrality.model.facts import Facts, exposures
from neutrality.model.messages import Message, message_from_bytes, message_to_bytes
from neutrality.model.methodology import Methodology
from neutrality.model.picture import Picture
from neutrality.model.profile import EMPTY_PROFILE, Affiliation, Exposure, LabExposure, Link, Profile

T = TypeVar("T")
_encode: Final = Encoder().encode


class Origin(Struct, frozen=True, gc=False):
    """Where an input record lies, and when Kafka took it (ms since 1970)."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Input(Struct, frozen=True, gc=False):
    """One record for one entity."""

    origin: Origin
    body: AnyEvent | Message


class Versioned(Struct, Generic[T], frozen=True, gc=False, omit_defaults=True):
    """A value under a version; None: it was taken back."""

    version: int
    value: T | None = None


NO_PROFILE: Final = Versioned(0, EMPTY_PROFILE)


class Published(Struct, frozen=True, dict=True):
    """What was last said of a vendor: the scores under their version, what stood before, and the event behind the change.

    The digest of the content's JSON tells after a restart whether the same was said before. Its own JSON is made once.
    """

    scores: Earlier
    digest: str
    cause: Cause | None = None
    before: Earlier | None = None

    @cached_property
    def json(self) -> Raw:
        """All of it as JSON."""
        return Raw(_encode(self))

    def complete(self, content: Assessment) -> Assessment:
        """The assessment, from its content."""
        return replace(content, version=self.scores.version, cause=self.cause, before=self.before)


class PutOff(NamedTuple):
    """What is to be put off, and to when at the latest: all that follows from what is taken in, or only the assessment."""

    until: datetime
    reckoning: bool


class Owed(Struct, frozen=True, gc=False, omit_defaults=True):
    """What was put off, and to when: the `reckoning` of what was taken in, or only the assessment.

    `asking` are the subjects that have asked for the profile since; `cause` is the newest input record behind it.
    """

    until: datetime
    reckoning: bool = False
    asking: tuple[str, ...] = ()
    cause: Cause | None = None


class Reckoned(Struct, frozen=True, gc=False):
    """What follows from a vertex, kept beside it so that news of one thing does not cost the reckoning of all."""

    picture: Picture
    labs: Mapping[str, LabExposure]
    levels_cut: bool
    tied: Mapping[str, Link]
    owed: Mapping[str, Link]


class Vertex(Struct, frozen=True, gc=False, eq=False):
    """The state of one entity. `applied` is the highest offset taken in, by topic (an entity's records share a partition).

    `next_change` is when it wants to be asked again without news; `owed` what was put off, if anything was. `unsaid`:
    what this state led to may not have been said, so the next reaction says it again.

    `reckoned` and `content` (the assessment without version and cause) follow from the rest; None: not worked out since it was read.
    """

    entity: str
    version: int = 0
    dossier: Dossier = field(default_factory=Dossier)
    profiles: Mapping[str, Versioned[Profile]] = {}
    held: Mapping[str, Versioned[Link]] = {}
    links: Mapping[str, Versioned[Link]] = {}
    profile: Versioned[Profile] = NO_PROFILE
    published: Published | None = None
    next_change: datetime | None = None
    owed: Owed | None = None
    unsaid: bool = False
    applied: Mapping[str, int] = {}
    reckoned: Reckoned | None = None
    content: Assessment | None = None

    def __eq__(self, other: object) -> bool:
        """The same state; what follows from it may not have been worked out yet."""
        return isinstance(other, Vertex) and _without_results(self) == _without_results(other)

    def __hash__(self) -> int:
        """By entity and version."""
        return hash((self.entity, self.version))

    @property
    def reports(self) -> Mapping[str, Report]:
        """All reports of claims, by source and id."""
        return self.dossier.reports


def _without_results(vertex: Vertex) -> tuple[object, ...]:
    return structs.astuple(vertex)[:-2]


class Said(Struct, frozen=True, gc=False):
    """An assessment to publish, and its JSON."""

    assessment: Assessment
    json: bytes


class Reaction(Struct, frozen=True, gc=False):
    """What came of it: the new state, messages to other vertices, and an assessment to publish, if any.

    `changed` is False if the new state need not be kept: nothing was new but the offsets of what was known already.
    """

    vertex: Vertex
    messages: tuple[Message, ...]
    said: Said | None
    changed: bool

    @property
    def assessment(self) -> Assessment | None:
        """The assessment to publish, if any."""
        return None if self.said is None else self.said.assessment


def react(
    vertex: Vertex | None,
    entity: str,
    inputs: Sequence[Input],
    *,
    at: datetime,
    methodology: Methodology,
    put_off: PutOff | None = None,
) -> Reaction:
    """Take in all inputs of one entity at time `at`; no inputs: a tick, which only lets time pass.

    Idempotent, and independent of the order of inputs of different origin. `put_off` is for backlog, where more news is on its way: what it
    names is owed until a reaction without it (a tick), and `next_change` is not later than its time. Raises ValueError for an input of
    another entity.
    """
    before = vertex or Vertex(entity)
    news = _take_in(before, inputs)
    if news.again or (before.owed is not None and before.owed.until <= at):
        put_off = None
    if put_off is not None and put_off.reckoning:
        return Reaction(_taken_in(before, news, put_off.until) if news.anything else before, (), None, changed=news.anything)
    known = before.reckoned
    picture = news.dossier.picture(entity, at, methodology)
    if known is not None and not news.again and not news.anything and picture is known.picture and not _due(before, inputs, at):
        return Reaction(before, (), None, changed=False)
    return _Reckoning(before, news, picture, at, methodology, put_off).reaction()


def _due(vertex: Vertex, inputs: Sequence[Input], at: datetime) -> bool:
    asked = not inputs and vertex.owed is not None  # a tick may come before its time, when the backlog is gone
    return asked or (vertex.next_change is not None and vertex.next_change <= at)


def _taken_in(before: Vertex, news: "_News", until: datetime) -> Vertex:
    """The vertex with its news, of which nothing is reckoned yet."""
    owed = before.owed or Owed(until)
    asking = tuple(sorted({*owed.asking, *news.held})) if news.held else owed.asking
    return Vertex(
        entity=before.entity,
        version=before.version,
        dossier=news.dossier,
        profiles={**before.profiles, **news.profiles} if news.profiles else before.profiles,
        held={**before.held, **news.held} if news.held else before.held,
        links=before.links,
        profile=before.profile,
        published=before.published,
        next_change=owed.until if before.next_change is None else min(owed.until, before.next_change),
        owed=Owed(owed.until, reckoning=True, asking=asking, cause=_newer(owed.cause, news.cause)),
        applied=news.applied,
        content=before.content,
    )


class _News(Struct, gc=False):
    """The inputs, sorted into what the vertex keeps; `profiles` and `held` hold only what is new."""

    dossier: Dossier
    profiles: dict[str, Versioned[Profile]]
    held: dict[str, Versioned[Link]]
    applied: Mapping[str, int]
    cause: Cause | None
    again: bool
    anything: bool


def _take_in(vertex: Vertex, inputs: Sequence[Input]) -> _News:
    events: list[tuple[AnyEvent, int]] = []
    profiles: dict[str, Versioned[Profile]] = {}
    held: dict[str, Versioned[Link]] = {}
    before = vertex.applied
    applied = dict(before)
    again = vertex.unsaid
    for item in inputs:
        origin, body = item.origin, item.body
        topic, offset = origin.topic, origin.offset
        if offset <= before.get(topic, -1):
            again = True
        elif offset > applied.get(topic, -1):
            applied[topic] = offset
        if isinstance(body, Message):
            if body.receiver != vertex.entity:
                raise ValueError(f"a message for {body.receiver!r} was given to {vertex.entity!r}")
            if body.kind == "profile":
                _keep(vertex.profiles, profiles, body.sender, body.version, body.profile)
            elif body.kind == "repeat":
                again = True
            else:
                _keep(vertex.held, held, body.sender, body.version, body.link)
            continue
        if body.data.subject != vertex.entity:
            raise ValueError(f"an event about {body.data.subject!r} was given to {vertex.entity!r}")
        events.append((body, origin.timestamp_ms))
    dossier = vertex.dossier.add(events) if events else vertex.dossier
    anything = bool(profiles or held) or dossier is not vertex.dossier
    return _News(dossier, profiles, held, applied, _cause(inputs), again, anything)


def _keep(known: Mapping[str, Versioned[T]], new: dict[str, Versioned[T]], sender: str, version: int, told: T | None) -> None:
    last = new.get(sender) or known.get(sender)
    if last is None or version > last.version:
        new[sender] = Versioned(version, told)


def _cause(inputs: Sequence[Input]) -> Cause | None:
    """The newest input record behind a batch."""
    newest_ms, found = -1, None
    for item in inputs:
        body = item.body
        if isinstance(body, Message):
            if body.cause is None:
                continue
            at_ms = body.cause.accepted_ms
        else:
            at_ms = item.origin.timestamp_ms
        if found is None or at_ms > newest_ms or (at_ms == newest_ms and _place(item) > _place(found)):
            newest_ms, found = at_ms, item
    if found is None:
        return None
    body, origin = found.body, found.origin
    if isinstance(body, Message):
        return body.cause
    return Cause(body.source, body.id, origin.topic, origin.partition, origin.offset, origin.timestamp_ms, body.traceparent)


def _place(item: Input) -> tuple[str, int, int]:
    """Where the input record lies that is behind an input."""
    body = item.body
    place = body.cause if isinstance(body, Message) and body.cause is not None else item.origin
    return place.topic, place.partition, place.offset


def _newer(one: Cause | None, other: Cause | None) -> Cause | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other, key=lambda cause: (cause.accepted_ms, cause.topic, cause.partition, cause.offset))


class _Reckoning:
    """One reaction in the making."""

    def __init__(
        self,
        before: Vertex,
        news: _News,
        picture: Picture,
        at: datetime,
        methodology: Methodology,
        put_off: PutOff | None,
    ) -> None:
        self._before, self._news, self._at, self._methodology = before, news, at, methodology
        self._put_off = put_off
        self._owed = before.owed
        self._cause = news.cause if before.owed is None else _newer(before.owed.cause, news.cause)
        self._version = before.version
        self._messages: list[Message] = []
        self._profiles = {**before.profiles, **news.profiles} if news.profiles else before.profiles
        self._held = {**before.held, **news.held} if news.held else before.held
        parties = {
            party: known.value
            for party in picture.parties
            if (known := self._profiles.get(party)) is not None and known.value is not None
        }
        self._facts = Facts(before.entity, at, picture, parties)
        same = before.reckoned is not None and before.reckoned.picture is picture
        self._same_facts = before.reckoned if same and not any(party in parties for party in news.profiles) else None

    def reaction(self) -> Reaction:
        """All of it, in order: profile, links, messages, assessment."""
        before, news, facts = self._before, self._news, self._facts
        same, known = self._same_facts, before.reckoned
        labs, cut = (same.labs, same.levels_cut) if same is not None else exposures(facts, self._methodology)
        tied = known.tied if known is not None and not news.held else _tied(self._held)
        profile = self._profile(_own_profile(facts, labs, tied))
        owed = facts.picture.links if not facts.picture.roles else _with_controllers(facts.picture.links, profile.value)
        links = self._tell_parties(owed)
        self._tell_subjects(profile)
        published, content, said = self._publish(labs, levels_cut=cut)
        vertex = Vertex(
            entity=before.entity,
            version=self._version,
            dossier=news.dossier,
            profiles=self._profiles,
            held=self._held,
            links=links,
            profile=profile,
            published=published,
            next_change=self._next_change(),
            owed=self._owed,
            applied=news.applied,
            reckoned=Reckoned(facts.picture, labs, cut, tied, owed),
            content=content,
        )
        changed = news.anything or news.again or self._version != before.version or said is not None
        changed = changed or vertex.next_change != before.next_change or vertex.owed != before.owed
        return Reaction(vertex, tuple(self._messages), said, changed)

    def _profile(self, found: Profile) -> Versioned[Profile]:
        if found == self._before.profile.value:
            return self._before.profile
        self._version += 1
        return Versioned(self._version, found)

    def _tell_parties(self, owed: Mapping[str, Link]) -> Mapping[str, Versioned[Link]]:
        """Send each party named in a standing claim its link, and take back the links of those that are named no more."""
        before, news = self._before, self._news
        if before.reckoned is not None and owed is before.reckoned.owed and not news.again:
            return before.links
        changed: dict[str, Versioned[Link]] = {}
        for party in sorted(owed.keys() | before.links.keys()):
            known, link = before.links.get(party), owed.get(party)
            if known is None or known.value != link:
                self._version += 1
                known = changed[party] = Versioned(self._version, link)
            elif not news.again:
                continue
            if known.value is None:
                self._messages.append(Message("released", before.entity, party, known.version, cause=self._cause))
            else:
                self._messages.append(Message("holds", before.entity, party, known.version, link=known.value, cause=self._cause))
        return {**before.links, **changed} if changed else before.links

    def _tell_subjects(self, profile: Versioned[Profile]) -> None:
        """Send the profile: to every subject if it changed, else to those that have just begun to ask."""
        if profile.version == 0:
            return
        before, news = self._before, self._news
        everyone = news.again or profile.version != before.profile.version
        asking = news.held if before.owed is None else {*before.owed.asking, *news.held}
        for subject in sorted(self._held if everyone else asking):
            if self._held[subject].value is not None:
                self._messages.append(
                    Message("profile", before.entity, subject, profile.version, profile=profile.value, cause=self._cause)
                )

    def _publish(
        self, labs: Mapping[str, LabExposure], *, levels_cut: bool
    ) -> tuple[Published | None, Assessment | None, Said | None]:
        """What stands, its content, and what has to be said of it: it is new, or may have been lost."""
        before, news, facts = self._before, self._news, self._facts
        known = before.published
        if not facts.attributes.is_vendor:
            self._owed = None
            # what stands may be lost, and is no longer said again: the same content must not pass for said when it is a vendor again
            return None if known is None else structs.replace(known, digest=""), None, None
        due = before.next_change is not None and before.next_change <= self._at
        if self._same_facts is not None and before.content is not None and not news.again and not due:
            return known, before.content, None
        if self._put_off is not None:
            self._owed = Owed(self._put_off.until if before.owed is None else before.owed.until, cause=self._cause)
            return known, None, None
        self._owed = None
        content = assess(facts, self._methodology, labs, levels_cut=levels_cut)
        if known is not None and content == before.content and not news.again:
            return known, before.content, None
        json = content_to_bytes(content, [note for _, note in notes_of(facts)])
        digest = _digest(json)
        said = known if known is not None and digest == known.digest else None
        if said is not None and not news.again:
            return said, content, None
        if said is None:
            version, before_scores = (1, None) if known is None else (known.scores.version + 1, known.scores)
            said = Published(content.as_earlier(version), digest, self._cause, before_scores)
        assessment = said.complete(content)
        return said, content, Said(assessment, under_version(json, assessment.version, said.cause, said.before))

    def _next_change(self) -> datetime | None:
        at, owed = self._at, self._owed
        time = self._facts.picture.next_time(at)
        if owed is None or owed.until <= at:
            return time
        return owed.until if time is None else min(owed.until, time)


def known_of_old(said: Assessment) -> Vertex:
    """A vendor of which only is known what was last said of it: the first that is said now comes after it, and says if nothing is new."""
    json = content_to_bytes(said, map(note_to_bytes, said.claims))
    published = Published(said.as_earlier(said.version), _digest(json), said.cause, said.before)
    return Vertex(said.vendor, published=published)


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _tied(held: Mapping[str, Versioned[Link]]) -> dict[str, Link]:
    """The links that say more than that something is held, in order of subject."""
    links = ((subject, held[subject].value) for subject in sorted(held))
    return {subject: link for subject, link in links if link is not None and (link.ties or link.affiliate)}


def _own_profile(facts: Facts, labs: Mapping[str, LabExposure], tied: Mapping[str, Link]) -> Profile:
    exposed = dict(labs)
    if facts.lab is not None:
        exposed[facts.lab] = LabExposure(Exposure((1.0,), 0), affiliated_by=_affiliated_by(facts, tied))
        exposed = {lab: exposed[lab] for lab in sorted(exposed)}
    affiliations = tuple(
        Affiliation(
            subject, tie.claim_id, tie.confirmed, tie.projected, link.controllers, link.projected_controllers, link.affiliated_by
        )
        for subject, link in tied.items()
        for tie in link.ties
    )
    return Profile(facts.attributes.name, facts.lab, exposed or None, affiliations)


def _affiliated_by(facts: Facts, tied: Mapping[str, Link]) -> tuple[str, ...]:
    """Labs that declare this entity's lab an affiliate: they tell the lab itself, and its members ask it."""
    if facts.lab == facts.entity:
        return tuple(subject for subject, link in tied.items() if link.affiliate)
    own_lab = facts.parties.get(facts.lab or "")
    exposure = (own_lab.labs or {}).get(facts.lab or "") if own_lab is not None else None
    return exposure.affiliated_by if exposure is not None else ()


def _with_controllers(links: Mapping[str, Link], profile: Profile | None) -> Mapping[str, Link]:
    """Who controls an entity is told only to those that are executives here."""
    if profile is None or not any(link.ties for link in links.values()):
        return links
    now, projected = profile.controllers("confirmed"), profile.controllers("projected")
    if not now and not projected:
        return links
    declared = {lab: found.affiliated_by for lab, found in (profile.labs or {}).items() if found.affiliated_by}
    return {
        party: Link(link.ties, now, projected, link.affiliate, declared) if link.ties else link for party, link in links.items()
    }


__all__ = [
    "Input",
    "Message",
    "Origin",
    "Owed",
    "Published",
    "PutOff",
    "Reaction",
    "Reckoned",
    "Said",
    "Versioned",
    "Vertex",
    "known_of_old",
    "message_from_bytes",
    "message_to_bytes",
    "react",
]
