"""From channels to scores.

I(R, v) = 1 - product over channels of (1 - weight x influence); neutrality(v, X) = 100 x product over rivals R of X of (1 - I(R, v)).
All is kept as log losses L = -ln(1 - weight x influence), so that the score is 100 exp(-sum L) and points are attributed exactly.
Sums are `math.fsum`, which rounds once: the result does not depend on the order of what is summed.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from neutrality.events.assessment import Assessment, Channel, ClaimNote, Outlook, Part, Score, Step, Term, Watch, note_to_bytes
from neutrality.events.structs import Role, RoleType
from neutrality.model.explanation import named_in, note_of
from neutrality.model.facts import Facts, reach_in
from neutrality.model.governance import governance_influence, governance_ties, labs_tied
from neutrality.model.methodology import Limits, Methodology
from neutrality.model.ownership import integrated
from neutrality.model.picture import Holdings, Note, by_party
from neutrality.model.profile import NO_EXPOSURE, Exposure, LabExposure
from neutrality.model.revenue import Spending, revenue_influence, spending_by_lab
from neutrality.model.views import CONFIRMED, FORESEEN, HIGH, LOW, PROJECTED, View
from neutrality.model.votes import blocks, control_levels_in, power

_LEAST_RETAINED: Final = 1e-12  # full control would be an infinite loss; what is left of 100 points is far under any rounding
_NO_INFLUENCE: Final = 1e-12

_Weighted = list[tuple[str, str, float]]
_NOTHING: Final[tuple[float, _Weighted]] = (0.0, [])
_NO_SHARES: Final[Mapping[str, float]] = {}


@dataclass(frozen=True, slots=True)
class _Reading:
    """Losses by lab in one view."""

    by_lab: Mapping[str, float]

    def score(self, excluded: frozenset[str]) -> float:
        return 100.0 * math.exp(-math.fsum(loss for lab, loss in self.by_lab.items() if lab not in excluded))


def terms_of(
    facts: Facts, view: View, methodology: Methodology, own: Mapping[str, LabExposure] | None = None
) -> tuple[Term, ...]:
    """The influence of every lab through every channel in one view, in order of (lab, channel); those without any are left out.

    `own` are the entity's exposures, if they have been reckoned already.
    """
    own = None if view.certain or view is FORESEEN else own
    held = facts.holdings(view)
    spending = spending_by_lab(facts.picture.spendings(view, methodology), facts.parties)
    labs = sorted({*facts.labs(), *([facts.lab] if facts.lab is not None else [])})
    reach = _reach(facts, held, view, methodology, own)
    tied = labs_tied(facts.picture.roles, facts.parties)
    shares: dict[Channel, Mapping[str, float]] = {"ownership": by_party(held.equity), "votes": by_party(held.votes)}
    weights = methodology.weights
    found = []
    for lab in labs:
        influences: tuple[tuple[Channel, float, float, _Weighted], ...] = (
            ("governance", weights.governance, *(_governance(lab, facts, view, methodology) if lab in tied else _NOTHING)),
            ("ownership", weights.ownership, *_ownership(lab, facts, held, view, reach)),
            ("revenue", weights.revenue, *(_revenue(spending[lab]) if lab in spending else _NOTHING)),
            ("votes", weights.votes, *_votes(lab, labs, facts, held, view, reach, methodology.limits)),
        )
        for channel, weight, influence, weighted in influences:
            if influence <= _NO_INFLUENCE:
                continue
            retained = max(_LEAST_RETAINED, 1.0 - weight * influence)
            parts = _parts(lab, weighted, facts, shares.get(channel, _NO_SHARES))
            found.append(Term(lab, channel, influence, -math.log(retained), parts))
    return tuple(found)


def assess(
    facts: Facts,
    methodology: Methodology,
    own: Mapping[str, LabExposure] | None = None,
    *,
    levels_cut: bool,
) -> Assessment:
    """The assessment of a vendor at `facts.at`, not yet under a version; `own` are its exposures, if they have been reckoned already."""
    distinct = facts.distinct_views()
    terms = {view: terms_of(facts, view, methodology, own) for view in dict.fromkeys(distinct.values())}
    readings = {view: _reading(found) for view, found in terms.items()}
    confirmed, projected = terms[CONFIRMED], terms[distinct[PROJECTED]]
    alone = {
        claim_id: _reading(terms_of(facts, View("confirmed", certain=frozenset([claim_id])), methodology))
        for claim_id in (standing.claim_id for standing in facts.picture.pending)
    }
    upstream = _reading(terms_of(facts, FORESEEN, methodology)) if facts.has_foresight() else None
    coverage = facts.picture.coverage(methodology)

    def score(excluded: frozenset[str]) -> Score:
        now = readings[CONFIRMED].score(excluded)
        expected, low, high = (
            now if distinct[view] is CONFIRMED else readings[view].score(excluded) for view in (PROJECTED, LOW, HIGH)
        )
        effects = {claim_id: reading.score(excluded) for claim_id, reading in alone.items()}
        further = [] if upstream is None else [upstream.score(excluded)]
        watched = [effect for claim_id, effect in effects.items() if claim_id in facts.picture.watched]
        return Score(
            confirmed=now,
            projected=expected,
            low=low,
            high=high,
            grade=methodology.grade(now) if coverage["ownership"] else "NR",
            outlook=_outlook(now, expected, [*effects.values(), *further], methodology.outlook.margin_points),
            watch=_watch(now, [*watched, *further], methodology),
        )

    excluded = _excluded({term.lab for found in terms.values() for term in found}, facts)
    return Assessment(
        vendor=facts.entity,
        name=facts.name_of(facts.entity),
        version=0,
        methodology=methodology.version,
        headline=score(frozenset()),
        labs={lab: score(others) for lab, others in excluded.items()},
        excluded={lab: tuple(sorted(others)) for lab, others in excluded.items()},
        confirmed=confirmed,
        projected=projected,
        coverage=coverage,
        claims=tuple([note for note, _ in notes_of(facts)]),
        categories=facts.attributes.categories,
        flags=(*(["levels_cut"] if levels_cut else []), *facts.picture.flags()),
    )


def _reading(terms: Iterable[Term]) -> _Reading:
    by_lab: dict[str, list[float]] = {}
    for term in terms:
        by_lab.setdefault(term.lab, []).append(term.log_loss)
    return _Reading({lab: math.fsum(losses) for lab, losses in by_lab.items()})


def _parts(lab: str, weighted: _Weighted, facts: Facts, shares: Mapping[str, float]) -> tuple[Part, ...]:
    """Parts that add up to 1, one a claim and party, in order of claim; each with the way from the lab through that party."""
    together: dict[tuple[str, str], list[float]] = {}
    for claim_id, through, weight in weighted:
        together.setdefault((claim_id, through), []).append(weight)
    total = math.fsum([weight for _, _, weight in weighted])
    return tuple(
        [
            Part(claim_id, math.fsum(together[claim_id, through]) / total, through, _way(lab, through, facts, shares))
            for claim_id, through in sorted(together)
        ]
    )


def _way(lab: str, through: str, facts: Facts, shares: Mapping[str, float]) -> tuple[Step, ...]:
    party = facts.parties.get(through)
    exposure = None if party is None or not party.labs else party.labs.get(lab)
    upstream = () if exposure is None else exposure.path
    return (*[Step(hop.holder, hop.share) for hop in upstream], Step(facts.name_of(through), shares.get(through, 0.0)))


def _reach(
    facts: Facts, held: Holdings, view: View, methodology: Methodology, own: Mapping[str, LabExposure] | None
) -> Mapping[str, Exposure]:
    """How each lab reaches the vendor; without those that do not."""
    if own is None or facts.lab is not None:
        found, _ = reach_in(held, facts.reached(), view, methodology)
        return found
    return {lab: exposure.of(view.name) for lab, exposure in own.items()}


def _ownership(lab: str, facts: Facts, held: Holdings, view: View, reach: Mapping[str, Exposure]) -> tuple[float, _Weighted]:
    if facts.lab == lab:  # a lab, or a member of its group, is its own
        return 1.0, [(facts.attributes.lab_claim or "", lab, 1.0)]
    influence = integrated(reach.get(lab, NO_EXPOSURE).levels)
    if influence <= _NO_INFLUENCE:
        return 0.0, []
    weighted = [
        (holding.claim_id, holding.party, holding.share * math.fsum(upstream))
        for holding in held.equity
        if (upstream := facts.exposure(holding.party, lab, view).levels)
    ]
    return influence, [row for row in weighted if row[2] > 0.0]


def _votes(
    lab: str,
    labs: Sequence[str],
    facts: Facts,
    held: Holdings,
    view: View,
    reach: Mapping[str, Exposure],
    limits: Limits,
) -> tuple[float, _Weighted]:
    if facts.lab == lab:  # a lab, or a member of its group, is its own
        return 1.0, [(facts.attributes.lab_claim or "", lab, 1.0)]
    if not held.votes and not held.appointers:
        return 0.0, []

    def reached(party: str) -> bool:
        return facts.exposure(party, lab, view).control is not None

    own: _Weighted = [
        (block.claim_id, block.party, block.share) for block in held.votes if reached(block.party) and block.share > 0
    ]
    own = own or [(right.claim_id, right.party, right.share) for right in held.appointers if reached(right.party)]
    if not own:
        return 0.0, []
    parts = []
    for future in held.futures:
        if future.probability == 1.0:
            decides = {one for one, exposure in reach.items() if exposure.control is not None}
        else:
            decides = set(control_levels_in(future, facts.reached(), view, limits))
        if lab in decides:
            parts.append(future.probability)
        elif not decides and future.votes:
            parts.append(future.probability * power(lab, blocks(future.votes, labs, facts.parties, view)))
    return math.fsum(parts), own


def _governance(lab: str, facts: Facts, view: View, methodology: Methodology) -> tuple[float, _Weighted]:
    roles, size = facts.picture.roles, facts.attributes.board_size
    if not roles:
        return 0.0, []
    ties = governance_ties(lab, roles, facts.at, facts.parties, size, view, methodology.governance)
    seats = [
        standing.claim_id
        for standing in roles
        if isinstance(standing.newest.data, Role) and standing.newest.data.role_type is RoleType.BOARD_MEMBER
    ]
    weighted = [(tie.claim_id, tie.person, -math.log(max(_LEAST_RETAINED, 1.0 - min(1.0, tie.weight)))) for tie in ties]
    return governance_influence(ties, size, seats), weighted


def _revenue(spending: Sequence[Spending]) -> tuple[float, _Weighted]:
    influence, own = revenue_influence(spending)
    return influence, [(item.claim_id, item.customer, item.ratio) for item in own]


def notes_of(facts: Facts) -> list[tuple[ClaimNote, bytes]]:
    """A note a claim, in order of claim id, and its JSON; made anew only where the claim or a name in it has changed."""
    kept = facts.picture.notes
    found = []
    for standing in facts.standings:
        known = kept.get(standing.claim_id)
        if known is None or known.standing is not standing or known.names != [facts.name_of(party) for party in known.named]:
            named = named_in(standing)
            names = {party: facts.name_of(party) for party in named}
            note = note_of(standing, names.__getitem__)
            known = Note(standing, named, [names[party] for party in named], note, note_to_bytes(note))
            kept[standing.claim_id] = known
        found.append((known.note, known.json))
    return found


def _excluded(influential: set[str], facts: Facts) -> dict[str, frozenset[str]]:
    """The labs that are no rivals to a lab, for every lab whose score may differ from the headline.

    These are the labs with influence, and those that declare one of these an affiliate.
    """
    affiliates: dict[str, set[str]] = {}
    for profile in facts.parties.values():
        told = [(lab, exposure.affiliated_by) for lab, exposure in (profile.labs or {}).items()]
        told += [declared for tie in profile.affiliations for declared in tie.affiliated_by.items()]
        for lab, declarers in told:
            for declarer in declarers:
                affiliates.setdefault(declarer, set()).add(lab)
    declared = {declarer for declarer, labs in affiliates.items() if labs & influential}
    return {lab: frozenset({lab, *affiliates.get(lab, ())}) for lab in sorted(influential | declared)}


def _outlook(value: float, expected: float, effects: Iterable[float], margin: float) -> Outlook:
    moves = [effect - value for effect in effects]
    if any(move <= -margin for move in moves) and any(move >= margin for move in moves):
        return "developing"
    if expected - value <= -margin:
        return "negative"
    return "positive" if expected - value >= margin else "stable"


def _watch(value: float, effects: Iterable[float], methodology: Methodology) -> Watch | None:
    moves = [effect for effect in effects if methodology.grade(effect) != methodology.grade(value)]
    down, up = any(effect < value for effect in moves), any(effect > value for effect in moves)
    if down and up:
        return "developing"
    return "down" if down else "up" if up else None
