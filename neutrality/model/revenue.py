"""Channel 4, revenue: a lab's group's spending with the vendor over the vendor's revenue, in the newest fiscal year with both known.

Where only one is known the channel is unknown, never 0. A customer's plan to leave or to spend less takes away from its sway what the
methodology says, by the plan's probability.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from msgspec import Struct

from neutrality.events.structs import Contract, Intent, Revenue
from neutrality.model.claims import Standing
from neutrality.model.methodology import Plans
from neutrality.model.profile import Profile
from neutrality.model.views import View

Year = tuple[int, str]


class Spending(Struct, frozen=True, gc=False):
    """A customer's part of the vendor's revenue in a fiscal year (and currency): ratio in [0, 1], by one claim."""

    claim_id: str
    customer: str
    ratio: float
    year: Year


def spendings(standings: Iterable[Standing], view: View, plans: Plans) -> tuple[Spending, ...]:
    """Every customer's part of the revenue, in all fiscal years with both known; empty if the channel is unknown."""
    standings = tuple(standings)
    totals: dict[Year, tuple[tuple[object, ...], list[tuple[Decimal, float]]]] = {}
    spent: dict[Year, list[tuple[str, str, Decimal]]] = {}
    for standing in standings:
        for claim, probability in standing.weigh(view.probability(standing)):
            if not isinstance(claim, Revenue):
                continue
            year = claim.fiscal_year, claim.amount.currency
            if claim.customer is not None:
                spent.setdefault(year, []).append((standing.claim_id, claim.customer, claim.amount.amount * Decimal(probability)))
                continue
            order = standing.newest.by_record  # of two claims about one year's revenue, the one told last stands
            known_order, values = totals.get(year, (order, []))
            if order > known_order:
                values = []
            if order >= known_order:
                totals[year] = order, [*values, (claim.amount.amount, probability)]
    staying = _staying(standings, view, plans)
    found = []
    for year in sorted(spent):
        if year not in totals or not any(amount > 0 for amount, _ in totals[year][1]):
            continue
        total, certainty = _expected(totals[year][1])
        for claim_id, customer, amount in sorted(spent[year]):
            ratio = min(1.0, float(amount / total) * certainty) * staying.get(customer, 1.0)
            found.append(Spending(claim_id, customer, ratio, year))
    return tuple(found)


def _expected(values: Iterable[tuple[Decimal, float]]) -> tuple[Decimal, float]:
    """Expected revenue given that it is known, and the probability that it is."""
    weighted = [(amount, Decimal(probability)) for amount, probability in values if amount > 0]
    certainty = sum((probability for _, probability in weighted), Decimal(0))
    return sum((amount * probability for amount, probability in weighted), Decimal(0)) / certainty, float(certainty)


def spending_by_lab(spending: Iterable[Spending], parties: Mapping[str, Profile]) -> dict[str, list[Spending]]:
    """The spending of each lab's group."""
    found: dict[str, list[Spending]] = {}
    for item in spending:
        customer = parties.get(item.customer)
        lab = None if customer is None else customer.lab_of()
        if lab is not None:
            found.setdefault(lab, []).append(item)
    return found


def revenue_influence(own: Sequence[Spending]) -> tuple[float, tuple[Spending, ...]]:
    """R in [0, 1] of a lab's group in the newest year with its spending known, and the spending that it is made of; `own` is all of it."""
    newest = max((s.year for s in own), default=None)
    counted = tuple(s for s in own if s.year == newest and s.ratio > 0.0)
    return min(1.0, math.fsum([s.ratio for s in counted])), counted


def _staying(standings: Iterable[Standing], view: View, plans: Plans) -> dict[str, float]:
    """For each customer with plans to go, the part of its sway that is expected to stay; plans taken as independent."""
    staying: dict[str, float] = {}
    for standing in standings:
        for claim, probability in standing.weigh(view.probability(standing)):
            if not isinstance(claim, Contract) or claim.intent is Intent.CONTINUE:
                continue
            going = plans.end if claim.intent is Intent.END else plans.reduce
            staying[claim.customer] = staying.get(claim.customer, 1.0) * (1.0 - probability * going)
    return staying
