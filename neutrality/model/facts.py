"""All that a vertex knows when it reckons: the picture its own claims give, and what its parties say of themselves."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from msgspec import Struct

from neutrality.model.claims import Standing
from neutrality.model.methodology import Methodology
from neutrality.model.ownership import levels
from neutrality.model.picture import Attributes, Holdings, Picture
from neutrality.model.profile import NO_EXPOSURE, Affiliation, Exposure, Hop, LabExposure, Profile
from neutrality.model.views import CONFIRMED, FORESEEN, HIGH, LOW, PROJECTED, View
from neutrality.model.votes import control_levels

Reached = Mapping[str, Mapping[str, LabExposure]]


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

    def distinct_views(self) -> dict[View, View]:
        """For each of the four views the one that has to be reckoned for it: the confirmed one if nothing known here makes a difference."""
        projected, ranges = bool(self.picture.pending), self._has_ranges()
        for profile in self.parties.values():
            for exposure in profile.labs.values() if profile.labs else ():
                projected = projected or exposure.projected is not None
                ranges = ranges or exposure.low is not None or exposure.high is not None
            if not projected and profile.affiliations:
                projected = _foresees(profile.affiliations)
        low, high = (LOW, HIGH) if ranges else (CONFIRMED, CONFIRMED)
        return {CONFIRMED: CONFIRMED, PROJECTED: PROJECTED if projected else CONFIRMED, LOW: low, HIGH: high}

    def foreseen(self) -> View | None:
        """The view of what those that this entity holds are to look out for; None if nothing here or further up may raise a watch."""
        if self.picture.watched:
            return View(FORESEEN.name, certain=self.picture.watched)
        return FORESEEN if self.has_foresight() else None

    def has_foresight(self) -> bool:
        """Whether a pending claim further up may raise a watch."""
        for profile in self.parties.values():
            for exposure in profile.labs.values() if profile.labs else ():
                if exposure.foreseen is not None:
                    return True
        return False

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

    def exposure(self, party: str, lab: str, view: View) -> Exposure:
        """How a lab reaches a party, as the party tells it."""
        profile = self.parties.get(party)
        exposure = None if profile is None or profile.labs is None else profile.labs.get(lab)
        return NO_EXPOSURE if exposure is None else exposure.of(view.name)

    def reached(self) -> Reached:
        """The exposures of the parties that any lab reaches, in order of party."""
        return {party: profile.labs for party, profile in self.parties.items() if profile.labs}

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
    """How each lab reaches this entity, in order of lab, and whether a level was cut off.

    A lab's own profile about itself is e_0 = 1, level 0, and no part of this.
    """
    reached = facts.reached()
    if not reached:
        return {}, False
    views = dict.fromkeys(facts.distinct_views().values())
    if (foreseen := facts.foreseen()) is not None:
        views[foreseen] = None
    cut = False
    found: dict[str, dict[str, Exposure]] = {}
    for view in views:
        reach, truncated = reach_in(facts.holdings(view), reached, view, methodology)
        cut = cut or bool(truncated - {facts.lab})
        for lab, exposure in reach.items():
            found.setdefault(lab, {})[view.name] = exposure
    found.pop(facts.lab or "", None)
    return {lab: _lab_exposure(lab, found[lab], facts, reached, views) for lab in sorted(found)}, cut


def _lab_exposure(
    lab: str, by_view: Mapping[str, Exposure], facts: Facts, reached: Reached, views: Collection[View]
) -> LabExposure:
    path, affiliated_by = _nearest(lab, facts, reached)
    confirmed = by_view.get(CONFIRMED.name, NO_EXPOSURE)
    others: dict[str, Exposure] = {}
    for view in views if len(views) > 1 else ():
        exposure = by_view.get(view.name, NO_EXPOSURE)
        if exposure != confirmed:
            others[view.name] = exposure
    return LabExposure(confirmed, **others, affiliated_by=affiliated_by, path=path)


def reach_in(
    held: Holdings, reached: Reached, view: View, methodology: Methodology
) -> tuple[dict[str, Exposure], frozenset[str]]:
    """How each lab reaches this entity in one view, by what is `held` in it; and the labs of which a level was cut off."""
    owned, cut = levels(held.equity, reached, view, methodology.limits)
    controlled = control_levels(held.futures, reached, view, methodology.limits)
    found = {lab: Exposure(by_level, controlled.get(lab)) for lab, by_level in owned.items()}
    for lab, level in controlled.items():
        if lab not in found:
            found[lab] = Exposure((), level)
    return found, cut


def _nearest(lab: str, facts: Facts, reached: Reached) -> tuple[tuple[Hop, ...], tuple[str, ...]]:
    """The way from `lab`, and the labs to which it is no rival, as told by the party nearest to it.

    Distance falls towards the lab, so neither can run in a ring.
    """
    held_by = facts.picture.held_by
    near = [
        (distance, -held_by.get(party, 0.0), party, exposure)
        for party, labs in reached.items()
        if (exposure := labs.get(lab)) is not None and (distance := _distance(exposure)) is not None
    ]
    if not near:
        return (), ()
    _, share, party, exposure = near[0] if len(near) == 1 else min(near, key=_by_distance)
    return (*exposure.path, Hop(facts.name_of(party), -share)), exposure.affiliated_by


def _by_distance(row: tuple[int, float, str, LabExposure]) -> tuple[int, float, str]:
    return row[:3]


def _foresees(affiliations: Iterable[Affiliation]) -> bool:
    """Whether a party's roles look different in the projected view."""
    return any(tie.projected != tie.confirmed or tie.projected_controllers != tie.controllers for tie in affiliations)


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
