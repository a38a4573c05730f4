"""Channel 2, votes: who controls whom, and the power of a lab's block of votes.

Control is the company control problem (Ceri, Gottlob & Tanca): R controls s at level k if parties that R controls at lower levels
together hold over half of the votes in s, or one of them may appoint the majority of its board; with pending claims, if that is likelier
than not (`futures`). Power is the Shapley-Shubik index of R's
block among the known blocks, with all unknown votes as an ocean of small holders (Milnor & Shapley 1978).
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from neutrality.model.futures import Future
from neutrality.model.methodology import Limits
from neutrality.model.ownership import Allotted
from neutrality.model.profile import Profile
from neutrality.model.views import View

MAX_BLOCKS = 12  # 2^11 coalitions a block; smaller blocks join the ocean, whose holders have next to no power either


def control_level(lab: str, futures: Iterable[Future], parties: Mapping[str, Profile], view: View, limits: Limits) -> int | None:
    """Lowest level (>= 1) at which `lab` is likelier than not to control the subject; None if there is none."""
    reached = [
        (level, future.probability)
        for future in futures
        if (level := control_level_in(lab, future, parties, view, limits)) is not None
    ]
    likely: list[float] = []
    for level, probability in sorted(reached):
        likely.append(probability)
        if math.fsum(likely) > 0.5:
            return level
    return None


def control_level_in(lab: str, future: Future, parties: Mapping[str, Profile], view: View, limits: Limits) -> int | None:
    """Lowest level (>= 1) at which `lab` controls the subject if it comes so; None if it does not."""
    reached = [level + 1 for _, party in future.appointers if (level := _level(lab, party, parties, view)) is not None]
    held: dict[int, list[float]] = {}
    for block in future.votes:
        level = _level(lab, block.party, parties, view)
        if level is not None:
            held.setdefault(level, []).append(block.share)
    together: list[float] = []
    for level in sorted(held):
        together += held[level]
        if math.fsum(together) > 0.5:
            reached.append(level + 1)
            break
    lowest = min(reached, default=None)
    return None if lowest is None or lowest > limits.levels else lowest


def _level(lab: str, party: str, parties: Mapping[str, Profile], view: View) -> int | None:
    profile = parties.get(party)
    exposure = None if profile is None or not profile.labs else profile.labs.get(lab)
    return None if exposure is None else exposure.of(view.name).control


def blocks(votes: Iterable[Allotted], labs: Iterable[str], parties: Mapping[str, Profile], view: View) -> dict[str, float]:
    """Votes by who casts them: a lab for all parties that it controls, else the party itself."""
    labs = sorted(labs)
    cast: dict[str, list[float]] = {}
    for block in votes:
        profile = parties.get(block.party)
        caster = next(
            (lab for lab in labs if profile is not None and profile.exposure(lab, view.name).control is not None),
            f"party:{block.party}",
        )
        cast.setdefault(caster, []).append(block.share)
    return {caster: share for caster in sorted(cast) if (share := math.fsum(cast[caster])) > 0.0}


def power(caster: str, cast: Mapping[str, float]) -> float:
    """Shapley-Shubik index in [0, 1] of one block at simple majority; the votes that `cast` leaves to 1 are an ocean.

    Source: Milnor & Shapley 1978. A block over half has power 1 and leaves 0 to the rest; a lone block w < 1/2 has w / (1 - w).
    """
    own = cast.get(caster, 0.0)
    if own > 0.5:
        return 1.0
    if own <= 0.0 or any(share > 0.5 for share in cast.values()):
        return 0.0
    others = sorted((share for name, share in cast.items() if name != caster), reverse=True)[: MAX_BLOCKS - 1]
    return _shapley_with_ocean(own, others)


def _shapley_with_ocean(own: float, others: Sequence[float]) -> float:
    ocean = max(0.0, 1.0 - own - math.fsum(others))
    size = len(others)
    total = 0.0
    for coalition in range(1 << size):
        members = [others[index] for index in range(size) if coalition >> index & 1]
        weight = math.fsum(members)
        if weight > 0.5:
            continue
        if ocean > 1e-12:
            start = min(1.0, max(0.0, (0.5 - weight - own) / ocean))
            end = min(1.0, max(0.0, (0.5 - weight) / ocean))
        elif weight + own > 0.5:
            start, end = 0.0, 1.0
        else:
            continue
        total += _beta_between(len(members), size - len(members), start, end)
    return min(1.0, total)


def _beta_between(before: int, after: int, start: float, end: float) -> float:
    """Integral of t^before (1 - t)^after over [start, end]."""
    whole = math.factorial(before) * math.factorial(after) / math.factorial(before + after + 1)
    return whole * (_beta_cdf(before + 1, after + 1, end) - _beta_cdf(before + 1, after + 1, start))


def _beta_cdf(a: int, b: int, x: float) -> float:
    """Regularised incomplete beta function for whole a, b: the upper tail of a binomial distribution."""
    n = a + b - 1
    return math.fsum(math.comb(n, j) * x**j * (1.0 - x) ** (n - j) for j in range(a, n + 1))
