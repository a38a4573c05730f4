"""All that a vertex knows when it reckons: its claims as they stand, what its parties say of themselves, what it is itself."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from neutrality.events.claims import Claim, Contract, Entity, Interest, InterestType, Revenue, Role
from neutrality.model.claims import Standing
from neutrality.model.methodology import Methodology
from neutrality.model.ownership import Allotted, allot, levels, stakes
from neutrality.model.profile import Exposure, LabExposure, Profile
from neutrality.model.views import CONFIRMED, VIEWS, View
from neutrality.model.votes import control_level


@dataclass(frozen=True, slots=True)
class Attributes:
    """What entity claims in force say of the entity; of each field the newest word counts."""

    name: str | None = None
    is_vendor: bool = False
    is_lab: bool = False
    group: str | None = None
    lab_claim: str | None = None
    affiliates: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    board_size: int | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What a vertex knows at time `at`."""

    entity: str
    at: datetime
    standings: tuple[Standing, ...]
    parties: Mapping[str, Profile]
    attributes: Attributes
    _held: dict[View, "Holdings"] = field(default_factory=dict, compare=False, repr=False)

    def holdings(self, view: View) -> "Holdings":
        """Who holds what, in one view; reckoned once."""
        if view not in self._held:
            self._held[view] = holdings(self.standings, view)
        return self._held[view]

    def distinct(self, view: View) -> View:
        """The view, or the confirmed one if nothing known here can make a difference between the two."""
        if view.name == "projected":
            differs = any(standing.pending is not None for standing in self.standings) or any(
                _foresees(profile) for profile in self.parties.values()
            )
        else:
            differs = any(exposure.low or exposure.high for exposure in self._exposures()) or self._has_ranges()
        return view if differs else CONFIRMED

    def _exposures(self) -> Iterator[LabExposure]:
        return (exposure for profile in self.parties.values() for exposure in (profile.labs or {}).values())

    def _has_ranges(self) -> bool:
        """Whether a party that a lab reaches holds a range or an unknown share: what others hold takes nothing from a known share."""
        reached = {party for party, profile in self.parties.items() if profile.labs}
        interests = (standing.active for standing in self.standings if isinstance(standing.active, Interest))
        return any(
            interest.interested_party in reached and (interest.share is None or interest.share.exact is None)
            for interest in interests
        )

    @property
    def lab(self) -> str | None:
        """The lab that this entity is, or to whose group it is declared to belong."""
        return self.attributes.group or (self.entity if self.attributes.is_lab else None)

    def labs(self) -> tuple[str, ...]:
        """Every lab that reaches this entity through a party, in order of id."""
        return tuple(sorted({lab for profile in self.parties.values() for lab in profile.labs or {}}))

    def name_of(self, entity: str) -> str:
        """An entity's name if it is known, else its id."""
        known = self.attributes.name if entity == self.entity else None
        if known is None and entity in self.parties:
            known = self.parties[entity].name
        return known or entity


def attributes_of(standings: Iterable[Standing]) -> Attributes:
    """The entity's attributes; of two claims that set the same field the one that took effect last counts."""
    values: dict[str, Any] = {}
    ordered = sorted(
        (s for s in standings if s.confirmed is not None and isinstance(s.active, Entity)),
        key=lambda s: s.confirmed.by_effect if s.confirmed is not None else (),
    )
    for standing in ordered:
        claim = standing.active
        for name in ("name", "is_vendor", "is_lab", "group", "affiliates", "categories", "board_size"):
            value = getattr(claim, name)
            if value is not None:
                values[name] = value
                if name in ("group", "is_lab"):
                    values["lab_claim"] = standing.claim_id
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


@dataclass(frozen=True, slots=True)
class Holdings:
    """Equity, votes and rights of appointment in a subject, in one view."""

    equity: tuple[Allotted, ...]
    votes: tuple[Allotted, ...]
    appointers: tuple[tuple[str, str], ...]
    over_one: bool


def holdings(standings: tuple[Standing, ...], view: View) -> Holdings:
    """Who holds what, in one view. Votes of unknown size stay in the ocean, so they are left out here."""
    equity, equity_over = allot(stakes(standings, InterestType.SHAREHOLDING, view), view.bound)
    known_votes = [stake for stake in stakes(standings, InterestType.VOTING_RIGHTS, view) if stake.most is not None]
    votes, votes_over = allot(known_votes, view.bound)
    # a right is held or not: a pending one counts where it is likelier than not
    appointers = tuple(
        (stake.claim_id, stake.party)
        for stake in stakes(standings, InterestType.APPOINTMENT_OF_BOARD, view)
        if stake.probability > 0.5
    )
    return Holdings(equity, votes, appointers, equity_over or votes_over)


def exposures(facts: Facts, methodology: Methodology) -> tuple[dict[str, LabExposure], bool]:
    """How each lab reaches this entity, and whether a level was cut off. A lab's own profile about itself is e_0 = 1, level 0."""
    views = {view.name: facts.distinct(view) for view in VIEWS}
    held = {name: facts.holdings(view) for name, view in views.items()}
    cut = False
    found: dict[str, LabExposure] = {}
    for lab in facts.labs():
        if lab == facts.lab:
            continue
        by_view: dict[str, Exposure] = {}
        for view in VIEWS:
            if view is not CONFIRMED and views[view.name] is CONFIRMED:
                by_view[view.name] = by_view["confirmed"]
                continue
            part = held[view.name]
            by_level, truncated = levels(lab, part.equity, facts.parties, view, methodology.limits)
            appointers = [party for _, party in part.appointers]
            control = control_level(lab, part.votes, appointers, facts.parties, view, methodology.limits)
            by_view[view.name] = Exposure(by_level, control)
            cut = cut or truncated
        if any(exposure != Exposure() for exposure in by_view.values()):
            confirmed = by_view["confirmed"]
            other = {name: None if exposure == confirmed else exposure for name, exposure in by_view.items()}
            found[lab] = LabExposure(
                confirmed, other["projected"], other["low"], other["high"], _affiliated_by(lab, facts.parties)
            )
    return found, cut


def _affiliated_by(lab: str, parties: Mapping[str, Profile]) -> tuple[str, ...]:
    """Labs to which `lab` is no rival, as told by the party nearest to it: distance falls towards the lab, so no echo can live on."""
    near = [
        (distance, party, profile.labs[lab].affiliated_by)
        for party, profile in parties.items()
        if profile.labs and lab in profile.labs and (distance := _distance(profile.labs[lab])) is not None
    ]
    return min(near)[2] if near else ()


def _foresees(profile: Profile) -> bool:
    """Whether a party looks different in the projected view."""
    return any(exposure.projected is not None for exposure in (profile.labs or {}).values()) or any(
        tie.projected != tie.confirmed or tie.projected_controllers != tie.controllers for tie in profile.affiliations
    )


def _distance(exposure: LabExposure) -> int | None:
    steps = []
    for view in (exposure.of("confirmed"), exposure.of("projected")):
        steps += [level for level, term in enumerate(view.levels) if term > 0.0][:1]
        steps += [] if view.control is None else [view.control]
    return min(steps, default=None)
