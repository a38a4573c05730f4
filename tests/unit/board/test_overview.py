"""The heat map's order and filter."""

from typing import Any

import pytest

from neutrality.events.assessment import Assessment
from services.board.domain.overview import Filter, Order, arranged, lab_columns, movers, row_of
from tests.support.assessments import assessment, score

MOVES = {"alpha": -2.0, "beta": 0.01, "gamma": 30.0}


def found(vendor: str, points: float, **more: Any) -> Assessment:
    return assessment(1, score(points, **more), vendor=vendor)


ROWS = [
    row_of(one, "google", ("meta", "openai"), lambda vendor, lab: MOVES.get(vendor) if lab == "google" else None)
    for one in (found("gamma", 90.0), found("unknown", 100.0, grade="NR"), found("beta", 95.0), found("alpha", 40.0))
]


@pytest.mark.parametrize(
    ("order", "vendors"),
    [
        ("score", ["alpha", "gamma", "beta", "unknown"]),
        ("name", ["alpha", "beta", "gamma", "unknown"]),
        ("moved", ["gamma", "alpha", "beta", "unknown"]),
    ],
)
def test_rows_are_ordered_and_the_unrated_is_never_first_by_score(order: Order, vendors: list[str]) -> None:
    assert [row.vendor for row in arranged(ROWS, order)] == vendors


def test_movers_are_those_whose_move_can_be_seen_the_largest_first() -> None:
    assert [row.vendor for row in movers(ROWS)] == ["gamma", "alpha"]


def test_the_readers_lab_has_a_column_of_its_own() -> None:
    assert lab_columns("google", {"openai", "google", "meta"}) == ("meta", "openai")
    assert ROWS[0].own.lab == "google"


@pytest.mark.parametrize(("text", "passes"), [("SCALE", True), ("scale-a", True), ("turing", False), ("", True)])
def test_the_filter_looks_in_names_and_ids(text: str, passes: bool) -> None:
    assert Filter(text=text).passes(found("scale-ai", 50.0)) is passes
