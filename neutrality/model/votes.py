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
from neutrality.model.profile import LabExposure, Profile
from neutrality.model.views import View

MAX_BLOCKS = 12  # 2^11 coalitions a block; smaller blocks join the ocean, whose holders have next to no power either


def control_levels(
    futures: Sequence[Future], reached: Mapping[str, Mapping[str, LabExposure]], view: View, limits: Limits
) -> dict[str, int]:
    """Lowest level (>= 1) at which each lab is likelier than not to control the subject; without those that are not.

    `reached` are the exposures of the parties that any lab reaches.
    """
    if len(futures) == 1:
        return control_levels_in(futures[0], reached, view, limits)
    found: dict[str, list[tuple[int, float]]] = {}
    for future in futures:
        for lab, level in control_levels_in(future, reached, view, limits).items():
            found.setdefault(lab, []).append((level, future.probability))
    likely: dict[str, int] = {}
    for lab, chances in found.items():
        together: list[float] = []
        for level, probability in sorted(chances):
            together.append(probability)
            if math.fsum(together) > 0.5:
                likely[lab] = level
                break
    return likely


def control_levels_in(
    future: Future, reached: Mapping[str, Mapping[str, LabExposure]], view: View, limits: Limits
) -> dict[str, int]:
    """Lowest level (>= 1) at which each lab controls the subject if it comes so; without those that do not."""
    if not future.votes and not future.appointers:
        return {}
    found: dict[str, int] = {}
    for _, party in future.appointers:
        for lab, level in _levels_of(party, reached, view):
            found[lab] = min(level + 1, found.get(lab, level + 1))
    held: dict[str, dict[int, list[float]]] = {}
    for block in future.votes:
        for lab, level in _levels_of(block.party, reached, view):
            held.setdefault(lab, {}).setdefault(level, []).append(block.share)
    for lab, by_level in held.items():
        together: list[float] = []
        for level in sorted(by_level):
            together += by_level[level]
            if math.fsum(together) > 0.5:
                found[lab] = min(level + 1, found.get(lab, level + 1))
                break
    return {lab: level for lab, level in found.items() if level <= limits.levels}


def _levels_of(party: str, reached: Mapping[str, Mapping[str, LabExposure]], view: View) -> list[tuple[str, int]]:
    """The labs that control a party, each with its level."""
    labs = reached.get(party)
    if labs is None:
        return []
    return [(lab, level) for lab, exposure in labs.items() if (level := exposure.of(view.name).control) is not None]


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
