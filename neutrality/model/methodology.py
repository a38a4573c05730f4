"""The methodology: one versioned file, validated when it is loaded; its version stands in every assessment."""

import tomllib
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from neutrality.events.assessment import Grade
from neutrality.events.vocabulary import EvidenceKind, Ratio, Wire

Points = Annotated[float, Field(ge=0.0, le=100.0)]
_FILE: Final = "methodology.toml"


class Weights(Wire):
    """Weight (lambda) of each channel, in [0, 1]."""

    ownership: Ratio
    votes: Ratio
    governance: Ratio
    revenue: Ratio


class GovernanceWeights(Wire):
    """Weight of each governance tie, in [0, 1], and the cooling period in months."""

    executive_interlock: Ratio
    departed_executive: Ratio
    board_seat: Ratio
    cooling_months: Annotated[int, Field(ge=0, le=240)]


class Grades(Wire):
    """Lowest score of each grade, falling."""

    N1: Points
    N2: Points
    N3: Points
    N4: Points

    @model_validator(mode="after")
    def _fall(self) -> Self:
        """Refuse grades out of order."""
        if not self.N1 > self.N2 > self.N3 > self.N4 > 0:
            raise ValueError("grades must fall from N1 to N4")
        return self


class Materiality(Wire):
    """From which influence on a channel is called material."""

    ownership: Ratio
    votes: Ratio
    revenue: Ratio


class OutlookMargins(Wire):
    """Points between projected and confirmed that make an outlook, and days after which a watch lapses."""

    margin_points: Points
    watch_days: Annotated[int, Field(ge=1, le=3650)]


class EvidenceWeights(Wire):
    """Credibility of one source of each kind, in [0, 1]."""

    filing: Ratio
    official_statement: Ratio
    named_press: Ratio
    anonymous_source: Ratio
    rumour: Ratio
    denial_factor: Ratio
    credibility_threshold: Ratio

    def of(self, kind: EvidenceKind) -> float:
        """Credibility of one source of that kind."""
        weight: float = getattr(self, kind)  # an EvidenceKind is the field's name
        return weight


class Plans(Wire):
    """Part of a customer's sway that goes if a plan comes true."""

    end: Ratio
    reduce: Ratio


class Limits(Wire):
    """Where the levels of ownership and control end, and which terms are dropped."""

    levels: Annotated[int, Field(ge=1, le=4096)]
    smallest_term: Annotated[float, Field(gt=0.0, lt=1e-3)]


class Methodology(Wire):
    """All parameters of the model."""

    version: Annotated[str, Field(pattern=r"^\d{4}\.\d+$")]
    weights: Weights
    governance: GovernanceWeights
    grades: Grades
    materiality: Materiality
    outlook: OutlookMargins
    evidence: EvidenceWeights
    plans: Plans
    limits: Limits

    def grade(self, score: float) -> Grade:
        """Grade of a score in [0, 100]; `NR` is not a matter of the score."""
        if score >= self.grades.N1:
            return "N1"
        if score >= self.grades.N2:
            return "N2"
        if score >= self.grades.N3:
            return "N3"
        return "N4" if score >= self.grades.N4 else "N5"


@cache
def load_methodology() -> Methodology:
    """The methodology that the product ships. Raises pydantic.ValidationError if the file is wrong."""
    return Methodology.model_validate(tomllib.loads((files(__package__) / _FILE).read_text(encoding="utf-8")))
