"""From channels to scores.

I(R, v) = 1 - product over channels of (1 - weight x influence); neutrality(v, X) = 100 x product over rivals R of X of (1 - I(R, v)).
All is kept as log losses L = -ln(1 - weight x influence), so that the score is 100 exp(-sum L) and points are attributed exactly.
Sums are `math.fsum`, which rounds once: the result does not depend on the order of what is summed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from neutrality.events.assessment import Assessment, Cause, Channel, Outlook, Part, Score, Term, Watch
from neutrality.events.claims import Interest, InterestType, Role, RoleType
from neutrality.model.claims import Standing
from neutrality.model.explanation import note_of
from neutrality.model.facts import Facts, Holdings
from neutrality.model.governance import governance_influence, governance_ties
from neutrality.model.methodology import Methodology
from neutrality.model.ownership import integrated, levels
from neutrality.model.revenue import Spending, revenue_influence, spendings
from neutrality.model.views import CONFIRMED, HIGH, LOW, PROJECTED, VIEWS, View
from neutrality.model.votes import blocks, control_level, power

_LEAST_RETAINED: Final = 1e-12  # full control would be an infinite loss; what is left of 100 points is far under any rounding
_NO_INFLUENCE: Final = 1e-12

_Weighted = list[tuple[str, str, float]]


@dataclass(frozen=True, slots=True)
class _Reading:
    """Losses by lab in one view."""

    by_lab: Mapping[str, float]

    def score(self, excluded: frozenset[str]) -> float:
        return 100.0 * math.exp(-math.fsum(loss for lab, loss in self.by_lab.items() if lab not in excluded))


def terms_of(facts: Facts, view: View, methodology: Methodology) -> tuple[Term, ...]:
    """The influence of every lab through every channel in one view, in order of (lab, channel); those without any are left out."""
    held = facts.holdings(view)
    spending = spendings(facts.standings, view, methodology.plans)
    labs = sorted({*facts.labs(), *([facts.lab] if facts.lab is not None else [])})
    found = []
    for lab in labs:
        influences: tuple[tuple[Channel, float, _Weighted], ...] = (
            ("governance", *_governance(lab, facts, view, methodology)),
            ("ownership", *_ownership(lab, facts, held, view, methodology)),
            ("revenue", *_revenue(lab, facts, spending)),
            ("votes", *_votes(lab, labs, facts, held, view, methodology)),
        )
        for channel, influence, weighted in influences:
            if influence <= _NO_INFLUENCE:
                continue
            retained = max(_LEAST_RETAINED, 1.0 - getattr(methodology.weights, channel) * influence)
            found.append(Term(lab, channel, influence, -math.log(retained), _parts(weighted)))
    return tuple(found)


def assess(facts: Facts, methodology: Methodology, *, levels_cut: bool, version: int, cause: Cause | None) -> Assessment:
    """The assessment of a vendor at `facts.at`."""
    terms = {view: terms_of(facts, view, methodology) for view in {facts.distinct(view) for view in VIEWS}}
    readings = {view: _reading(terms[facts.distinct(view)]) for view in VIEWS}
    confirmed, projected = terms[CONFIRMED], terms[facts.distinct(PROJECTED)]
    alone = [
        (standing, _reading(terms_of(facts, View("confirmed", certain=standing.claim_id), methodology)))
        for standing in facts.standings
        if standing.pending is not None
    ]
    coverage = _coverage(facts, methodology)

    def score(excluded: frozenset[str]) -> Score:
        value = readings[CONFIRMED].score(excluded)
        effects = [(standing, reading.score(excluded)) for standing, reading in alone]
        expected = readings[PROJECTED].score(excluded)
        return Score(
            confirmed=value,
            projected=expected,
            low=readings[LOW].score(excluded),
            high=readings[HIGH].score(excluded),
            grade=methodology.grade(value) if coverage["ownership"] else "NR",
            outlook=_outlook(value, expected, [effect for _, effect in effects], methodology.outlook.margin_points),
            watch=_watch(value, effects, facts.at, methodology),
        )

    excluded = {lab: _excluded(lab, facts) for lab in _named_labs(facts, confirmed, projected)}
    return Assessment(
        vendor=facts.entity,
        name=facts.name_of(facts.entity),
        version=version,
        methodology=methodology.version,
        headline=score(frozenset()),
        labs={lab: score(others) for lab, others in excluded.items()},
        excluded={lab: tuple(sorted(others)) for lab, others in excluded.items()},
        confirmed=confirmed,
        projected=projected,
        coverage=coverage,
        claims=tuple(note_of(standing, facts.name_of) for standing in facts.standings),
        categories=facts.attributes.categories,
        flags=_flags(facts, levels_cut=levels_cut),
        cause=cause,
    )


def watch_lapses(standing: Standing, methodology: Methodology) -> datetime | None:
    """When the watch that a pending claim may have raised lapses unless it is reaffirmed: counted from when we learnt of it."""
    if standing.pending is None:
        return None
    learnt = datetime.fromtimestamp(standing.pending.accepted_ms / 1000.0, tz=UTC)
    return learnt + timedelta(days=methodology.outlook.watch_days)


def _reading(terms: Iterable[Term]) -> _Reading:
    by_lab: dict[str, list[float]] = {}
    for term in terms:
        by_lab.setdefault(term.lab, []).append(term.log_loss)
    return _Reading({lab: math.fsum(losses) for lab, losses in by_lab.items()})


def _parts(weighted: _Weighted) -> tuple[Part, ...]:
    """Parts that add up to 1, one a claim and party, in order of claim."""
    together: dict[tuple[str, str], list[float]] = {}
    for claim_id, through, weight in weighted:
        together.setdefault((claim_id, through), []).append(weight)
    total = math.fsum(weight for _, _, weight in weighted)
    return tuple(
        Part(claim_id, math.fsum(together[claim_id, through]) / total, through) for claim_id, through in sorted(together)
    )


def _ownership(lab: str, facts: Facts, held: Holdings, view: View, methodology: Methodology) -> tuple[float, _Weighted]:
    if facts.lab == lab:  # a lab, or a member of its group, is its own
        return 1.0, [(facts.attributes.lab_claim or "", lab, 1.0)]
    influence = integrated(levels(lab, held.equity, facts.parties, view, methodology.limits)[0])
    weighted = [
        (holding.claim_id, holding.party, holding.share * math.fsum(upstream))
        for holding in held.equity
        if holding.party in facts.parties and (upstream := facts.parties[holding.party].exposure(lab, view.name).levels)
    ]
    return influence, [row for row in weighted if row[2] > 0.0]


def _votes(
    lab: str, labs: Sequence[str], facts: Facts, held: Holdings, view: View, methodology: Methodology
) -> tuple[float, _Weighted]:
    if facts.lab == lab:  # a lab, or a member of its group, is its own
        return 1.0, [(facts.attributes.lab_claim or "", lab, 1.0)]
    appointers = [party for _, party in held.appointers]

    def controls(candidate: str) -> bool:
        return control_level(candidate, held.votes, appointers, facts.parties, view, methodology.limits) is not None

    def reached(party: str) -> bool:
        return party in facts.parties and facts.parties[party].exposure(lab, view.name).control is not None

    own: _Weighted = [
        (block.claim_id, block.party, block.share) for block in held.votes if reached(block.party) and block.share > 0
    ]
    if controls(lab):
        return 1.0, own or [(claim_id, party, 1.0) for claim_id, party in held.appointers if reached(party)]
    if not own or any(controls(other) for other in labs if other != lab):
        return 0.0, []
    return power(lab, blocks(held.votes, labs, facts.parties, view)), own


def _governance(lab: str, facts: Facts, view: View, methodology: Methodology) -> tuple[float, _Weighted]:
    size = facts.attributes.board_size
    ties = governance_ties(lab, facts.standings, facts.parties, size, view, methodology.governance)
    seats = [
        standing.claim_id
        for standing in facts.standings
        if isinstance(standing.newest.data, Role) and standing.newest.data.role_type is RoleType.BOARD_MEMBER
    ]
    weighted = [(tie.claim_id, tie.person, -math.log(max(_LEAST_RETAINED, 1.0 - min(1.0, tie.weight)))) for tie in ties]
    return governance_influence(ties, size, seats), weighted


def _revenue(lab: str, facts: Facts, spending: Sequence[Spending]) -> tuple[float, _Weighted]:
    influence, own = revenue_influence(lab, spending, facts.parties)
    return influence, [(item.claim_id, item.customer, item.ratio) for item in own]


def _coverage(facts: Facts, methodology: Methodology) -> dict[str, bool]:
    known = [standing.active for standing in facts.standings if standing.active is not None]
    interests = {claim.interest_type for claim in known if isinstance(claim, Interest)}
    return {
        "ownership": InterestType.SHAREHOLDING in interests or facts.lab is not None,
        "votes": bool(interests & {InterestType.VOTING_RIGHTS, InterestType.APPOINTMENT_OF_BOARD}),
        "governance": any(isinstance(claim, Role) for claim in known),
        "revenue": bool(spendings(facts.standings, CONFIRMED, methodology.plans)),
    }


def _flags(facts: Facts, *, levels_cut: bool) -> tuple[str, ...]:
    held = facts.holdings(CONFIRMED)
    unknown = any(
        isinstance(claim := standing.active, Interest)
        and claim.interest_type is InterestType.SHAREHOLDING
        and claim.share is None
        for standing in facts.standings
    )
    found = (("levels_cut", levels_cut), ("shares_over_one", held.over_one), ("unknown_shares", unknown))
    return tuple(name for name, holds in found if holds)


def _named_labs(facts: Facts, *views: Sequence[Term]) -> tuple[str, ...]:
    """Labs whose score may differ from the headline: those with influence, and those that declare one of these an affiliate."""
    with_influence = {term.lab for terms in views for term in terms}
    declared = {
        declarer
        for profile in facts.parties.values()
        for lab, exposure in (profile.labs or {}).items()
        if lab in with_influence
        for declarer in exposure.affiliated_by
    }
    return tuple(sorted(with_influence | declared))


def _excluded(lab: str, facts: Facts) -> frozenset[str]:
    affiliates = {
        other
        for profile in facts.parties.values()
        for other, exposure in (profile.labs or {}).items()
        if lab in exposure.affiliated_by
    }
    return frozenset({lab, *affiliates})


def _outlook(value: float, expected: float, effects: Iterable[float], margin: float) -> Outlook:
    moves = [effect - value for effect in effects]
    if any(move <= -margin for move in moves) and any(move >= margin for move in moves):
        return "developing"
    if expected - value <= -margin:
        return "negative"
    return "positive" if expected - value >= margin else "stable"


def _watch(value: float, effects: Sequence[tuple[Standing, float]], at: datetime, methodology: Methodology) -> Watch | None:
    down = up = False
    for standing, effect in effects:
        lapses = watch_lapses(standing, methodology)
        if lapses is None or lapses <= at or methodology.grade(effect) == methodology.grade(value):
            continue
        down, up = down or effect < value, up or effect > value
    if down and up:
        return "developing"
    return "down" if down else "up" if up else None
