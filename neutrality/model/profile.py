"""What vertices tell one another: profiles upwards to subjects, links downwards to parties.

msgspec structs: made, compared and written by the ten thousand a second, inside the stream only. What crosses a border is pydantic's.
"""

import math
from functools import cached_property
from typing import Final, Literal

from msgspec import Raw, Struct
from msgspec.json import Decoder, Encoder

ViewName = Literal["confirmed", "projected", "low", "high", "foreseen"]
WHOLE: Final = 1.0 - 1e-6  # a ring of owners loses the terms under the smallest one, so its sum stays a little under 1
VIEW_NAMES: Final[tuple[ViewName, ...]] = ("confirmed", "projected", "low", "high")


class Exposure(Struct, frozen=True, gc=False, omit_defaults=True):
    """How a lab reaches an entity: ownership by level (e_0, e_1, ..., trailing zeros cut) and the lowest level of control."""

    levels: tuple[float, ...] = ()
    control: int | None = None


NO_EXPOSURE: Final = Exposure()


class Hop(Struct, frozen=True, gc=False):
    """One step on the way from a lab: who holds, by name, and what ratio of the next (of its equity, else of its votes; 0: unknown)."""

    holder: str
    share: float


class LabExposure(Struct, frozen=True, gc=False, omit_defaults=True):
    """A lab's exposure in each view; a view that is None equals the confirmed one. `affiliated_by`: labs to which it is no rival.

    `foreseen`: if all pending claims that may raise a watch come true, here and further up.

    `path` is the shortest way from the lab to the entity, among the shortest the one by the greatest last share.
    """

    confirmed: Exposure
    projected: Exposure | None = None
    low: Exposure | None = None
    high: Exposure | None = None
    foreseen: Exposure | None = None
    affiliated_by: tuple[str, ...] = ()
    path: tuple[Hop, ...] = ()

    def of(self, view: ViewName) -> Exposure:
        """The exposure in a view."""
        if view == "confirmed":
            return self.confirmed
        exposure: Exposure | None = getattr(self, view)
        return self.confirmed if exposure is None else exposure


class Affiliation(Struct, frozen=True, gc=False, omit_defaults=True):
    """A person's executive role: how surely it is held, in [0, 1], and the labs that control the organisation.

    `affiliated_by`: for each of these labs, those to which it is no rival.
    """

    organisation: str
    claim_id: str
    confirmed: float
    projected: float
    controllers: tuple[str, ...]
    projected_controllers: tuple[str, ...]
    affiliated_by: dict[str, tuple[str, ...]] = {}

    def tie(self, lab: str, view: ViewName) -> float:
        """How surely the person works for `lab`, in [0, 1]."""
        projected = view == "projected"
        controllers = self.projected_controllers if projected else self.controllers
        return (self.projected if projected else self.confirmed) if lab in controllers else 0.0


class Profile(Struct, frozen=True, omit_defaults=True, dict=True):
    """What an entity is to those in which it holds something. Its JSON is made once: it goes to every subject, and into every state there."""

    name: str | None = None
    group: str | None = None
    labs: dict[str, LabExposure] | None = None
    affiliations: tuple[Affiliation, ...] = ()

    @cached_property
    def json(self) -> Raw:
        """The profile as JSON."""
        return Raw(_encode(self))

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
        whole = (lab for lab, found in sorted((self.labs or {}).items()) if math.fsum(found.confirmed.levels) >= WHOLE)
        return next(whole, None)


_encode: Final = Encoder().encode
_decode: Final = Decoder(Profile).decode
EMPTY_PROFILE: Final = Profile()


def profile_from_json(value: Raw) -> Profile:
    """A profile, which keeps this JSON. Raises msgspec.DecodeError."""
    profile = _decode(value)
    profile.__dict__["json"] = value
    return profile


class Tie(Struct, frozen=True, gc=False, omit_defaults=True):
    """An executive role that the receiver of a link holds in its sender: how surely, in [0, 1]."""

    claim_id: str
    confirmed: float
    projected: float


class Link(Struct, frozen=True, gc=False, omit_defaults=True):
    """What a subject tells a party: that it holds something here, its executive roles, who controls the subject, affiliation.

    `affiliate`: the sender is a lab to which the receiver is no rival; `affiliated_by`: the same, of the labs that control the subject.
    """

    ties: tuple[Tie, ...] = ()
    controllers: tuple[str, ...] = ()
    projected_controllers: tuple[str, ...] = ()
    affiliate: bool = False
    affiliated_by: dict[str, tuple[str, ...]] = {}
