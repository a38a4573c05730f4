"""Severity = points of the fall x the lab's exposure to the vendor, by the published scale in severity.toml.

Exposure is in [0, 1]: 1 - (1 - spending part)(1 - data part), as the model puts channels together: either part alone is enough to be exposed.
"""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from neutrality.events.alert import Severity
from neutrality.events.vocabulary import Category, Ratio, Wire

_FILE: Final = "severity.toml"
_Points = Annotated[float, Field(ge=0.0, le=100.0)]


class Exposures(Wire):
    """How exposed a lab is by how much it has told."""

    full_spending_share: Annotated[float, Field(gt=0.0, le=1.0)]
    untold: Ratio
    unlisted: Ratio
    no_portfolio: Ratio


class Other(Wire):
    """What is not named elsewhere."""

    data_class: Ratio
    channel_lost: _Points


class Levels(Wire):
    """Lowest severity points of each severity."""

    warning: _Points
    critical: _Points

    @model_validator(mode="after")
    def _rise(self) -> Self:
        """Refuse levels out of order."""
        if not 0 < self.warning < self.critical:
            raise ValueError("severities must rise from info over warning to critical")
        return self


class SeverityScale(Wire):
    """The weights."""

    version: Annotated[str, Field(pattern=r"^\d{4}\.\d+$")]
    exposure: Exposures
    data_classes: dict[Category, Ratio]
    other: Other
    levels: Levels

    def exposure_of(self, spending_share: float | None, data_classes: Iterable[str] | None) -> float:
        """Exposure to a vendor in the portfolio, in [0, 1]. `spending_share` is a ratio; None: not told."""
        parts = []
        if spending_share is not None:
            parts.append(min(1.0, spending_share / self.exposure.full_spending_share))
        if data_classes is not None:
            parts.append(max((self.data_classes.get(name, self.other.data_class) for name in data_classes), default=0.0))
        if not parts:
            return self.exposure.untold
        left = 1.0
        for part in parts:
            left *= 1.0 - part
        return 1.0 - left

    def severity(self, points: float, exposure: float) -> Severity:
        """Of a fall of so many points."""
        weighed = points * exposure
        if weighed >= self.levels.critical:
            return "critical"
        return "warning" if weighed >= self.levels.warning else "info"


@cache
def load_severity_scale() -> SeverityScale:
    """The scale that the product ships. Raises pydantic.ValidationError if the file is wrong."""
    return SeverityScale.model_validate(tomllib.loads((files(__package__) / _FILE).read_text(encoding="utf-8")))
