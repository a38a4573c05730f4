"""`python -m tests.alerts_trials`: without and with kills, and one table; exit code 1 if any failed."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.report import markdown_table
from tests.alerts_trials.trial import Outcome, Plan, run_trial

COLUMNS: Final = (
    "database", "instances", "kills", "labs", "subscriptions", "vendors", "changes/s", "for s", "alerts",
    "missing", "repeated", "repeated on Kafka", "out of order",
    "p50 ms", "p99 ms", "longest ms", "memory early MiB", "late MiB", "result",
)  # fmt: skip


def cells(outcome: Outcome) -> list[str]:
    """One row."""
    plan = outcome.plan
    numbers = (plan.kills, plan.labs, plan.subscriptions, plan.vendors, plan.rate, round(plan.seconds), outcome.expected)
    where = (plan.database, str(plan.instances))
    times = (outcome.p50_s, outcome.p99_s, outcome.longest_s)
    return [
        *where, *(f"{number:,}" for number in numbers),
        *map(str, (outcome.missing, outcome.repeated, outcome.repeated_on_kafka, outcome.out_of_order)),
        *(f"{seconds * 1000:,.0f}" for seconds in times), f"{outcome.rss_early_mib:.0f}", f"{outcome.rss_late_mib:.0f}",
        "; ".join(outcome.failures) or "passed",
    ]  # fmt: skip


def run(arguments: Sequence[str] | None = None) -> int:
    """All trials; the exit code."""
    options = argparse.ArgumentParser(prog="python -m tests.alerts_trials", description="Alerts under load, on a real Kafka.")
    options.add_argument("--kills", nargs="+", type=int, default=[0, 3], help="of the service in each trial (0 3)")
    options.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite", help="PostgreSQL comes in a container")
    options.add_argument("--instances", type=int, default=1, help="of alerts; several need PostgreSQL")
    options.add_argument("--rate", type=int, default=200, help="score changes a second (200)")
    options.add_argument("--seconds", type=float, default=300.0, help="of each trial (300)")
    options.add_argument("--output", type=Path, help="also write the table to this file")
    chosen = options.parse_args(arguments)
    if chosen.instances > 1 and chosen.database == "sqlite":
        options.error("several instances need --database postgresql")
    outcomes: list[Outcome] = []
    for kills in chosen.kills:
        folder = Path(tempfile.mkdtemp(prefix="neutrality-alerts-trials-"))
        plan = Plan(kills, rate=chosen.rate, seconds=chosen.seconds, database=chosen.database, instances=chosen.instances)
        outcomes.append(run_trial(plan, folder))
        print(" | ".join(cells(outcomes[-1])), flush=True)
        if outcomes[-1].failures:
            print(f"kept: {folder}", flush=True)
        else:
            shutil.rmtree(folder)
    text = markdown_table(COLUMNS, [cells(outcome) for outcome in outcomes]) + "\n"
    print(f"\n{text}")
    if chosen.output is not None:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(text, encoding="utf-8")
    return int(any(outcome.failures for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(run())
