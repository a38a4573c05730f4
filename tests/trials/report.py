"""How trials are told: a line each as they end, and a table of all."""

from collections.abc import Sequence
from statistics import median
from typing import Final

from tests.trials.plan import KINDS, Size
from tests.trials.verdict import Outcome

COLUMNS: Final = (
    "kind",
    "trials",
    "passed",
    "seconds, median",
    "longest",
    "longest stall, s",
    "of one partition, s",
    "restarts",
    "stale states refused",
    "differences",
)


def line(outcome: Outcome) -> str:
    """One trial."""
    plan, evidence = outcome.plan, outcome.evidence
    return (
        f"{plan.kind:<8} seed {plan.seed:<4} {plan.store:<7} {plan.size.events:,} events in {evidence.seconds:.1f} s "
        f"({plan.size.events / max(evidence.seconds, 0.1):,.0f}/s), longest stall {evidence.stall_s:.1f} s "
        f"(of one partition {evidence.lane_stall_s:.1f} s), {evidence.restarts} restarts, "
        f"{evidence.stale_refused} stale states refused, {_number(outcome.differences)} differences "
        f"(verified in {0.0 if evidence.verified is None else evidence.verified.seconds:.0f} s): "
        + ("FAILED" if outcome.failures else "passed")
    )


def table(outcomes: Sequence[Outcome], size: Size) -> str:
    """All trials in Markdown, a row for each kind."""
    rows = [_row(found) for kind in KINDS if (found := [outcome for outcome in outcomes if outcome.plan.kind == kind])]
    head = f"{size.events:,} events, {size.entities:,} entities, {size.labs} labs, 2 workers, {size.partitions} partitions."
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows]
    return head + "\n\n" + "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def _row(found: Sequence[Outcome]) -> tuple[str, ...]:
    evidence = [outcome.evidence for outcome in found]
    seconds = [one.seconds for one in evidence]
    differences = [outcome.differences for outcome in found]
    return (
        found[0].plan.kind,
        str(len(found)),
        str(sum(not outcome.failures for outcome in found)),
        f"{median(seconds):.1f}",
        f"{max(seconds):.1f}",
        f"{max(one.stall_s for one in evidence):.1f}",
        f"{max(one.lane_stall_s for one in evidence):.1f}",
        str(sum(one.restarts for one in evidence)),
        str(sum(one.stale_refused for one in evidence)),
        _number(None if None in differences else sum(number or 0 for number in differences)),
    )


def _number(count: int | None) -> str:
    return "?" if count is None else str(count)
