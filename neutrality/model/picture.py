"""The picture that an entity's own claims give at a time: all that follows from them alone, whatever its parties say of themselves.

Worked out once and kept until a claim is touched or a boundary passes, because most of what a vertex receives is news of its parties.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from neutrality.events.assessment import ClaimNote
from neutrality.events.structs import Claim, Contract, Entity, Interest, InterestType, Revenue, Role, RoleType
from neutrality.model.claims import Report, Standing, boundaries
from neutrality.model.futures import Future, futures
from neutrality.model.governance import cooling_ends
from neutrality.model.methodology import Methodology
from neutrality.model.ownership import Allotted, allot, stakes
from neutrality.model.profile import Link, Tie
from neutrality.model.revenue import Spending, spendings
from neutrality.model.views import CONFIRMED, PROJECTED, View


class Note(Struct, frozen=True, gc=False):
    """A claim's note and its JSON, with what it was made of: the standing, and the entities named in it with their names."""

    standing: Standing
    named: tuple[str, ...]
    names: list[str]
    note: ClaimNote
    json: bytes


class Attributes(Struct, frozen=True, gc=False):
    """What entity claims in force say of the entity; of each field the newest word counts."""

    name: str | None = None
    is_vendor: bool = False
    is_lab: bool = False
    group: str | None = None
    lab_claim: str | None = None
    affiliates: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    board_size: int | None = None


class Holdings(Struct, frozen=True, gc=False):
    """Equity in a subject in one view, and what may become of the votes; `votes` and `appointers` are what is expected, by claim and party."""

    equity: tuple[Allotted, ...]
    votes: tuple[Allotted, ...]
    appointers: tuple[Allotted, ...]
    futures: tuple[Future, ...]
    over_one: bool


class Picture:
    """Standings of all claims of one entity, in order of claim id, and what follows from them; immutable but for what it remembers."""

    __slots__ = (
        "_coverage",
        "_held_by",
        "_holdings",
        "_spendings",
        "attributes",
        "entity",
        "interests",
        "links",
        "notes",
        "parties",
        "pending",
        "revenues",
        "roles",
        "standings",
        "times",
        "vague",
        "vague_votes",
        "watched",
    )

    def __init__(
        self,
        entity: str,
        standings: tuple[Standing, ...],
        at: datetime,
        methodology: Methodology,
        reports: Iterable[Report] = (),
        notes: dict[str, Note] | None = None,
    ) -> None:
        """The picture at time `at`. `reports` are those not taken back: they say when a standing may change; `notes` are of the picture before."""
        self.entity: Final = entity
        self.standings: Final = standings
        self.attributes: Final = attributes_of(standings)
        of: dict[type[Claim], list[Standing]] = {Interest: [], Role: [], Revenue: [], Entity: []}
        of[Contract] = of[Revenue]
        for standing in standings:
            of[type(standing.newest.data)].append(standing)
        self.interests: Final = tuple(of[Interest])
        self.roles: Final = tuple(of[Role])
        self.revenues: Final = tuple(of[Revenue])
        self.pending: Final = tuple([s for s in standings if s.pending is not None])
        self.parties: Final = tuple(sorted(_parties(standings)))
        vague = _vague(self.interests)
        self.vague: Final = frozenset(claim.interested_party for claim in vague)
        self.vague_votes: Final = any(claim.interest_type is InterestType.VOTING_RIGHTS for claim in vague)
        self.links: Final = _links(self)
        lapses = {
            standing.claim_id: _watch_lapses(standing.pending, methodology) for standing in self.pending if standing.pending
        }
        self.watched: Final = frozenset(claim_id for claim_id, lapse in lapses.items() if lapse > at)
        times = (*boundaries(reports), *_cooling(self.roles, methodology), *lapses.values())
        self.times: Final = sorted({time for time in times if time > at})
        self.notes: Final[dict[str, Note]] = {} if notes is None else notes
        self._holdings: dict[View, Holdings] = {}
        self._held_by: dict[str, float] | None = None
        self._coverage: dict[str, bool] | None = None
        self._spendings: dict[View, tuple[Spending, ...]] = {}

    def holdings(self, view: View) -> Holdings:
        """Who holds what, in one view."""
        found = self._holdings.get(view)
        if found is None:
            found = self._holdings[view] = holdings(self.interests, view)
        return found

    def spendings(self, view: View, methodology: Methodology) -> tuple[Spending, ...]:
        """Each customer's part of the revenue, in one view."""
        found = self._spendings.get(view)
        if found is None:
            found = self._spendings[view] = spendings(self.revenues, view, methodology.plans) if self.revenues else ()
        return found

    @property
    def held_by(self) -> Mapping[str, float]:
        """What each party holds: of the equity, else of the votes."""
        if self._held_by is None:
            held = self.holdings(CONFIRMED)
            self._held_by = by_party(held.votes) | by_party(held.equity)
        return self._held_by

    @property
    def lab(self) -> str | None:
        """The lab that this entity is, or to whose group it is declared to belong."""
        return self.attributes.group or (self.entity if self.attributes.is_lab else None)

    def coverage(self, methodology: Methodology) -> dict[str, bool]:
        """Which channels have any claim."""
        if self._coverage is None:
            known = [standing.active for standing in self.interests if standing.active is not None]
            interests = {claim.interest_type for claim in known if isinstance(claim, Interest)}
            self._coverage = {
                "ownership": InterestType.SHAREHOLDING in interests or self.lab is not None,
                "votes": bool(interests & {InterestType.VOTING_RIGHTS, InterestType.APPOINTMENT_OF_BOARD}),
                "governance": any(isinstance(standing.active, Role) for standing in self.roles),
                "revenue": bool(self.spendings(CONFIRMED, methodology)),
            }
        return self._coverage

    def flags(self) -> tuple[str, ...]:
        """What a reader of the scores should know about the claims."""
        active = [standing.active for standing in self.interests]
        unknown = any(
            isinstance(claim, Interest) and claim.share is None and claim.interest_type is InterestType.SHAREHOLDING
            for claim in active
        )
        found = (("shares_over_one", self.holdings(CONFIRMED).over_one), ("unknown_shares", unknown))
        return tuple(name for name, holds in found if holds)

    def next_time(self, at: datetime) -> datetime | None:
        """The first time after `at` at which a standing or a tie may change without an event."""
        index = bisect_right(self.times, at)
        return self.times[index] if index < len(self.times) else None


def _watch_lapses(pending: Report, methodology: Methodology) -> datetime:
    """When the watch that a pending report may have raised lapses unless it is reaffirmed: counted from when we learnt of it."""
    return datetime.fromtimestamp(pending.accepted_ms / 1000.0, tz=UTC) + timedelta(days=methodology.outlook.watch_days)


def attributes_of(standings: Iterable[Standing]) -> Attributes:
    """The entity's attributes; of two claims that set the same field the one that took effect last counts."""
    told = [(s.confirmed.by_effect, s.claim_id, s.active) for s in standings if s.confirmed and isinstance(s.active, Entity)]
    values: dict[str, Any] = {}
    for _, claim_id, claim in sorted(told, key=lambda row: row[0]):
        for name in ("name", "is_vendor", "is_lab", "group", "affiliates", "categories", "board_size"):
            value = getattr(claim, name)
            if value is not None:
                values[name] = value
                if name in ("group", "is_lab"):
                    values["lab_claim"] = claim_id
    return Attributes(**values)


def parties_of(claim: Claim) -> tuple[str, ...]:
    """The entities whose profile a claim needs."""
    if isinstance(claim, Interest):
        return (claim.interested_party,)
    if isinstance(claim, Role):
        return tuple(party for party in (claim.person, claim.represents, claim.left_for) if party is not None)
    if isinstance(claim, Contract):
        return (claim.customer,)
    if isinstance(claim, Revenue):
        return () if claim.customer is None else (claim.customer,)
    return (*(claim.affiliates or ()), *([claim.group] if claim.group is not None else []))


def holdings(interests: Iterable[Standing], view: View) -> Holdings:
    """Who holds what, in one view."""
    interests = list(interests)
    equity, equity_over = allot(stakes(interests, view.probability).get(InterestType.SHAREHOLDING, ()), view.bound)
    found, votes_over = futures(interests, view)
    if len(found) == 1:  # it is certain: each claim tells of one share
        certain = found[0]
        rights = tuple([Allotted(claim, party, 1.0) for claim, party in certain.appointers])
        return Holdings(equity, certain.votes, rights, found, equity_over or votes_over)
    votes = _expected((future.probability, block) for future in found for block in future.votes)
    appointers = _expected((f.probability, Allotted(claim, party, 1.0)) for f in found for claim, party in f.appointers)
    return Holdings(equity, votes, appointers, found, equity_over or votes_over)


def _expected(told: Iterable[tuple[float, Allotted]]) -> tuple[Allotted, ...]:
    """The expected share by party and claim, in that order."""
    found: dict[tuple[str, str], list[float]] = {}
    for probability, held in told:
        found.setdefault((held.party, held.claim_id), []).append(probability * held.share)
    return tuple([Allotted(claim, party, math.fsum(shares)) for (party, claim), shares in sorted(found.items())])


def by_party(held: Iterable[Allotted]) -> dict[str, float]:
    """What each party holds in all."""
    found: dict[str, list[float]] = {}
    for holding in held:
        found.setdefault(holding.party, []).append(holding.share)
    return {party: math.fsum(shares) for party, shares in found.items()}


def _parties(standings: Iterable[Standing]) -> set[str]:
    found: set[str] = set()
    for standing in standings:
        if standing.confirmed is not None:
            found.update(parties_of(standing.confirmed.data))
        if standing.pending is not None:
            found.update(parties_of(standing.pending.data))
    return found


def _vague(interests: Iterable[Standing]) -> list[Interest]:
    """Interests in force whose share is a range or unknown."""
    active = [standing.active for standing in interests]
    return [claim for claim in active if isinstance(claim, Interest) and (claim.share is None or claim.share.exact is None)]


def _links(picture: Picture) -> Mapping[str, Link]:
    """The link of each party, without the labs that control this entity (see `react`)."""
    owed = dict.fromkeys(picture.parties, Link())
    ties: dict[str, list[Tie]] = {}
    for standing in picture.roles:
        executives = [
            (claim.person, probability)
            for claim, probability in standing.weigh(PROJECTED.probability(standing))
            if isinstance(claim, Role) and claim.role_type is RoleType.EXECUTIVE
        ]
        for person in sorted({person for person, _ in executives}):
            now = standing.active
            certain = isinstance(now, Role) and now.role_type is RoleType.EXECUTIVE and now.person == person
            projected = sum(probability for holder, probability in executives if holder == person)
            ties.setdefault(person, []).append(Tie(standing.claim_id, 1.0 if certain else 0.0, projected))
    for person, found in ties.items():
        owed[person] = Link(tuple(found))
    if picture.attributes.is_lab:
        for other in picture.attributes.affiliates:
            owed[other] = Link(owed.get(other, Link()).ties, affiliate=True)
    owed.pop(picture.entity, None)
    return owed


def _cooling(roles: Iterable[Standing], methodology: Methodology) -> set[datetime]:
    """When the cooling periods of those who left end."""
    left = [report for s in roles for report in (s.confirmed, s.pending) if report is not None and report.is_end]
    return {cooling_ends(report.data.effective_time, methodology.governance.cooling_months) for report in left}
