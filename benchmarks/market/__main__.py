"""The table: `python -m benchmarks.market --output FILE`; see the package."""

import argparse
import sys
from collections.abc import Sequence
from typing import Final

from benchmarks.market.cases import COLUMNS, Case, Outcome, all_cases, cells, quick_cases
from benchmarks.market.inside import Inside, run_inside
from benchmarks.market.trial import run_case
from benchmarks.report import Report, machine, markdown_row, markdown_table, parser_of, publish
from neutrality.topics import DEFAULT_PARTITIONS

Run = tuple[Case, Outcome]
RULES: Final = (
    "Clock: workers are ready, then the whole log arrives at once, up to the last score or message that is written; rebuilt: the log was there, "
    "and the worker's start is counted. CPU is of the workers' processes in that span, memory the highest sum of their resident sets. Right: all "
    "is committed, and the newest assessment of every vendor is, byte for byte, that of the runner in process on the same events (but for "
    "version and cause). Depth: levels of owners; in rings: entities of the top level that hold one another in threes."
)


def measure(cases: Sequence[Case]) -> list[Run]:
    """All cases, one after another."""
    runs: list[Run] = []
    for case in cases:
        runs.append((case, run_case(case)))
        print(markdown_row(cells(*runs[-1])), file=sys.stderr, flush=True)
    return runs


def text(runs: Sequence[Run], inside: Inside | None) -> str:
    """The whole text in Markdown."""
    table = markdown_table(COLUMNS, [cells(case, outcome) for case, outcome in runs])
    lines = [
        "## Scoring on the real model\n",
        f"{DEFAULT_PARTITIONS} partitions a topic; {machine()}.\n",
        f"{table}\n",
        f"{RULES}\n",
    ]
    if inside is not None:
        lines += profile(inside, runs[0][1])
    return "\n".join(lines)


def profile(inside: Inside, stream: Outcome) -> list[str]:
    """Where the time goes; `stream` is the same case over Kafka."""
    per_event_us = 1e6 * inside.cpu_s / inside.events
    rows = [[part, f"{share:.1%}", f"{share * per_event_us:,.0f}"] for part, share in inside.shares.items()]
    lines = [
        "### Where the time goes\n",
        f"The first case once more, through the same engine in process, without Faust and Kafka ({inside.verdict}):\n",
        markdown_table(("part", "share", "µs/event"), [*rows, ["all", "100.0%", f"{per_event_us:,.0f}"]]),
        "",
    ]
    if stream.seconds:
        over_kafka_us = 1e6 * stream.cpu_s / inside.events
        lines.append(
            f"Over Kafka it is {over_kafka_us:,.0f} µs/event: Faust and the Kafka client, with what they change in the size of batches, "
            f"add {over_kafka_us - per_event_us:,.0f} µs.\n"
        )
    return lines


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = parser_of("Scoring on the real model, over a real Kafka.")
    options.add_argument("--events", type=int, default=100_000, help="events of all cases but the last (100,000)")
    options.add_argument("--entities", type=int, default=10_000, help="entities of the default case (10,000)")
    options.add_argument("--rebuild-events", type=int, default=1_000_000, help="events of the last case (1,000,000)")
    options.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="these cases, counted from 1 (all)")
    options.add_argument("--no-profile", action="store_true", help="leave out where the time goes")
    return options


def run(options: argparse.Namespace) -> Report:
    """Run all cases."""
    cases = list(quick_cases() if options.quick else all_cases(options.events, options.entities, options.rebuild_events))
    chosen = [case for number, case in enumerate(cases, 1) if options.only is None or number in options.only]
    inside = None if options.no_profile else run_inside(chosen[0])
    runs = measure(chosen)
    right = all(outcome.right for _, outcome in runs) and (inside is None or inside.verdict == "right")
    return Report(text(runs, inside), right)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if every case came out right."""
    options = parser().parse_args(arguments)
    return publish(run(options), options.output)


if __name__ == "__main__":
    sys.exit(main())
