"""What may become of the votes in a subject, as far as pending claims about them are open: every combination, each with its probability.

The projected votes channel is an expected value over pending claims taken as independent. Power is not linear in votes: 51 % that are 40 %
likely are power 0.4, while 20.4 % would have 0.26. So the combinations are weighed, not the shares.
"""

import math
from collections.abc import Iterable, Sequence
from itertools import product
from typing import Final

from msgspec import Struct

from neutrality.events.structs import Interest, InterestType
from neutrality.model.claims import Standing
from neutrality.model.ownership import Allotted, allot, stakes
from neutrality.model.views import View

MAX_OPEN: Final = (
    6  # 64 combinations; of further pending claims each counts by its expected share, the likeliest and unlikeliest first
)
_VOTES: Final = (InterestType.VOTING_RIGHTS, InterestType.APPOINTMENT_OF_BOARD)


class Future(Struct, frozen=True, gc=False):
    """Votes, and who may appoint the board's majority (claim, party), if it comes so; of all futures the probabilities add up to 1."""

    probability: float
    votes: tuple[Allotted, ...]
    appointers: tuple[tuple[str, str], ...]


_NOTHING_TOLD: Final = (Future(1.0, (), ()),), False


def futures(interests: Iterable[Standing], view: View) -> tuple[tuple[Future, ...], bool]:
    """All that may come in one view, in a fixed order; and whether stated votes had to be scaled down in any of it."""
    told = [standing for standing in interests if _tells_of_votes(standing)]
    if not told:
        return _NOTHING_TOLD
    undecided = [standing for standing in told if standing.pending is not None and 0.0 < view.probability(standing) < 1.0]
    undecided.sort(key=lambda standing: (abs(view.probability(standing) - 0.5), standing.claim_id))
    undecided = undecided[:MAX_OPEN]
    found, over_one = [], False
    for comes in product((True, False), repeat=len(undecided)):
        decided = {standing.claim_id: float(true) for standing, true in zip(undecided, comes, strict=True)}
        chances = [
            view.probability(standing) if true else 1.0 - view.probability(standing)
            for standing, true in zip(undecided, comes, strict=True)
        ]
        future, over = _future(told, view, decided, math.prod(chances))
        found.append(future)
        over_one = over_one or over
    return tuple(found), over_one


def _future(told: Sequence[Standing], view: View, decided: dict[str, float], probability: float) -> tuple[Future, bool]:
    held = stakes(told, lambda standing: decided.get(standing.claim_id, view.probability(standing)))
    # votes of unknown size stay in the ocean
    votes, over_one = allot([stake for stake in held.get(InterestType.VOTING_RIGHTS, ()) if stake.most is not None], view.bound)
    # a right is held or not: one that is beyond MAX_OPEN counts where it is likelier than not
    rights = held.get(InterestType.APPOINTMENT_OF_BOARD, ())
    return Future(
        probability, votes, tuple((right.claim_id, right.party) for right in rights if right.probability > 0.5)
    ), over_one


def _tells_of_votes(standing: Standing) -> bool:
    now, then = standing.active, standing.expected
    return (isinstance(now, Interest) and now.interest_type in _VOTES) or (
        isinstance(then, Interest) and then.interest_type in _VOTES
    )
