"""Channel 1, ownership: integrated ownership, direct and through intermediaries.

e(R, v) = sum over k >= 1 of (B^k)[v, R], where B is the matrix of equity shares without what anybody holds in R (Brioschi, Buzzacchi
& Colombo 1989; Vitali, Glattfelder & Battiston 2011). It is computed by levels: e_k(R, v) = sum over parties p of share(p) x
e_(k-1)(R, p), with e_0(R, R) = 1; a value at level k depends on values at level k - 1 only, so cycles cannot count to infinity.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from neutrality.events.structs import Interest, InterestType
from neutrality.model.claims import Standing
from neutrality.model.methodology import Limits
from neutrality.model.profile import LabExposure
from neutrality.model.views import Bound, View


class Stake(Struct, frozen=True, gc=False):
    """What a party holds in a subject by one claim: ratios in [0, 1]; `most` is None while the share is unknown."""

    claim_id: str
    party: str
    least: float
    most: float | None
    probability: float


class Allotted(Struct, frozen=True, gc=False):
    """A stake's share after ranges, unknown shares and sums over 1 have been settled."""

    claim_id: str
    party: str
    share: float


def stakes(interests: Iterable[Standing], probability_of: Callable[[Standing], float]) -> dict[InterestType, list[Stake]]:
    """The stakes in a subject by type, in order of (party, claim); an indirect interest yields to its components.

    `probability_of` a standing: in [0, 1], that its pending report comes true.
    """
    counted = list(interests)
    in_force: set[str] | None = None
    found: dict[InterestType, list[Stake]] = {}
    for standing in counted:
        for data, probability in standing.weigh(0.0 if standing.pending is None else probability_of(standing)):
            if not isinstance(data, Interest):
                continue
            if data.component_claims and data.direct_or_indirect != "direct":
                in_force = in_force or {s.claim_id for s in counted if s.active is not None or s.expected is not None}
                if in_force.intersection(data.component_claims):
                    continue
            least, most = (0.0, None) if data.share is None else data.share.bounds
            stake = Stake(standing.claim_id, data.interested_party, least, most, probability)
            found.setdefault(data.interest_type, []).append(stake)
    for held in found.values():
        held.sort(key=lambda stake: (stake.party, stake.claim_id, stake.least))
    return found


def allot(held: Sequence[Stake], bound: Bound) -> tuple[tuple[Allotted, ...], bool]:
    """Shares that add up to at most 1, and whether the stated ones had to be scaled down.

    Exact shares and the minima of ranges come first (in proportion if they exceed 1); what lies above the minima shares what is left.
    An unknown share is the range from 0 to what the others leave.
    """
    least = [stake.probability * stake.least for stake in held]
    certain = math.fsum(least)
    if certain > 1.0 + 1e-12:
        scaled = tuple(Allotted(s.claim_id, s.party, low / certain) for s, low in zip(held, least, strict=True))
        return scaled, True
    free = max(0.0, 1.0 - certain)
    fraction = {"least": 0.0, "middle": 0.5, "most": 1.0}[bound]
    above = [
        fraction * (stake.probability * free if stake.most is None else stake.probability * (stake.most - stake.least))
        for stake in held
    ]
    wanted = math.fsum(above)
    squeeze = min(1.0, free / wanted) if wanted > 0.0 else 1.0
    return (
        tuple(
            Allotted(stake.claim_id, stake.party, low + extra * squeeze)
            for stake, low, extra in zip(held, least, above, strict=True)
        ),
        False,
    )


def levels(
    allotted: Iterable[Allotted], reached: Mapping[str, Mapping[str, LabExposure]], view: View, limits: Limits
) -> tuple[dict[str, tuple[float, ...]], frozenset[str]]:
    """Ownership by lab and level (e_0 = 0 first), trailing zeros cut; and the labs of which it was cut off at the last level.

    `reached` are the exposures of the parties that any lab reaches.
    """
    flows: dict[str, list[tuple[float, tuple[float, ...]]]] = {}
    for holding in allotted:
        labs = reached.get(holding.party)
        share = holding.share
        if labs is None or share <= 0.0:
            continue
        for lab, exposure in labs.items():
            upstream = exposure.of(view.name).levels
            if upstream:
                known = flows.get(lab)
                if known is None:
                    flows[lab] = [(share, upstream)]
                else:
                    known.append((share, upstream))
    cut = frozenset(lab for lab, found in flows.items() if max([len(upstream) for _, upstream in found]) > limits.levels)
    return {lab: by_level for lab, found in flows.items() if (by_level := _by_level(found, limits))}, cut


def _by_level(flows: Sequence[tuple[float, tuple[float, ...]]], limits: Limits) -> tuple[float, ...]:
    smallest = limits.smallest_term
    if len(flows) == 1:
        share, upstream = flows[0]
        terms = [share * term for term in upstream[: limits.levels]]
    else:
        depth = min(max([len(upstream) for _, upstream in flows]), limits.levels)
        terms = [
            math.fsum([share * upstream[level] for share, upstream in flows if level < len(upstream)]) for level in range(depth)
        ]
    result = [0.0, *[term if term >= smallest else 0.0 for term in terms]]
    while result and result[-1] == 0.0:
        result.pop()
    return tuple(result)


def integrated(by_level: Sequence[float]) -> float:
    """Integrated ownership in [0, 1]: all levels but the lab's own (k >= 1); capped, since rounding may pass 1."""
    return min(1.0, math.fsum(by_level[1:]))
