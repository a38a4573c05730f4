"""A view decides how pending claims and ranges count: the same code computes the confirmed, the projected and the outer scores."""

from typing import Final, Literal

from msgspec import Struct

from neutrality.model.claims import Standing
from neutrality.model.profile import ViewName

Bound = Literal["middle", "least", "most"]


class View(Struct, frozen=True):
    """`name` picks what parties report of themselves; `bound` the end of ranges; `certain` the pending claims taken as true."""

    name: ViewName
    bound: Bound = "middle"
    certain: frozenset[str] = frozenset()

    def probability(self, standing: Standing) -> float:
        """Probability in [0, 1] with which the pending report of a claim counts."""
        if standing.pending is None:
            return 0.0
        if self.name == "projected":
            return standing.credibility
        return 1.0 if standing.claim_id in self.certain else 0.0


CONFIRMED: Final = View("confirmed")
PROJECTED: Final = View("projected")
LOW: Final = View("low", bound="most")  # the lowest score stands for the most that rivals may hold
HIGH: Final = View("high", bound="least")
FORESEEN: Final = View(
    "foreseen"
)  # with the pending claims of this entity that may raise a watch: what those that it holds are to look out for
VIEWS: Final = (CONFIRMED, PROJECTED, LOW, HIGH)
