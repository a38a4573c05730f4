"""A vendor's customers: what they spend, what part of the revenue that is, what they plan, and so what is at risk. Pure; runs in a worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from neutrality.events.structs import Contract, Intent, Money, Revenue
from neutrality.model.claims import Standing
from neutrality.model.explanation import money_text
from neutrality.model.methodology import load_methodology
from neutrality.model.picture import Picture
from services.board.domain.log import Told
from services.board.domain.ownership import pictures_of


@dataclass(frozen=True, slots=True)
class Plan:
    """What a customer means to do, on whose word, and how far that is believed (0..1)."""

    intent: str
    status: str
    credibility: float
    note: str | None


@dataclass(frozen=True, slots=True)
class Customer:
    """One customer. `share` is its part of the newest year's revenue with both known (0..1); `at_risk` the part that may go."""

    customer: str
    spent: str | None
    share: float | None
    annual_value: str | None
    data_classes: tuple[str, ...]
    plans: tuple[Plan, ...]
    at_risk: float


@dataclass(frozen=True, slots=True)
class Contracts:
    """All customers, the largest first; `revenue` in words, newest year first; `at_risk`: of the revenue, expected (0..1)."""

    customers: tuple[Customer, ...]
    revenue: tuple[str, ...]
    at_risk: float


def contracts_of(told: Sequence[Told], vendor: str, at: datetime) -> Contracts:
    """What is known of a vendor's customers at a time."""
    methodology = load_methodology()
    picture = pictures_of(told, at, methodology).get(vendor)
    if picture is None:
        return Contracts((), (), 0.0)
    totals = _totals(picture)
    going = {Intent.END: methodology.plans.end, Intent.REDUCE: methodology.plans.reduce, Intent.CONTINUE: 0.0}
    names = sorted({data.customer for _, data in _said(picture) if data.customer is not None})
    customers = [_customer(name, picture, totals, going) for name in names]
    customers.sort(key=lambda one: (-(one.share or 0.0), one.customer))
    revenue = tuple(f"{money_text(amount)} in {year}" for year, amount in sorted(totals.items(), reverse=True))
    return Contracts(tuple(customers), revenue, min(1.0, sum(one.at_risk for one in customers)))


def _said(picture: Picture) -> list[tuple[Standing, Contract | Revenue]]:
    found = []
    for standing in picture.revenues:
        data = standing.active or standing.expected
        if isinstance(data, (Contract, Revenue)):
            found.append((standing, data))
    return found


def _totals(picture: Picture) -> dict[int, Money]:
    return {data.fiscal_year: data.amount for _, data in _said(picture) if isinstance(data, Revenue) and data.customer is None}


def _customer(name: str, picture: Picture, totals: dict[int, Money], going: dict[Intent, float]) -> Customer:
    own = [(standing, data) for standing, data in _said(picture) if data.customer == name]
    spent = sorted(((data, s) for s, data in own if isinstance(data, Revenue)), key=lambda item: -item[0].fiscal_year)
    share = next((_ratio(data, totals) for data, _ in spent if data.fiscal_year in totals), None)
    words = [f"{money_text(data.amount)} in {data.fiscal_year}{'' if s.active else ' (planned)'}" for data, s in spent]
    contracts = [(standing, data) for standing, data in own if isinstance(data, Contract)]
    staying = 1.0
    plans = []
    for standing, data in contracts:
        report = standing.pending or standing.confirmed or standing.newest
        chance = 1.0 if standing.pending is None else standing.credibility
        plan = standing.expected if isinstance(standing.expected, Contract) else data
        staying *= 1.0 - chance * going[plan.intent]
        plans.append(Plan(plan.intent.value, report.data.status.value, standing.credibility, report.data.note))
    value = next((money_text(data.annual_value) for _, data in contracts if data.annual_value is not None), None)
    classes = tuple(sorted({one for _, data in contracts for one in data.data_classes}))
    return Customer(name, "; ".join(words) or None, share, value, classes, tuple(plans), (share or 0.0) * (1.0 - staying))


def _ratio(data: Revenue, totals: dict[int, Money]) -> float | None:
    total = totals[data.fiscal_year]
    if total.currency != data.amount.currency or total.amount <= 0:
        return None
    return min(1.0, float(data.amount.amount / total.amount))
