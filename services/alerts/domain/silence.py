"""A lab mutes some of its own alerts for a time, and says who did and why. What is muted is kept in the inbox."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from neutrality.events.alert import Alert
from neutrality.events.vocabulary import Instant, Wire

Person = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    Field(description="Who says so, for the lab's own people.", examples=["ada"]),
]


class Matcher(Wire):
    """What an alert has to be: one of `values` in a field, or none of them if `negate`."""

    field: Literal["vendor", "category", "rule", "subscription", "severity"]
    values: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=128)], ...], Field(min_length=1, max_length=100)
    ]
    negate: bool = False


class SilenceTerms(Wire):
    """All matchers must match. What it muted and still holds is released when it ends."""

    matchers: Annotated[tuple[Matcher, ...], Field(min_length=1, max_length=20)]
    starts: Annotated[Instant | None, Field(description="Null: at once.")] = None
    ends: Instant
    reason: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    by: Person

    @model_validator(mode="after")
    def _last(self) -> Self:
        """Refuse an end before the start."""
        if self.starts is not None and self.ends <= self.starts:
            raise ValueError("`ends` must be after `starts`")
        return self


@dataclass(frozen=True, slots=True)
class Silence:
    """Terms that hold from `starts` on, until `ends`."""

    id: str
    lab: str
    terms: SilenceTerms
    starts: datetime
    ends: datetime

    def mutes(self, alert: Alert, categories: Collection[str], now: datetime) -> bool:
        """Whether an alert on a vendor of these categories is muted now."""
        if alert.lab != self.lab or not self.starts <= now < self.ends:
            return False
        found: dict[str, set[str]] = {
            "vendor": {alert.vendor},
            "category": set(categories),
            "rule": {alert.rule},
            "subscription": {alert.subscription},
            "severity": {alert.severity},
        }
        return all(bool(found[one.field] & set(one.values)) is not one.negate for one in self.terms.matchers)


def muting(silences: Iterable[Silence], alert: Alert, categories: Collection[str], now: datetime) -> Silence | None:
    """The silence that mutes an alert; of several the one that ends last, so that it is not released too early."""
    found = [one for one in silences if one.mutes(alert, categories, now)]
    return max(found, key=lambda one: (one.ends, one.id), default=None)
