"""What speaks against a trial."""

from dataclasses import replace
from typing import Any

import pytest

from tests.trials.plan import Size, draw
from tests.trials.report import line, table
from tests.trials.verdict import Evidence, Verified, judge

PLAN = draw("killed", 1, Size(events=1_000))
DOCUMENT: dict[str, Any] = {
    "vendors_checked": 50,
    "events": 1_000,
    "rejected": {"invalid_event": 0},
    "scores_unreadable": 0,
    "lag": 0,
    "differences": [],
}
GOOD = Evidence(vendors=50, seconds=60.0, settled=True, stall_s=29.9, verified=Verified(0, DOCUMENT))


def verified(code: int = 0, **changes: Any) -> Evidence:
    return replace(GOOD, verified=Verified(code, DOCUMENT | changes))


def test_a_trial_without_a_difference_and_without_a_stall_has_passed() -> None:
    assert judge(PLAN, GOOD).failures == ()


@pytest.mark.parametrize(
    ("evidence", "told"),
    [
        (replace(GOOD, stall_s=30.1), "nothing moved for 30.1 s"),
        (replace(GOOD, settled=False), "not all was applied"),
        (replace(GOOD, verified=None), "not verified"),
        (replace(GOOD, verified=Verified(3, None, "Kafka cannot be read")), "ended with 3: Kafka cannot be read"),
        (replace(GOOD, tracebacks=("ValueError: no",)), "ValueError: no"),
        (replace(GOOD, failures=("worker-0 left with exit code 2",)), "exit code 2"),
        (replace(GOOD, rejected=1), "rejected 1"),
        (verified(1, differences=[{"vendor": "a"}]), "1 differences"),
        (verified(1), "ended with 1"),
        (verified(vendors_checked=0), "checked 0 vendors"),
        (verified(events=999), "read 999 events"),
        (verified(events=1_001), "read 1001 events"),
        (verified(lag=1), "lag"),
        (verified(scores_unreadable=1), "unreadable"),
        (verified(rejected={"invalid_event": 1}), "rejected events"),
    ],
)
def test_each_failure_is_told(evidence: Evidence, told: str) -> None:
    (failure,) = judge(PLAN, evidence).failures
    assert told in failure


def test_events_that_were_sent_again_may_count_twice_in_the_log() -> None:
    assert judge(PLAN, replace(verified(events=1_003), sent_again=3)).failures == ()


def test_the_table_has_a_row_for_each_kind_and_counts_who_passed() -> None:
    stopped = draw("stopped", 2, PLAN.size)
    outcomes = [
        judge(PLAN, GOOD),
        judge(PLAN, replace(GOOD, seconds=80.0, stall_s=31.0, restarts=2)),
        judge(stopped, replace(GOOD, verified=None, settled=False)),
    ]
    rows = [row for row in table(outcomes, PLAN.size).splitlines() if row.startswith("|")]
    assert rows[2] == "| killed | 2 | 1 | 70.0 | 80.0 | 31.0 | 0.0 | 2 | 0 | 0 |"
    assert rows[3] == "| stopped | 1 | 0 | 60.0 | 60.0 | 29.9 | 0.0 | 0 | 0 | ? |"
    assert [line(outcome).rpartition(" ")[2] for outcome in outcomes] == ["passed", "FAILED", "FAILED"]
