"""Names and values that every claim is made of: ids, shares, money, evidence, status.

Everything here is frozen and strict: a string is not a number, a naive datetime is not a time, an unknown field is an error.
Ratios are in [0, 1]. Terms are those of the Beneficial Ownership Data Standard (BODS 0.4) where it has one.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator


class Wire(BaseModel):
    """Base of all that crosses a border: strict, frozen, no unknown field."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


ENTITY_ID_PATTERN: Final = r"^[a-z0-9][a-z0-9._:-]{0,127}$"
EntityId = Annotated[
    str,
    StringConstraints(pattern=ENTITY_ID_PATTERN),
    Field(description="An entity's id: lower-case letters, digits and . _ : -, at most 128 characters.", examples=["scale-ai"]),
]
ClaimId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,199}$"),
    Field(description="A claim's id, unique within its subject.", examples=["meta-equity-in-scale-ai"]),
]
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Category = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
Instant = Annotated[AwareDatetime, Field(description="RFC 3339, with an offset or Z.", examples=["2025-06-12T00:00:00Z"])]


class Status(StrEnum):
    """How far a claim has come. `completed` and `terminated` are in force; `rumoured` and `announced` are pending."""

    RUMOURED = "rumoured"
    ANNOUNCED = "announced"
    COMPLETED = "completed"
    TERMINATED = "terminated"
    DENIED = "denied"


class EvidenceKind(StrEnum):
    """Who says so, from the most to the least credible (methodology: credibility of evidence)."""

    FILING = "filing"
    OFFICIAL_STATEMENT = "official_statement"
    NAMED_PRESS = "named_press"
    ANONYMOUS_SOURCE = "anonymous_source"
    RUMOUR = "rumour"


class Evidence(Wire):
    """One report behind a claim. `independent_sources` counts sources of the same kind that do not draw on one another."""

    kind: EvidenceKind
    publisher: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    independent_sources: Annotated[int, Field(ge=1, le=100)] = 1
    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$", max_length=2000)] | None = None
    published: Instant | None = None
    quote: Annotated[str, StringConstraints(max_length=2000)] | None = None


class Share(Wire):
    """A share as a ratio: either `exact`, or `minimum` and `maximum` (BODS `share`, divided by 100)."""

    exact: Ratio | None = None
    minimum: Ratio | None = None
    maximum: Ratio | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        """Refuse a share that is neither exact nor a proper range."""
        if self.exact is not None:
            if self.minimum is not None or self.maximum is not None:
                raise ValueError("give either `exact`, or `minimum` and `maximum`, not both")
        elif self.minimum is None or self.maximum is None:
            raise ValueError("give `exact`, or both `minimum` and `maximum`")
        elif self.minimum > self.maximum:
            raise ValueError("`minimum` is greater than `maximum`")
        return self

    @property
    def bounds(self) -> tuple[float, float]:
        """Lowest and highest ratio, both in [0, 1]."""
        if self.exact is not None:
            return self.exact, self.exact
        return self.minimum or 0.0, self.maximum or 0.0


class Money(Wire):
    """An amount in one currency (ISO 4217), exact: a decimal string such as "870000000"."""

    amount: Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=4, strict=False)]
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "USD"


class Identifier(Wire):
    """An entity's identifier in a register (BODS `identifiers`), such as LEI or CIK."""

    scheme: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,32}$")]
    id: Annotated[str, StringConstraints(min_length=1, max_length=128)]


def iso(instant: datetime) -> str:
    """An instant as RFC 3339 text."""
    text = instant.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text
