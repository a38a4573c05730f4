"""The benchmarks' command lines and tables; the benchmarks themselves need minutes and a quiet machine."""

from pathlib import Path

import pytest

from benchmarks import recovery
from benchmarks.market import __main__ as market
from benchmarks.market.cases import COLUMNS, Case, Outcome, all_cases, cells, quick_cases
from benchmarks.market.inside import OTHER, PARTS, Inside
from benchmarks.report import Report, markdown_table, publish
from benchmarks.throughput import __main__ as throughput
from tests.support.market import Market

RIGHT = Outcome("right", 20.0, 18.0, 5.0, 2**28, 150_000, 40_000, 640.0)


def columns_of(line: str) -> int:
    return line.count("|") - 1


def test_a_table_has_a_cell_for_every_column_whether_the_case_ran_or_failed() -> None:
    case = Case(Market(1_000))
    rows = [cells(case, RIGHT), cells(case, Outcome("stalled"))]
    assert [len(row) for row in rows] == [len(COLUMNS)] * 2
    assert {columns_of(line) for line in markdown_table(COLUMNS, rows).splitlines()} == {len(COLUMNS)}


def test_rates_are_told_per_second_and_per_second_of_processor() -> None:
    row = dict(zip(COLUMNS, cells(Case(Market(1_000), 100_000), RIGHT), strict=True))
    assert row["events/s"] == "5,000"
    assert row["events per CPU s"] == "5,556"
    assert row["messages/event"] == "1.50"
    assert row["Kafka's CPU µs/event"] == "50"
    assert row["peak MiB"] == "256"


def test_every_case_of_the_issue_is_there_and_the_default_is_first() -> None:
    cases = list(all_cases())
    assert cases[0] == Case(Market(10_000))
    assert {case.market.entities for case in cases} == {1_000, 10_000, 100_000}
    assert {case.market.depth for case in cases} == {1, 4, 16}
    assert {case.market.ring_share for case in cases} == {0.0, 0.3, 1.0}
    assert {case.workers for case in cases} == {1, 2}
    assert {case.store for case in cases} == {"memory", "rocksdb"}
    assert [(case.events, case.market.entities) for case in cases if case.rebuild] == [(1_000_000, 100_000)]


@pytest.mark.parametrize("case", [*all_cases(), *quick_cases()], ids=str)
def test_every_case_has_room_for_the_events_that_its_market_begins_with(case: Case) -> None:
    assert next(case.market.documents(case.events))


def test_the_profile_tells_every_part_and_what_the_stream_adds() -> None:
    inside = Inside("right", 30.0, 100_000, dict.fromkeys((*PARTS, OTHER), 0.1))
    told = market.text([(Case(Market(1_000)), RIGHT)], inside)
    assert all(part in told for part in PARTS)
    assert "| all | 100.0% | 300 |" in told
    assert "add -120 µs" in told


def test_options_are_read_and_the_quick_form_is_known_to_all() -> None:
    for part in (market, throughput, recovery):
        assert part.parser().parse_args(["--quick", "--output", "x.md"]).output == Path("x.md")
    assert market.parser().parse_args(["--only", "1", "3", "--no-profile"]).only == [1, 3]


def test_the_exit_code_tells_whether_all_is_right(tmp_path: Path) -> None:
    assert publish(Report("text", right=True), tmp_path / "new" / "table.md") == 0
    assert publish(Report("text", right=False), None) == 1
    assert (tmp_path / "new" / "table.md").read_text() == "text"
