"""`python -m tests.trials`: the trials one after another; exit code 1 if any failed."""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.trials.logs import tail
from tests.trials.plan import KINDS, Size, draw
from tests.trials.report import line, table
from tests.trials.trial import run_trial
from tests.trials.verdict import Outcome


def parser() -> argparse.ArgumentParser:
    """The options."""
    size = Size()
    options = argparse.ArgumentParser(
        prog="python -m tests.trials", description="Trials of scoring with mishaps, on a real Kafka."
    )
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="which (all)")
    options.add_argument("--trials", type=int, default=10, help="of each kind (10)")
    options.add_argument("--events", type=int, default=size.events, help=f"in each trial ({size.events:,})")
    options.add_argument("--entities", type=int, default=size.entities, help=f"in each trial ({size.entities:,})")
    options.add_argument("--seed", type=int, default=1, help="of the first trial of each kind (1)")
    options.add_argument("--output", type=Path, help="also write the table to this file")
    return options


def run(arguments: Sequence[str] | None = None) -> int:
    """All trials, kinds by turns; the exit code."""
    options = parser().parse_args(arguments)
    size = Size(events=options.events, entities=options.entities)
    folder = Path(tempfile.mkdtemp(prefix="neutrality-trials-"))
    outcomes: list[Outcome] = []
    for seed in range(options.seed, options.seed + options.trials):
        for kind in options.kinds:
            plan = draw(kind, seed, size)
            place = folder / f"{kind}-{seed}"
            outcomes.append(run_trial(plan, place))
            print(line(outcomes[-1]), flush=True)
            if outcomes[-1].failures:
                tell_failure(outcomes[-1], place)
            else:
                shutil.rmtree(place)
    text = table(outcomes, size)
    print(f"\n{text}")
    if options.output is not None:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(text, encoding="utf-8")
    if any(outcome.failures for outcome in outcomes):
        return 1
    folder.rmdir()
    return 0


def tell_failure(outcome: Outcome, folder: Path) -> None:
    """What went wrong, what was done to the workers, and the ends of all logs."""
    for failure in outcome.failures:
        print(f"  - {failure}")
    print(f"  plan: {outcome.plan}\n  kept: {folder}", flush=True)
    for log in sorted([*folder.glob("*.log"), folder / "kafka" / "kafka.log"]):
        if log.exists():
            print(f"--- {log}\n{tail(log.read_text(encoding='utf-8', errors='replace'))}", flush=True)


if __name__ == "__main__":
    sys.exit(run())
