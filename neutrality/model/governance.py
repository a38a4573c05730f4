"""Channel 3, governance: board seats and interlocks. g = 1 - product of (1 - weight of each tie).

Ties between a lab R and a vendor (neutrality model, channel 3; Clayton Act section 8 on interlocks):

- executive interlock: a person is an executive here and at R or at what R controls;
- departed executive: a person left an executive role here for R within the cooling period;
- board seat: held here by a person whom R, or what it controls, employs or appoints. Where the board's size is known the seats are
  one tie that weighs their share of it; where it is not, each seat is a tie of its own.
"""

import calendar
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from msgspec import Struct

from neutrality.events.structs import Role, RoleType
from neutrality.model.claims import Report, Standing
from neutrality.model.methodology import GovernanceWeights
from neutrality.model.profile import Profile
from neutrality.model.views import View


class GovernanceTie(Struct, frozen=True, gc=False):
    """One tie: expected weight in [0, 1], the claim it rests on and the person it runs through."""

    claim_id: str
    person: str
    weight: float


def cooling_ends(departed: datetime, months: int) -> datetime:
    """End of the cooling period: the same day `months` later, or the last day of that month."""
    index = departed.month - 1 + months
    year, month = departed.year + index // 12, index % 12 + 1
    return departed.replace(year=year, month=month, day=min(departed.day, calendar.monthrange(year, month)[1]))


def governance_ties(
    lab: str,
    roles: Iterable[Standing],
    at: datetime,
    parties: Mapping[str, Profile],
    board_size: int | None,
    view: View,
    weights: GovernanceWeights,
) -> tuple[GovernanceTie, ...]:
    """All ties of `lab` by the claims of roles, in order of claim; those without weight are left out."""
    ties: list[GovernanceTie] = []
    seats: list[GovernanceTie] = []
    for standing in roles:
        for role, probability in _held(standing, view):
            works_for = _works_for(lab, role, parties, view)
            if role.role_type is RoleType.BOARD_MEMBER:
                appointed = max(works_for, _is_of(lab, role.represents, parties, view))
                seats.append(GovernanceTie(standing.claim_id, role.person, probability * appointed))
            elif works_for > 0.0:
                ties.append(GovernanceTie(standing.claim_id, role.person, weights.executive_interlock * probability * works_for))
        for role, probability in _left(standing, at, view, weights):
            went = max(_works_for(lab, role, parties, view), _is_of(lab, role.left_for, parties, view))
            ties.append(GovernanceTie(standing.claim_id, role.person, weights.departed_executive * probability * went))
    seat_weight = weights.board_seat if board_size is None else 1.0 / board_size
    ties += [GovernanceTie(seat.claim_id, seat.person, seat_weight * seat.weight) for seat in seats]
    return tuple(tie for tie in ties if tie.weight > 0.0)


def labs_tied(roles: Iterable[Standing], parties: Mapping[str, Profile]) -> set[str]:
    """The labs that may have a tie by these roles; no other has one."""
    found: set[str] = set()
    for standing in roles:
        for report in (standing.confirmed, standing.pending):
            role = None if report is None else report.data
            if not isinstance(role, Role):
                continue
            person = parties.get(role.person)
            for affiliation in () if person is None else person.affiliations:
                found.update(affiliation.controllers, affiliation.projected_controllers)
            for party in (role.represents, role.left_for):
                known = None if party is None else parties.get(party)
                if known is not None and known.labs:
                    found.update(known.labs)
    return found


def governance_influence(ties: Iterable[GovernanceTie], board_size: int | None, seat_claims: Iterable[str]) -> float:
    """G in [0, 1]. With a known board size the seats add up to one tie."""
    seat_claims = set(seat_claims) if board_size is not None else set()
    seats = math.fsum(tie.weight for tie in ties if tie.claim_id in seat_claims)
    free = (1.0 - min(1.0, seats)) * math.prod(1.0 - tie.weight for tie in ties if tie.claim_id not in seat_claims)
    return 1.0 - free


def _held(standing: Standing, view: View) -> Iterator[tuple[Role, float]]:
    for data, probability in standing.weigh(view.probability(standing)):
        if isinstance(data, Role):
            yield data, probability


def _left(standing: Standing, at: datetime, view: View, weights: GovernanceWeights) -> Iterator[tuple[Role, float]]:
    """Executive roles that have ended within the cooling period, each with its probability."""
    pending = view.probability(standing)
    candidates: list[tuple[Report | None, float]] = [(standing.confirmed, 1.0 - pending), (standing.pending, pending)]
    for report, probability in candidates:
        if report is None or probability <= 0.0 or not report.is_end:
            continue
        role = report.data
        if not isinstance(role, Role) or role.role_type is not RoleType.EXECUTIVE:
            continue
        if at < cooling_ends(role.effective_time, weights.cooling_months):
            yield role, probability


def _works_for(lab: str, role: Role, parties: Mapping[str, Profile], view: View) -> float:
    """How surely the person is an executive of `lab` or of what it controls, elsewhere than here."""
    person = parties.get(role.person)
    if person is None:
        return 0.0
    return max((a.tie(lab, view.name) for a in person.affiliations if a.organisation != role.subject), default=0.0)


def _is_of(lab: str, party: str | None, parties: Mapping[str, Profile], view: View) -> float:
    if party is None or party not in parties:
        return 0.0
    return 1.0 if parties[party].exposure(lab, view.name).control is not None else 0.0
