"""What a lab wants to be told."""

from typing import Annotated

from pydantic import Field, StringConstraints

from neutrality.events.alert import RULES, Rule
from neutrality.events.vocabulary import EntityId, Wire

SubscriptionName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$"),
    Field(description="The lab's own name for the subscription: lower-case letters, digits and hyphens.", examples=["desk"]),
]


class SubscriptionTerms(Wire):
    """Which vendors, which rules, and how many points a fall must have."""

    vendors: Annotated[
        tuple[EntityId, ...] | None, Field(max_length=10_000, description="Vendors to watch; null or empty: all of them.")
    ] = None
    rules: Annotated[tuple[Rule, ...], Field(min_length=1, max_length=len(RULES), description="What to be told of.")] = RULES
    drop_points: Annotated[float, Field(gt=0.0, le=100.0, description="Points that a fall must have (rule score_drop).")] = 5.0

    def covers(self, vendor: str) -> bool:
        """Whether a vendor is watched."""
        return not self.vendors or vendor in self.vendors


class Subscription(SubscriptionTerms):
    """The terms under a lab's name for them."""

    lab: EntityId
    name: SubscriptionName

    def terms(self) -> SubscriptionTerms:
        """The terms alone."""
        return SubscriptionTerms(vendors=self.vendors, rules=self.rules, drop_points=self.drop_points)
