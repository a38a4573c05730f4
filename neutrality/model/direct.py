"""The direct solution: the same scores straight from the formulas, all entities at once, for `neutrality verify`.

The stream works out ownership level by level and control by messages between vertices. Here integrated ownership is one sparse linear
system a lab, control a plain fixed point over the whole graph, and the four channels are sums over all claims. Only the reading of claims
(which report stands, what a share is once ranges are settled) is the stream's own. Needs the extra `verify` (NumPy and SciPy).
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import combinations
from typing import Final

import numpy as np
from scipy.sparse import csr_matrix, identity
from scipy.sparse.linalg import spsolve

from neutrality.events.structs import (
    AnyEvent,
    Contract,
    Correction,
    Event,
    Intent,
    Interest,
    Revenue,
    Role,
    RoleType,
    as_struct,
)
from neutrality.model.claims import Report, Standing, retractions, standings
from neutrality.model.dossier import settle
from neutrality.model.futures import Future
from neutrality.model.governance import cooling_ends
from neutrality.model.methodology import Methodology
from neutrality.model.ownership import Allotted
from neutrality.model.picture import Attributes, Holdings, attributes_of, holdings
from neutrality.model.views import CONFIRMED, PROJECTED, VIEWS, View
from neutrality.model.votes import MAX_BLOCKS

TOLERANCE_POINTS: Final = 1e-4  # 1e-6 of the scale: the stream drops ownership terms under 1e-9, ring after ring
Shares = Mapping[tuple[str, str], float]  # (subject, party) -> share
_LEAST_RETAINED: Final = 1e-12
_WHOLE: Final = 1.0 - 1e-9


def integrated_ownership(sources: Collection[str], shares: Shares, levels: int | None = None) -> dict[str, float]:
    """What a lab owns of each entity that it reaches: x with x = 1 at `sources` (the lab and its group), x[s] = sum of share[s, p] x[p] elsewhere.

    Only what a source reaches takes part, so that the system is never singular. With `levels`, the sum over paths of at most so many
    steps instead: what the stream has if it cut levels off.
    """
    held: dict[str, list[tuple[str, float]]] = {}
    for (subject, party), share in shares.items():
        if share > 0.0 and subject not in sources:
            held.setdefault(party, []).append((subject, share))
    reached = {entity: index for index, entity in enumerate(_reached(sources, held))}
    if not reached:
        return {}
    first = np.zeros(len(reached))
    entries = []
    for party in (*sources, *reached):
        for subject, share in held.get(party, ()):
            if party in reached:
                entries.append((share, reached[subject], reached[party]))
            else:
                first[reached[subject]] += share
    values, rows, columns = zip(*entries, strict=True) if entries else ((), (), ())
    matrix = csr_matrix((values, (rows, columns)), shape=(len(reached), len(reached)))
    solution = _solve(matrix, first) if levels is None else _sum_of_powers(matrix, first, levels)
    return {entity: float(solution[index]) for entity, index in reached.items()}


def _reached(sources: Iterable[str], held: Mapping[str, Sequence[tuple[str, float]]]) -> list[str]:
    """All in which a source holds something, directly or through others."""
    found: dict[str, None] = {}
    frontier = [*sources]
    while frontier:
        for subject, _ in held.get(frontier.pop(), ()):
            if subject not in found:
                found[subject] = None
                frontier.append(subject)
    return list(found)


def _solve(matrix: csr_matrix, first: np.ndarray) -> np.ndarray:
    """(I - B)^-1 b."""
    return np.atleast_1d(spsolve((identity(len(first), format="csc") - matrix).tocsc(), first))


def _sum_of_powers(matrix: csr_matrix, first: np.ndarray, count: int) -> np.ndarray:
    """(I + B + ... + B^(count - 1)) b."""
    total, term = first.copy(), first
    for _ in range(count - 1):
        term = matrix @ term
        total += term
    return total


def controlled(
    sources: Collection[str], votes: Shares, appointers: Collection[tuple[str, str]] = (), levels: int | None = None
) -> set[str]:
    """All that a lab controls, `sources` (the lab and its group) included; in at most so many rounds. `appointers`: (subject, party)."""
    held: dict[str, tuple[list[Allotted], list[tuple[str, str]]]] = {}
    for (subject, party), share in votes.items():
        held.setdefault(subject, ([], []))[0].append(Allotted("", party, share))
    for subject, party in appointers:
        held.setdefault(subject, ([], []))[1].append(("", party))
    return _likely_controlled(
        sources, {subject: [Future(1.0, tuple(blocks), tuple(rights))] for subject, (blocks, rights) in held.items()}, levels
    )


def _likely_controlled(sources: Collection[str], held: Mapping[str, Sequence[Future]], levels: int | None) -> set[str]:
    """All that a lab is likelier than not to control; `held`: what may become of the votes in each subject."""
    found = set(sources)
    rounds = 0
    while levels is None or rounds < levels:
        more = {
            subject
            for subject, futures in held.items()
            if math.fsum(future.probability for future in futures if _decides_in(future, found)) > 0.5
        }
        if more <= found:
            break
        found |= more
        rounds += 1
    return found


def _decides_in(future: Future, reached: Collection[str]) -> bool:
    """Whether those that are reached hold over half of the votes together, or one of them appoints the board's majority."""
    if any(party in reached for _, party in future.appointers):
        return True
    return math.fsum(block.share for block in future.votes if block.party in reached) > 0.5


def shapley_with_ocean(own: float, others: Sequence[float]) -> float:
    """Shapley-Shubik index of a block at simple majority, the rest of the votes an ocean (Milnor & Shapley 1978), by quadrature.

    Everybody arrives at a uniform random time; the block is pivotal if those before it hold at most half and it lifts them above. Given
    the blocks before it, the time must fall into an interval, over which the polynomial t^before (1 - t)^after is integrated exactly.
    """
    ocean = 1.0 - math.fsum([own, *others])
    nodes, weights = np.polynomial.legendre.leggauss(len(others) // 2 + 1)
    total = 0.0
    for size in range(len(others) + 1):
        for coalition in combinations(others, size):
            before = math.fsum(coalition)
            if ocean > 1e-12:
                start, end = (min(1.0, max(0.0, (0.5 - before - part) / ocean)) for part in (own, 0.0))
            else:
                pivotal = before <= 0.5 < math.fsum([before, own])
                start, end = 0.0, 1.0 if pivotal else 0.0
            times = (end - start) / 2.0 * nodes + (end + start) / 2.0
            total += (end - start) / 2.0 * float(weights @ (times**size * (1.0 - times) ** (len(others) - size)))
    return total


@dataclass(frozen=True, slots=True)
class Solution:
    """What is left of each vendor after each lab's influence, by view: a ratio in [0, 1]; labs without influence are left out."""

    retained: Mapping[str, Mapping[str, Mapping[str, float]]]
    affiliated_by: Mapping[str, frozenset[str]]

    def score(self, vendor: str, lab: str | None, view: str) -> float:
        """Neutrality in [0, 100] towards a lab; None: the headline. Raises KeyError for what is no vendor."""
        rivals = (
            part
            for rival, part in self.retained[vendor][view].items()
            if rival != lab and lab not in self.affiliated_by.get(rival, frozenset())
        )
        return 100.0 * math.prod(rivals)


class DirectModel:
    """Everything reported about all entities. Grows by `add`; `solve` works all of it out anew."""

    def __init__(self, methodology: Methodology) -> None:
        """Nothing is known."""
        self._methodology = methodology
        self._told: dict[str, dict[tuple[str, str], tuple[Event, int]]] = {}

    def add(self, events: Iterable[tuple[AnyEvent, int]]) -> None:
        """Take in events, each with the time at which Kafka took it (ms since 1970), in any order and with any repeats."""
        for found, accepted_ms in events:
            event = as_struct(found)
            told = self._told.setdefault(event.data.subject, {})
            key = event.source, event.id
            known, earliest = told.get(key, (event, accepted_ms))
            if known != event:  # two events under one name, which is against the contract: the same one whatever the order
                event = settle(known, event)
            told[key] = event, min(earliest, accepted_ms)

    def solve(self, at: datetime, *, levels: int | None = None) -> Solution:
        """All scores at time `at`; with `levels`, ownership over paths of at most so many steps."""
        graph = _Graph(self._told, at, self._methodology, levels)
        return Solution(
            {vendor: graph.retained(vendor) for vendor, known in graph.attributes.items() if known.is_vendor}, graph.affiliated_by
        )


@dataclass(frozen=True, slots=True)
class _Reach:
    """How one lab reaches all entities in one view."""

    ownership: Mapping[str, float]
    controlled: frozenset[str] | set[str]


class _Graph:
    """All claims as they stand at a time."""

    def __init__(
        self,
        told: Mapping[str, Mapping[tuple[str, str], tuple[Event, int]]],
        at: datetime,
        methodology: Methodology,
        levels: int | None,
    ) -> None:
        self._at, self._methodology, self._levels = at, methodology, levels
        self._standings: dict[str, tuple[Standing, ...]] = {}
        for entity, events in told.items():
            reports = [
                Report(event, accepted_ms) for event, accepted_ms in events.values() if not isinstance(event.data, Correction)
            ]
            taken_back = retractions(event for event, _ in events.values())
            self._standings[entity] = standings(reports, taken_back, at, methodology.evidence)
        self.attributes: dict[str, Attributes] = {entity: attributes_of(found) for entity, found in self._standings.items()}
        self._lab: dict[str, str] = {}
        for entity, known in self.attributes.items():
            if known.group is not None or known.is_lab:
                self._lab[entity] = known.group or entity
        self._labs = sorted(set(self._lab.values()))
        self._views = [view for view in VIEWS if view is CONFIRMED or self._can_differ(view)]
        self._holdings = {view: self._held_in(view) for view in self._views}
        self._reach = {(lab, view): self._reach_of(lab, view) for lab in self._labs for view in self._views}
        self._executives = self._executive_roles()

    @cached_property
    def affiliated_by(self) -> dict[str, frozenset[str]]:
        """For each lab, those that declare it an affiliate and so do not count it as a rival."""
        found: dict[str, set[str]] = {}
        for entity, known in self.attributes.items():
            for other in known.affiliates if known.is_lab else ():
                if self._lab.get(other) == other:
                    found.setdefault(other, set()).add(entity)
        return {lab: frozenset(by) for lab, by in found.items()}

    def retained(self, vendor: str) -> dict[str, dict[str, float]]:
        """By view and lab, the product over channels of 1 - weight x influence."""
        weights = self._methodology.weights
        found: dict[str, dict[str, float]] = {}
        for view in VIEWS:
            if view not in self._views:
                found[view.name] = found[CONFIRMED.name]
                continue
            spent = list(self._spending(vendor, view))
            by_lab = {}
            for lab in self._labs:
                terms = (
                    (weights.ownership, self._ownership(vendor, lab, view)),
                    (weights.votes, self._votes(vendor, lab, view)),
                    (weights.governance, self._governance(vendor, lab, view)),
                    (weights.revenue, min(1.0, self._revenue(lab, spent))),
                )
                part = math.prod(max(_LEAST_RETAINED, 1.0 - weight * influence) for weight, influence in terms)
                if part < 1.0:
                    by_lab[lab] = part
            found[view.name] = by_lab
        return found

    def _can_differ(self, view: View) -> bool:
        """Whether anything known makes a difference between a view and the confirmed one."""
        if view is PROJECTED:
            return any(standing.pending is not None for found in self._standings.values() for standing in found)
        return any(
            isinstance(claim := standing.active, Interest) and (claim.share is None or claim.share.exact is None)
            for found in self._standings.values()
            for standing in found
        )

    def _held_in(self, view: View) -> dict[str, Holdings]:
        """Who holds what in each entity in which anything is held."""
        interests = {
            entity: [standing for standing in found if isinstance(standing.newest.data, Interest)]
            for entity, found in self._standings.items()
        }
        return {entity: holdings(found, view) for entity, found in interests.items() if found}

    def _reach_of(self, lab: str, view: View) -> _Reach:
        sources = {entity for entity, own in self._lab.items() if own == lab} or {lab}
        held = self._holdings[view]
        equity = _together((subject, stake.party, stake.share) for subject, part in held.items() for stake in part.equity)
        return _Reach(
            integrated_ownership(sources, equity, self._levels),
            _likely_controlled(
                sources, {subject: part.futures for subject, part in held.items()}, self._methodology.limits.levels
            ),
        )

    def _executive_roles(self) -> dict[str, list[tuple[str, float, float]]]:
        """For each person the organisations that they lead, and how surely: confirmed and projected, a claim each."""
        found: dict[str, list[tuple[str, float, float]]] = {}
        for organisation, told in self._standings.items():
            for standing in told:
                sure: dict[str, list[float]] = {}
                for index, view in enumerate((CONFIRMED, PROJECTED)):
                    for role, probability in _roles(standing, view):
                        if role.role_type is RoleType.EXECUTIVE and role.person != organisation:
                            sure.setdefault(role.person, [0.0, 0.0])[index] += probability
                for person, (confirmed, projected) in sure.items():
                    found.setdefault(person, []).append((organisation, confirmed, projected))
        return found

    def _group_of(self, entity: str) -> str | None:
        """The lab whose group an entity belongs to: declared, or the one that owns all of it."""
        whole = (lab for lab in self._labs if self._reach[lab, CONFIRMED].ownership.get(entity, 0.0) >= _WHOLE)
        return self._lab.get(entity) or next(whole, None)

    def _ownership(self, vendor: str, lab: str, view: View) -> float:
        if self._lab.get(vendor) == lab:
            return 1.0
        return min(1.0, self._reach[lab, view].ownership.get(vendor, 0.0))

    def _casters(self, future: Future, view: View) -> dict[str, float]:
        """Votes by who casts them: a lab for all that it controls, else the party itself."""
        cast: dict[str, list[float]] = {}
        for block in future.votes:
            caster = next((lab for lab in self._labs if block.party in self._reach[lab, view].controlled), f"party:{block.party}")
            cast.setdefault(caster, []).append(block.share)
        return {caster: math.fsum(shares) for caster, shares in cast.items()}

    def _votes(self, vendor: str, lab: str, view: View) -> float:
        if self._lab.get(vendor) == lab:
            return 1.0
        held = self._holdings[view].get(vendor)
        return math.fsum(future.probability * self._power(future, lab, view) for future in held.futures) if held else 0.0

    def _power(self, future: Future, lab: str, view: View) -> float:
        if _decides_in(future, self._reach[lab, view].controlled):
            return 1.0
        casters = self._casters(future, view)
        own = casters.get(lab, 0.0)
        if own <= 0.0 or any(_decides_in(future, self._reach[other, view].controlled) for other in self._labs):
            return 0.0
        others = sorted((share for caster, share in casters.items() if caster != lab and share > 0.0), reverse=True)
        if any(share > 0.5 for share in others):
            return 0.0
        return shapley_with_ocean(own, others[: MAX_BLOCKS - 1])

    def _governance(self, vendor: str, lab: str, view: View) -> float:
        weights, size = self._methodology.governance, self.attributes[vendor].board_size
        free, seats = 1.0, 0.0
        for standing in self._standings[vendor]:
            for role, probability in _roles(standing, view):
                works_for = self._works_for(role.person, vendor, lab, view)
                if role.role_type is RoleType.EXECUTIVE:
                    free *= 1.0 - weights.executive_interlock * probability * works_for
                    continue
                seat = probability * max(works_for, self._is_of(role.represents, lab, view))
                if size is None:
                    free *= 1.0 - weights.board_seat * seat
                seats += seat
            for role, probability in _departed(standing, view):
                if self._at >= cooling_ends(role.effective_time, weights.cooling_months):
                    continue
                went = max(self._works_for(role.person, vendor, lab, view), self._is_of(role.left_for, lab, view))
                free *= 1.0 - weights.departed_executive * probability * went
        return 1.0 - free * (1.0 if size is None else 1.0 - min(1.0, seats / size))

    def _works_for(self, person: str, vendor: str, lab: str, view: View) -> float:
        """How surely a person leads what a lab controls, elsewhere than at the vendor."""
        foreseen = view is PROJECTED  # who leads an organisation is told with its controllers as confirmed or as projected
        reached = self._reach[lab, view if foreseen else CONFIRMED].controlled
        return max(
            (
                projected if foreseen else confirmed
                for organisation, confirmed, projected in self._executives.get(person, ())
                if organisation != vendor and organisation in reached
            ),
            default=0.0,
        )

    def _is_of(self, party: str | None, lab: str, view: View) -> float:
        return 1.0 if party in self._reach[lab, view].controlled else 0.0

    def _revenue(self, lab: str, spent: Iterable[tuple[str, tuple[int, str], float]]) -> float:
        """The group's part of the revenue in the newest fiscal year in which its spending and the revenue are known."""
        own = [(year, ratio) for customer, year, ratio in spent if self._group_of(customer) == lab]
        newest = max((year for year, _ in own), default=None)
        return math.fsum(ratio for year, ratio in own if year == newest)

    def _spending(self, vendor: str, view: View) -> Iterator[tuple[str, tuple[int, str], float]]:
        """Each customer's part of the revenue by fiscal year, where both are known, less what its plans take away."""
        claims = [
            (standing, claim, probability)
            for standing in self._standings[vendor]
            for claim, probability in standing.weigh(view.probability(standing))
        ]
        totals: dict[tuple[int, str], list[tuple[Standing, float, float]]] = {}
        spent: dict[tuple[int, str], list[tuple[str, float]]] = {}
        staying: dict[str, float] = {}
        for standing, claim, probability in claims:
            if isinstance(claim, Revenue) and claim.customer != vendor:
                year, amount = (claim.fiscal_year, claim.amount.currency), float(claim.amount.amount)
                if claim.customer is None:
                    totals.setdefault(year, []).append((standing, amount, probability))
                else:
                    spent.setdefault(year, []).append((claim.customer, amount * probability))
            elif isinstance(claim, Contract) and claim.intent is not Intent.CONTINUE:
                going = self._methodology.plans.end if claim.intent is Intent.END else self._methodology.plans.reduce
                staying[claim.customer] = staying.get(claim.customer, 1.0) * (1.0 - probability * going)
        for year, amounts in spent.items():
            values = _newest_total(totals[year]) if year in totals else []
            if not values:
                continue
            certainty = math.fsum(probability for _, probability in values)
            expected = math.fsum(amount * probability for amount, probability in values) / certainty
            for customer, amount in amounts:
                yield customer, year, min(1.0, amount / expected * certainty) * staying.get(customer, 1.0)


def _together(rows: Iterable[tuple[str, str, float]]) -> dict[tuple[str, str], float]:
    """Shares of one party in one subject by several claims, added up."""
    found: dict[tuple[str, str], float] = {}
    for subject, party, share in rows:
        found[subject, party] = found.get((subject, party), 0.0) + share
    return found


def _roles(standing: Standing, view: View) -> Iterator[tuple[Role, float]]:
    """The roles that are held by a claim, each with its probability."""
    for claim, probability in standing.weigh(view.probability(standing)):
        if isinstance(claim, Role):
            yield claim, probability


def _departed(standing: Standing, view: View) -> Iterator[tuple[Role, float]]:
    """The executive roles that have ended by a claim, each with its probability."""
    pending = view.probability(standing)
    told: tuple[tuple[Report | None, float], ...] = ((standing.confirmed, 1.0 - pending), (standing.pending, pending))
    for report, probability in told:
        if report is None or not report.is_end or probability <= 0.0:
            continue
        if isinstance(report.data, Role) and report.data.role_type is RoleType.EXECUTIVE:
            yield report.data, probability


def _newest_total(told: Sequence[tuple[Standing, float, float]]) -> list[tuple[float, float]]:
    """Of several claims about one year's revenue the one told last stands: its amounts over 0, each with its probability."""
    newest = max(standing.newest.by_record for standing, _, _ in told)
    return [(amount, probability) for standing, amount, probability in told if standing.newest.by_record == newest and amount > 0]
