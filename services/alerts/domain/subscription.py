"""What a lab wants to be told, when, where, and how insistently."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from neutrality.events.alert import Rule, Severity
from neutrality.events.vocabulary import Category, EntityId, Wire
from services.alerts.domain.conditions import BY_RULE, MAX_CONDITIONS, USUAL, Condition, ScoreDrop, ShortRule, condition_key
from services.alerts.domain.schedule import Schedule

TERMS_VERSION: Final = 2
_WEEK_S: Final = 7 * 24 * 3600
_MONTH_S: Final = 30 * 24 * 3600

SubscriptionName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$"),
    Field(description="The lab's own name for the subscription: lower-case letters, digits and hyphens.", examples=["desk"]),
]
EndpointNames = Annotated[tuple[SubscriptionName, ...], Field(min_length=1, max_length=50)]


class Escalation(Wire):
    """Other endpoints get an alert that nobody has acknowledged in time. They get nothing else of the subscription unless it names them too."""

    after_s: Annotated[int, Field(ge=60, le=_WEEK_S, description="Seconds from the release of the alert.")]
    endpoints: EndpointNames


class SubscriptionTerms(Wire):
    """Version 2. A vendor is watched if it is listed, of a category, or in the lab's portfolio; without any of these, every vendor is."""

    version: Literal[2] = 2
    vendors: Annotated[tuple[EntityId, ...] | None, Field(max_length=10_000, description="Vendors to watch.")] = None
    categories: Annotated[tuple[Category, ...], Field(max_length=100, description="Vendors of these categories.")] = ()
    portfolio: Annotated[bool, Field(description="Vendors in the lab's portfolio, as it is then.")] = False
    conditions: Annotated[tuple[Condition, ...], Field(min_length=1, max_length=MAX_CONDITIONS)] = tuple(
        BY_RULE[rule] for rule in USUAL
    )
    minimum_severity: Annotated[Severity, Field(description="Lesser alerts are kept in the inbox and not sent.")] = "info"
    settling_s: Annotated[
        int,
        Field(
            ge=0,
            le=_WEEK_S,
            description="Seconds for which a condition must hold before it is told: a cascade makes one alert, what passes none.",
        ),
    ] = 0
    schedule: Schedule = Schedule()
    endpoints: Annotated[
        EndpointNames | None,
        Field(description="Only these of the lab's endpoints; null: all that take alerts of this subscription."),
    ] = None
    remind_every_s: Annotated[
        int | None, Field(ge=60, le=_MONTH_S, description="Tell it again until it is acknowledged; null: never.")
    ] = None
    escalation: Escalation | None = None

    @model_validator(mode="after")
    def _tell_apart(self) -> Self:
        """Refuse two conditions that nothing tells apart."""
        keys = [condition_key(condition) for condition in self.conditions]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise ValueError(f"two conditions are {twice}: give each rule once for each view, level and channel")
        return self

    @cached_property
    def keyed(self) -> tuple[tuple[str, Condition], ...]:
        """Conditions with their keys; a correction looks at alerts, and is not among them."""
        return tuple((condition_key(one), one) for one in self.conditions if one.rule != "correction")

    @cached_property
    def told_rules(self) -> frozenset[Rule]:
        """What is told."""
        return frozenset(condition.rule for condition in self.conditions)

    @property
    def watches_everything(self) -> bool:
        """Whether every vendor is watched."""
        return not self.vendors and not self.categories and not self.portfolio

    def reaches(self, endpoint: str) -> bool:
        """Whether an endpoint gets the alerts when they are released."""
        if self.endpoints is not None:
            return endpoint in self.endpoints
        return self.escalation is None or endpoint not in self.escalation.endpoints


class TermsDocument(SubscriptionTerms):
    """Terms as they are given, and as version 1 kept them: `rules` are conditions with their defaults, for short."""

    version: Literal[1, 2] = 2  # type: ignore[assignment] # read here, never written
    conditions: Annotated[tuple[Condition, ...] | None, Field(min_length=1, max_length=MAX_CONDITIONS)] = None  # type: ignore[assignment] # the same
    rules: Annotated[
        tuple[ShortRule, ...] | None, Field(min_length=1, max_length=len(BY_RULE), description="Short for conditions.")
    ] = None
    drop_points: Annotated[float | None, Field(gt=0.0, le=100.0, description="Short for the points of score_drop.")] = None

    @model_validator(mode="after")
    def _tell_apart(self) -> Self:
        """Refuse conditions said twice."""
        if self.conditions is not None and (self.rules is not None or self.drop_points is not None):
            raise ValueError("give `conditions`, or `rules` and `drop_points` for short, not both")
        if self.conditions is not None:
            self.terms()
        return self

    def terms(self) -> SubscriptionTerms:
        """In the present version."""
        given = {name: getattr(self, name) for name in SubscriptionTerms.model_fields if name not in ("version", "conditions")}
        conditions = self.conditions
        if conditions is None:
            chosen = dict.fromkeys(self.rules or USUAL)
            drop = ScoreDrop() if self.drop_points is None else ScoreDrop(points=self.drop_points)
            conditions = tuple(drop if rule == "score_drop" else BY_RULE[rule] for rule in chosen)
        return SubscriptionTerms(conditions=conditions, **given)


class Subscription(SubscriptionTerms):
    """The terms under a lab's name for them."""

    lab: EntityId
    name: SubscriptionName

    @classmethod
    def of(cls, lab: str, name: str, terms: SubscriptionTerms) -> "Subscription":
        """Terms under a name."""
        return cls(lab=lab, name=name, **{field: getattr(terms, field) for field in SubscriptionTerms.model_fields})

    def terms(self) -> SubscriptionTerms:
        """The terms alone."""
        return SubscriptionTerms(**{field: getattr(self, field) for field in SubscriptionTerms.model_fields})


class ByVendor:
    """Subscriptions, found by the vendor that they watch, in their order."""

    def __init__(self, subscriptions: Sequence[Subscription], portfolios: Mapping[str, Iterable[str]] | None = None) -> None:
        """All of them; `portfolios`: the vendors that each lab buys from."""
        self._everything: list[tuple[int, Subscription]] = []
        self._vendors: dict[str, list[tuple[int, Subscription]]] = {}
        self._categories: dict[str, list[tuple[int, Subscription]]] = {}
        for numbered in enumerate(subscriptions):
            one = numbered[1]
            if one.watches_everything:
                self._everything.append(numbered)
            bought = (portfolios or {}).get(one.lab, ()) if one.portfolio else ()
            for vendor in {*(one.vendors or ()), *bought}:
                self._vendors.setdefault(vendor, []).append(numbered)
            for category in set(one.categories):
                self._categories.setdefault(category, []).append(numbered)

    def of(self, vendor: str, categories: Iterable[str] = ()) -> list[Subscription]:
        """Those that watch a vendor of these categories, each once."""
        found = dict([*self._everything, *self._vendors.get(vendor, ())])
        for category in categories:
            found.update(self._categories.get(category, ()))
        return [found[place] for place in sorted(found)]
