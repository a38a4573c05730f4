"""What a lab wants to be told."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, get_args

from pydantic import Field, StringConstraints

from neutrality.events.vocabulary import EntityId, Wire

SubscriptionName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$"),
    Field(description="The lab's own name for the subscription: lower-case letters, digits and hyphens.", examples=["desk"]),
]


SubscribedRule = Literal["score_drop", "grade", "outlook", "watch"]
SUBSCRIBED_RULES: Final[tuple[SubscribedRule, ...]] = get_args(SubscribedRule)


class SubscriptionTerms(Wire):
    """Which vendors, which rules, and how many points a fall must have."""

    vendors: Annotated[
        tuple[EntityId, ...] | None, Field(max_length=10_000, description="Vendors to watch; null or empty: all of them.")
    ] = None
    rules: Annotated[tuple[SubscribedRule, ...], Field(min_length=1, max_length=4, description="What to be told of.")] = (
        SUBSCRIBED_RULES
    )
    drop_points: Annotated[float, Field(gt=0.0, le=100.0, description="Points that a fall must have (rule score_drop).")] = 5.0


class Subscription(SubscriptionTerms):
    """The terms under a lab's name for them."""

    lab: EntityId
    name: SubscriptionName

    def terms(self) -> SubscriptionTerms:
        """The terms alone."""
        return SubscriptionTerms(vendors=self.vendors, rules=self.rules, drop_points=self.drop_points)


class ByVendor:
    """Subscriptions, found by the vendor that they watch, in their order."""

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        """All of them."""
        self._all = [(place, one) for place, one in enumerate(subscriptions) if not one.vendors]
        self._named: dict[str, list[tuple[int, Subscription]]] = {}
        for place, one in enumerate(subscriptions):
            for vendor in set(one.vendors or ()):
                self._named.setdefault(vendor, []).append((place, one))

    def of(self, vendor: str) -> list[Subscription]:
        """Those that watch a vendor."""
        found = sorted([*self._all, *self._named.get(vendor, ())], key=lambda item: item[0])
        return [one for _, one in found]
