"""What a lab buys from whom. Private to the lab: it is never in another lab's alerts, in a log line or in a label of a metric."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints

from neutrality.events.alert import Spending, Stake
from neutrality.events.vocabulary import Category, EntityId, Money, Wire
from services.alerts.domain.severity import SeverityScale

MAX_VENDORS: Final = 1_000  # of a lab
PERIODS_A_YEAR: Final = {"month": 12, "quarter": 4, "year": 1}


class Spend(Money):
    """An amount per period."""

    period: Literal["month", "quarter", "year"] = "year"

    @property
    def a_year(self) -> Decimal:
        """The amount a year."""
        return self.amount * PERIODS_A_YEAR[self.period]


class Purchase(Wire):
    """What the lab buys from one vendor. Null: not told, which is not nothing."""

    buys: Annotated[str, StringConstraints(max_length=500), Field(description="In a few words, for the lab's own people.")] = ""
    categories: Annotated[
        tuple[Category, ...], Field(max_length=20, description="Alternatives are sought in these; empty: in the vendor's own.")
    ] = ()
    data_classes: Annotated[
        tuple[Category, ...] | None, Field(max_length=50, description="Classes of data that the lab shares with it; []: none.")
    ] = None
    spending: Spend | None = None


Portfolio = Mapping[EntityId, Purchase]  # by vendor


def stake_in(portfolio: Portfolio | None, vendor: str, name: str, scale: SeverityScale) -> Stake:
    """What a lab has at stake with a vendor called `name`. `portfolio` is None or empty: the lab has told nothing of what it buys."""
    if not portfolio:
        return Stake(scale.exposure.no_portfolio, listed=False, summary="")
    purchase = portfolio.get(vendor)
    if purchase is None:
        return Stake(scale.exposure.unlisted, listed=False, summary=f"{name} is not in the portfolio")
    share = _spending_share(purchase, portfolio.values())
    spend = purchase.spending
    return Stake(
        exposure=scale.exposure_of(share, purchase.data_classes),
        listed=True,
        summary=_in_words(purchase, name, share),
        buys=purchase.buys,
        categories=purchase.categories,
        data_classes=purchase.data_classes,
        spending=None if spend is None else Spending(f"{spend.amount:f}", spend.currency, spend.period),
        spending_share=share,
    )


def _spending_share(purchase: Purchase, others: Iterable[Purchase]) -> float | None:
    """Of all that is spent in the same currency. Rates of exchange are not guessed: with several currencies this errs to the greater share."""
    spend = purchase.spending
    if spend is None:
        return None
    total = sum(
        (other.spending.a_year for other in others if other.spending is not None and other.spending.currency == spend.currency),
        Decimal(0),
    )
    return float(spend.a_year / total) if total else 0.0


def _in_words(purchase: Purchase, name: str, share: float | None) -> str:
    bought = purchase.buys or ", ".join(purchase.categories)
    words = [f"you buy {bought} from {name}" if bought else f"you buy from {name}"]
    if purchase.spending is not None and share is not None:
        spend = purchase.spending
        words.append(
            f"for {spend.amount:,f} {spend.currency} a {spend.period} ({share:.0%} of what you spend in {spend.currency})"
        )
    if purchase.data_classes:
        words.append(f"and share {', '.join(purchase.data_classes)}")
    elif purchase.data_classes is not None:
        words.append("and share no data")
    return " ".join(words)
