"""Severity is the fall times what the lab has at stake; what it has not told is not nothing."""

from decimal import Decimal

import pytest
from pydantic import ValidationError

from neutrality.events.alert import Spending
from services.alerts.domain.portfolio import Purchase, Spend, stake_in
from services.alerts.domain.severity import Exposures, Levels, load_severity_scale

SCALE = load_severity_scale()


def spend(amount: str, currency: str = "USD", period: str = "year") -> Spend:
    return Spend(amount=Decimal(amount), currency=currency, period=period)  # type: ignore[arg-type] # one of the periods


@pytest.mark.parametrize(
    ("rule_in_words", "share", "data_classes", "exposure"),
    [
        ("nothing told of a vendor that it buys from", None, None, 0.5),
        ("a quarter of the spending is full exposure", 0.25, None, 1.0),
        ("less in proportion", 0.05, None, 0.2),
        ("more is no more than full", 1.0, None, 1.0),
        ("public data alone is none", None, ("public",), 0.0),
        ("no data shared is none", None, (), 0.0),
        ("the most sensitive class counts", None, ("public", "prototype-products", "licensed-data"), 0.9),
        ("a class without a weight of its own has the common one", None, ("recipes",), 0.6),
        ("either part alone exposes", 0.05, ("prototype-products",), 1 - 0.8 * 0.1),
    ],
)
def test_exposure(rule_in_words: str, share: float | None, data_classes: tuple[str, ...] | None, exposure: float) -> None:
    assert SCALE.exposure_of(share, data_classes) == pytest.approx(exposure), rule_in_words


@pytest.mark.parametrize(
    ("points", "exposure", "severity"),
    [(39.2, 1.0, "critical"), (20.0, 1.0, "critical"), (19.9, 1.0, "warning"), (39.2, 0.5, "warning"), (39.2, 0.1, "info"), (0.0, 1.0, "info")],
)  # fmt: skip
def test_severity_is_points_times_exposure(points: float, exposure: float, severity: str) -> None:
    assert SCALE.severity(points, exposure) == severity


def test_the_stake_says_what_is_bought_for_how_much_and_which_data_is_shared() -> None:
    portfolio = {
        "scale-ai": Purchase(
            buys="labelled dialogues",
            categories=("data-labelling",),
            data_classes=("prototype-products", "proprietary-data"),
            spending=spend("12500000", period="month"),
        ),
        "turing": Purchase(spending=spend("50000000")),
        "surge": Purchase(spending=spend("9000000", "EUR")),
    }
    stake = stake_in(portfolio, "scale-ai", "Scale AI", SCALE)
    assert stake.spending == Spending("12500000", "USD", "month")
    assert stake.spending_share == pytest.approx(0.75)
    assert stake.exposure == 1.0
    assert stake.summary == (
        "you buy labelled dialogues from Scale AI for 12,500,000 USD a month (75% of what you spend in USD)"
        " and share prototype-products, proprietary-data"
    )
    assert stake_in(portfolio, "surge", "Surge", SCALE).spending_share == 1.0  # of its currency: rates are not guessed


def test_who_tells_nothing_is_told_by_the_fall_alone_and_who_does_not_buy_there_is_hardly_exposed() -> None:
    assert stake_in(None, "scale-ai", "Scale AI", SCALE).exposure == 1.0
    assert stake_in({}, "scale-ai", "Scale AI", SCALE).exposure == 1.0
    elsewhere = stake_in({"turing": Purchase()}, "scale-ai", "Scale AI", SCALE)
    assert (elsewhere.exposure, elsewhere.listed, elsewhere.summary) == (0.1, False, "Scale AI is not in the portfolio")
    bare = stake_in({"scale-ai": Purchase()}, "scale-ai", "Scale AI", SCALE)
    assert (bare.exposure, bare.listed, bare.summary) == (0.5, True, "you buy from Scale AI")
    free = stake_in({"scale-ai": Purchase(spending=spend("0"), data_classes=())}, "scale-ai", "Scale AI", SCALE)
    assert (free.exposure, free.spending_share) == (0.0, 0.0)


def test_a_scale_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValidationError, match="severities must rise"):
        Levels(warning=20.0, critical=5.0)
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Exposures(full_spending_share=2.0, untold=0.5, unlisted=0.1, no_portfolio=1.0)
