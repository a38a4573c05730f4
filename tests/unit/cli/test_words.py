"""Scores in words: a vendor of which nothing is known is never shown as neutral."""

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console

from neutrality.cli import words
from neutrality.events.assessment import Assessment, Score
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.scenario import load_scenario

HIGH = Score(100.0, 60.8, 100.0, 100.0, "N1", "negative", "down")
LOW = Score(60.84, 60.84, 55.0, 65.0, "N3", "stable")
UNRATED = Score(100.0, 100.0, 100.0, 100.0, "NR", "stable")


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (None, LOW, "[bold]60.8[/]  [yellow]N3[/]  projected 60.8, outlook [default]stable[/]"),
        (UNRATED, LOW, "[bold]60.8[/]  [yellow]N3[/]  projected 60.8, outlook [default]stable[/]"),
        (HIGH, LOW, "100.0 → [bold]60.8[/]  [green]N1[/] → [yellow]N3[/]  projected 60.8, outlook [default]stable[/]"),
        (HIGH, HIGH, "[bold]100.0[/]  [green]N1[/]  projected 60.8, outlook [red]negative[/], [bold]watch down[/]"),
        (LOW, UNRATED, "[dim]not rated: no ownership data[/]"),
    ],
)
def test_a_move_says_what_was_and_what_is(before: Score | None, after: Score, said: str) -> None:
    assert words.move(before, after) == said


def test_what_no_reader_would_see_is_the_same() -> None:
    assert words.is_same(LOW, Score(60.81, 60.84, 1.0, 2.0, "N3", "stable"))
    assert not words.is_same(LOW, HIGH)
    assert not words.is_same(None, LOW)


def test_evidence_counts_its_sources() -> None:
    items: list[dict[str, Any]] = [
        {"kind": "anonymous_source", "publisher": "Reuters", "independent_sources": 2},
        {"kind": "filing", "publisher": "SEC"},
    ]
    assert words.evidence(items) == "Reuters (2 anonymous sources), SEC (filing)"
    assert words.evidence([]) == "nobody named"


def test_a_range_is_shown_only_where_there_is_one() -> None:
    assert words.interval(LOW) == "55.0 to 65.0"
    assert words.interval(HIGH) == "100.0"


def test_an_unknown_vendor_is_not_rated_in_the_table() -> None:
    runner = LocalRunner(load_methodology(), datetime(2025, 6, 13, 12, tzinfo=UTC))
    runner.apply(load_scenario("scale-ai-2025").events())
    console = Console(width=200, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as captured:
        assessments: list[Assessment] = sorted(runner.assessments.values(), key=lambda found: found.vendor)
        console.print(words.scores_table(assessments, "google"))
    shown = captured.get()
    turing = next(line for line in shown.splitlines() if "Turing" in line)
    assert "not rated: no ownership data" in turing
    assert "100" not in turing
    scale = next(line for line in shown.splitlines() if "Scale AI" in line)
    assert "38.9" in scale
