"""The table: `python -m benchmarks.throughput --output FILE`; see the package."""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.report import Report, machine, markdown_row, markdown_table, parser_of, publish
from benchmarks.throughput.engines import Engine, engines
from benchmarks.throughput.fold import PARTITIONS, encode
from benchmarks.throughput.load import events, expected, fill
from benchmarks.throughput.trial import Outcome, create_topics, run_trial
from neutrality.broker.embedded import EmbeddedKafka

NAMES: Final = ("batch", "raw", "quix", "bytewax", "streams", "streams-cached", "faust")
QUICK_NAMES: Final = ("batch", "raw", "faust")
COLUMNS: Final = (
    "keys",
    "engine",
    "events/s",
    "in the second half",
    "against raw",
    "CPU µs/event",
    "Kafka's CPU µs/event",
    "outputs",
    "changelog records",
    "result",
)
RULES: Final = (
    "Clock: from the first event in the job's hands to Kafka's append of the last output record; start-up is not counted, commits on the way are. "
    "The second half is what remains of it when half of the events are folded (a Java machine is still compiling in the first). "
    "CPU is of the engine's process in that span. Right: the last output of every key is the expected state, so all events are counted, and all "
    "offsets are committed. All: acks=all, at least once, JSON decoded for each event (orjson; Jackson in Java)."
)


@dataclass(frozen=True)
class Run:
    """One row of the table."""

    keys: int
    title: str
    outcome: Outcome


async def measure(kafka: EmbeddedKafka, found: Sequence[Engine], count: int, shapes: Sequence[int], folder: Path) -> list[Run]:
    """All engines, one after another, on each shape's topic."""
    runs = []
    for keys in shapes:
        source = f"events-{keys}"
        await create_topics(kafka.bootstrap_servers, {source: "delete"})
        await fill(kafka.bootstrap_servers, source, count, keys)
        want = expected(count, keys)
        for engine in found:
            kafka.check()
            outcome = await run_trial(
                engine,
                servers=kafka.bootstrap_servers,
                kafka_pid=kafka.pid or 0,
                source=source,
                events=count,
                want=want,
                folder=folder,
            )
            runs.append(Run(keys, engine.title, outcome))
            print(markdown_row(cells(runs[-1], count, None)), file=sys.stderr, flush=True)
    return runs


def cells(run: Run, count: int, raw_s: float | None) -> list[str]:
    """One line of the table."""
    outcome = run.outcome
    if not outcome.seconds:
        return [f"{run.keys:,}", run.title, *"-" * (len(COLUMNS) - 3), outcome.verdict]
    return [
        f"{run.keys:,}",
        run.title,
        f"{count / outcome.seconds:,.0f}",
        f"{count / 2 / outcome.second_half_s:,.0f}",
        f"{raw_s / outcome.seconds:.2f}" if raw_s else "-",
        f"{1e6 * outcome.cpu_s / count:.1f}",
        f"{1e6 * outcome.kafka_cpu_s / count:.1f}",
        f"{outcome.outputs:,}",
        f"{outcome.changes:,}",
        outcome.verdict,
    ]


def text(runs: Sequence[Run], found: Sequence[Engine], unable: dict[str, str], count: int) -> str:
    """The whole text in Markdown."""
    value_bytes = len(encode(next(events(1, 1))[1]))
    raw_s = {run.keys: run.outcome.seconds for run in runs if run.title == "raw librdkafka"}
    rows = [cells(run, count, raw_s.get(run.keys)) for run in runs]
    rows += [["-", name, *"-" * (len(COLUMNS) - 3), f"not run: {why}"] for name, why in unable.items()]
    lines = [
        "## A simple keyed job: our batch path and its peers\n",
        f"{count:,} events of {value_bytes} bytes (JSON) in {PARTITIONS} partitions; {machine()}.\n",
        markdown_table(COLUMNS, rows),
        f"\n{RULES}\n",
        *[f"- {engine.title}: {engine.settings}." for engine in found],
    ]
    return "\n".join(lines) + "\n"


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = parser_of("One keyed job on our batch path and on its peers, over a real Kafka.")
    options.add_argument("--events", type=int, help="events in each topic (200,000; quick: 10,000)")
    options.add_argument("--keys", type=int, nargs="+", help="shapes (100000 500; quick: 5000)")
    options.add_argument(
        "--engines", nargs="+", choices=NAMES, help=f"which, in this order (all; quick: {' '.join(QUICK_NAMES)})"
    )
    options.add_argument("--keep", type=Path, help="keep Kafka's data and the engines' logs in this folder")
    return options


def run(options: argparse.Namespace) -> Report:
    """Run all engines."""
    count = options.events or (10_000 if options.quick else 200_000)
    shapes = options.keys or ([5_000] if options.quick else [100_000, 500])
    names = options.engines or list(QUICK_NAMES if options.quick else NAMES)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="neutrality-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found, unable = engines(names, folder)
        unable = {name: why for name, why in unable.items() if name in names}
        found = sorted((e for e in found if e.name not in unable), key=lambda engine: names.index(engine.name))
        with EmbeddedKafka(data_dir=folder / "kafka", port=0, heap_mb=1024) as kafka:
            runs = asyncio.run(measure(kafka, found, count, shapes, folder))
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    return Report(text(runs, found, unable, count), all(run.outcome.verdict == "right" for run in runs))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if every engine that ran was right."""
    options = parser().parse_args(arguments)
    return publish(run(options), options.output)


if __name__ == "__main__":
    sys.exit(main())
