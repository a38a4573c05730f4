"""`python -m tests.ingest_trials`: the trials one after another and one table; exit code 1 if any failed."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.report import markdown_table
from tests.ingest_trials.trial import KINDS, PRODUCERS, Outcome, Plan, run_trial

COLUMNS: Final = (
    "trial", "producer", "mishaps", "events", "answered 202 before", "after the first mishap", "retries", "duplicates answered",
    "records in topic", "repeated records", "lost", "oracle equal", "seconds", "result",
)  # fmt: skip


def cells(outcome: Outcome) -> list[str]:
    """One row."""
    plan, verdict = outcome.plan, outcome.verdict
    mishaps = f"{plan.mishaps} x {plan.kind}" if plan.kind != "both" else f"{plan.mishaps} x ingest, {plan.mishaps} x broker"
    numbers = (plan.events, outcome.before, outcome.after, outcome.retries, outcome.duplicates, verdict.records, verdict.repeated)
    return [
        f"{plan.kind}, seed {plan.seed}", plan.producer, mishaps, *(f"{number:,}" for number in numbers), str(verdict.lost),
        "yes" if verdict.same_states else "NO", f"{outcome.seconds:.0f}", "; ".join(verdict.failures) or "passed",
    ]  # fmt: skip


def run(arguments: Sequence[str] | None = None) -> int:
    """All trials; the exit code."""
    options = argparse.ArgumentParser(prog="python -m tests.ingest_trials", description="Ingest with mishaps, on a real Kafka.")
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="which (all)")
    options.add_argument("--producers", nargs="+", choices=PRODUCERS, default=list(PRODUCERS), help="which (both)")
    options.add_argument("--events", type=int, default=50_000, help="in each trial (50,000)")
    options.add_argument("--mishaps", type=int, default=3, help="of each kind in a trial (3)")
    options.add_argument("--seed", type=int, default=1, help="of the moments of the mishaps (1)")
    options.add_argument("--output", type=Path, help="also write the table to this file")
    chosen = options.parse_args(arguments)
    outcomes: list[Outcome] = []
    for kind in chosen.kinds:
        for producer in chosen.producers:
            folder = Path(tempfile.mkdtemp(prefix="neutrality-ingest-trials-"))
            outcomes.append(run_trial(Plan(kind, producer, chosen.seed, chosen.events, chosen.mishaps), folder))
            print(" | ".join(cells(outcomes[-1])), flush=True)
            if outcomes[-1].verdict.failures:
                print(f"kept: {folder}", flush=True)
            else:
                shutil.rmtree(folder)
    text = markdown_table(COLUMNS, [cells(outcome) for outcome in outcomes]) + "\n"
    print(f"\n{text}")
    if chosen.output is not None:
        chosen.output.parent.mkdir(parents=True, exist_ok=True)
        chosen.output.write_text(text, encoding="utf-8")
    return int(any(outcome.verdict.failures for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(run())
