"""All that a vertex knows when it reckons: the picture its own claims give, and what its parties say of themselves."""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime

from msgspec import Struct

from neutrality.model.claims import Standing
from neutrality.model.methodology import Methodology
from neutrality.model.ownership import levels
from neutrality.model.picture import Attributes, Holdings, Picture
from neutrality.model.profile import NO_EXPOSURE, Exposure, Hop, LabExposure, Profile
from neutrality.model.views import CONFIRMED, FORESEEN, HIGH, LOW, PROJECTED, View
from neutrality.model.votes import control_level


class Facts(Struct, frozen=True, gc=False):
    """What a vertex knows at time `at`; `parties` are those named in a standing claim that have told their profile, in order of id."""

    entity: str
    at: datetime
    picture: Picture
    parties: Mapping[str, Profile]

    @property
    def standings(self) -> tuple[Standing, ...]:
        """All claims, as they stand."""
        return self.picture.standings

    @property
    def attributes(self) -> Attributes:
        """What the entity is."""
        return self.picture.attributes

    def holdings(self, view: View) -> Holdings:
        """Who holds what, in one view."""
        return self.picture.holdings(view)

    def distinct(self, view: View) -> View:
        """The view, or the confirmed one if nothing known here can make a difference between the two."""
        if view is CONFIRMED:
            return view
        if view.name == "projected":
            differs = bool(self.picture.pending) or any(_foresees(profile) for profile in self.parties.values())
        else:
            differs = self._has_ranges() or any(exposure.low or exposure.high for exposure in self._exposures())
        return view if differs else CONFIRMED

    def distinct_views(self) -> dict[View, View]:
        """For each of the four views the one that has to be reckoned for it."""
        ranges = self.distinct(LOW) is LOW
        low, high = (LOW, HIGH) if ranges else (CONFIRMED, CONFIRMED)
        return {CONFIRMED: CONFIRMED, PROJECTED: self.distinct(PROJECTED), LOW: low, HIGH: high}

    def foreseen(self) -> View | None:
        """The view of what those that this entity holds are to look out for; None if nothing here or further up may raise a watch."""
        if self.picture.watched:
            return View(FORESEEN.name, certain=self.picture.watched)
        return FORESEEN if self.has_foresight() else None

    def has_foresight(self) -> bool:
        """Whether a pending claim further up may raise a watch."""
        return any(exposure.foreseen is not None for exposure in self._exposures())

    def _exposures(self) -> Iterator[LabExposure]:
        return (exposure for profile in self.parties.values() if profile.labs for exposure in profile.labs.values())

    def _has_ranges(self) -> bool:
        """Whether a range or an unknown share matters.

        It does of equity in the hands of a party that a lab reaches (what others hold takes nothing from a known share), and of votes
        in anybody's hands, since power depends on the votes of the others.
        """
        picture = self.picture
        if picture.vague_votes and any(profile.labs for profile in self.parties.values()):
            return True
        return bool(picture.vague) and any(party in self.parties and self.parties[party].labs for party in picture.vague)

    @property
    def lab(self) -> str | None:
        """The lab that this entity is, or to whose group it is declared to belong."""
        return self.picture.lab

    def labs(self) -> tuple[str, ...]:
        """Every lab that reaches this entity through a party: by what it holds, or as the employer of a person; in order of id."""
        found: set[str] = set()
        for profile in self.parties.values():
            if profile.labs:
                found.update(profile.labs)
            for tie in profile.affiliations:
                found.update(tie.controllers, tie.projected_controllers)
        return tuple(sorted(found))

    def name_of(self, entity: str) -> str:
        """An entity's name if it is known, else its id."""
        if entity == self.entity:
            return self.attributes.name or entity
        party = self.parties.get(entity)
        return party.name or entity if party is not None else entity


def exposures(facts: Facts, methodology: Methodology) -> tuple[dict[str, LabExposure], bool]:
    """How each lab reaches this entity, and whether a level was cut off. A lab's own profile about itself is e_0 = 1, level 0."""
    labs = [lab for lab in facts.labs() if lab != facts.lab]
    if not labs:
        return {}, False
    views = dict.fromkeys(facts.distinct_views().values())
    if (foreseen := facts.foreseen()) is not None:
        views[foreseen] = None
    cut = False
    found: dict[str, LabExposure] = {}
    for lab in labs:
        confirmed = NO_EXPOSURE
        others: dict[str, Exposure] = {}
        for view in views:
            part = facts.holdings(view)
            by_level, truncated = levels(lab, part.equity, facts.parties, view, methodology.limits)
            control = control_level(lab, part.futures, facts.parties, view, methodology.limits)
            cut = cut or truncated
            if view is CONFIRMED:
                confirmed = Exposure(by_level, control)
            elif by_level != confirmed.levels or control != confirmed.control:
                others[view.name] = Exposure(by_level, control)
        if others or confirmed != NO_EXPOSURE:
            path, affiliated_by = _nearest(lab, facts)
            found[lab] = LabExposure(confirmed, **others, affiliated_by=affiliated_by, path=path)
    return found, cut


def _nearest(lab: str, facts: Facts) -> tuple[tuple[Hop, ...], tuple[str, ...]]:
    """The way from `lab`, and the labs to which it is no rival, as told by the party nearest to it.

    Distance falls towards the lab, so neither can run in a ring.
    """
    near = [
        (distance, -_held_by(party, facts), party, exposure)
        for party, profile in facts.parties.items()
        if profile.labs and (exposure := profile.labs.get(lab)) is not None and (distance := _distance(exposure)) is not None
    ]
    if not near:
        return (), ()
    _, share, party, exposure = near[0] if len(near) == 1 else min(near, key=lambda row: row[:3])
    return (*exposure.path, Hop(facts.name_of(party), -share)), exposure.affiliated_by


def _held_by(party: str, facts: Facts) -> float:
    """What a party holds here: of the equity, else of the votes."""
    held = facts.holdings(CONFIRMED)
    for kind in (held.equity, held.votes):
        shares = [holding.share for holding in kind if holding.party == party]
        if shares:
            return math.fsum(shares)
    return 0.0


def _foresees(profile: Profile) -> bool:
    """Whether a party looks different in the projected view."""
    if profile.labs and any(exposure.projected is not None for exposure in profile.labs.values()):
        return True
    return any(tie.projected != tie.confirmed or tie.projected_controllers != tie.controllers for tie in profile.affiliations)


def _distance(exposure: LabExposure) -> int | None:
    """Steps from the lab by ownership or control, confirmed or projected; None if there is none."""
    nearest = _steps(exposure.confirmed)
    if exposure.projected is None:
        return nearest
    projected = _steps(exposure.projected)
    return projected if nearest is None else nearest if projected is None else min(nearest, projected)


def _steps(exposure: Exposure) -> int | None:
    for level, term in enumerate(exposure.levels):
        if term > 0.0:
            return level if exposure.control is None else min(level, exposure.control)
    return exposure.control
