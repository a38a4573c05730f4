"""What vertices tell one another: profiles upwards to subjects, links downwards to parties."""

from dataclasses import dataclass
from typing import Final, Literal

ViewName = Literal["confirmed", "projected", "low", "high"]
VIEW_NAMES: Final[tuple[ViewName, ...]] = ("confirmed", "projected", "low", "high")


@dataclass(frozen=True, slots=True)
class Exposure:
    """How a lab reaches an entity: ownership by level (e_0, e_1, ..., trailing zeros cut) and the lowest level of control."""

    levels: tuple[float, ...] = ()
    control: int | None = None


NO_EXPOSURE: Final = Exposure()


@dataclass(frozen=True, slots=True)
class LabExposure:
    """A lab's exposure in each view; a view that is None equals the confirmed one. `affiliated_by`: labs to which it is no rival."""

    confirmed: Exposure
    projected: Exposure | None = None
    low: Exposure | None = None
    high: Exposure | None = None
    affiliated_by: tuple[str, ...] = ()

    def of(self, view: ViewName) -> Exposure:
        """The exposure in a view."""
        exposure: Exposure | None = getattr(self, view)
        return self.confirmed if exposure is None else exposure


@dataclass(frozen=True, slots=True)
class Affiliation:
    """A person's executive role: how surely it is held, in [0, 1], and the labs that control the organisation."""

    organisation: str
    claim_id: str
    confirmed: float
    projected: float
    controllers: tuple[str, ...]
    projected_controllers: tuple[str, ...]

    def tie(self, lab: str, view: ViewName) -> float:
        """How surely the person works for `lab`, in [0, 1]."""
        projected = view == "projected"
        controllers = self.projected_controllers if projected else self.controllers
        return (self.projected if projected else self.confirmed) if lab in controllers else 0.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What an entity is to those in which it holds something."""

    name: str | None = None
    group: str | None = None
    labs: dict[str, LabExposure] | None = None
    affiliations: tuple[Affiliation, ...] = ()

    def exposure(self, lab: str, view: ViewName) -> Exposure:
        """A lab's exposure in this entity; none if it has none."""
        found = (self.labs or {}).get(lab)
        return NO_EXPOSURE if found is None else found.of(view)

    def controllers(self, view: ViewName) -> tuple[str, ...]:
        """Labs that control this entity, a lab itself included, in order of id."""
        return tuple(sorted(lab for lab, found in (self.labs or {}).items() if found.of(view).control is not None))

    def lab_of(self) -> str | None:
        """The lab whose group this entity belongs to: declared, or the one that owns all of it."""
        if self.group is not None:
            return self.group
        whole = (lab for lab, found in sorted((self.labs or {}).items()) if sum(found.confirmed.levels) >= 1.0 - 1e-9)
        return next(whole, None)


EMPTY_PROFILE: Final = Profile()


@dataclass(frozen=True, slots=True)
class Tie:
    """An executive role that the receiver of a link holds in its sender: how surely, in [0, 1]."""

    claim_id: str
    confirmed: float
    projected: float


@dataclass(frozen=True, slots=True)
class Link:
    """What a subject tells a party: that it holds something here, its executive roles, who controls the subject, affiliation."""

    ties: tuple[Tie, ...] = ()
    controllers: tuple[str, ...] = ()
    projected_controllers: tuple[str, ...] = ()
    affiliate: bool = False
