"""The table: `python -m benchmarks.throughput --output FILE`; see the package."""

import argparse
import asyncio
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from benchmarks.throughput.engines import Engine, engines
from benchmarks.throughput.fold import PARTITIONS, encode
from benchmarks.throughput.load import events, expected, fill
from benchmarks.throughput.trial import Outcome, create_topics, run_trial
from neutrality.broker.embedded import EmbeddedKafka

NAMES: Final = ("batch", "raw", "quix", "bytewax", "streams", "streams-cached", "faust")
TITLE: Final = (
    "| keys | engine | events/s | in the second half | against raw | CPU µs/event | Kafka's CPU µs/event "
    "| outputs | changelog records | result |"
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
            print(row(runs[-1], count, None), file=sys.stderr, flush=True)
    return runs


def row(run: Run, count: int, raw_s: float | None) -> str:
    """One line of the table."""
    outcome = run.outcome
    if not outcome.seconds:
        return f"| {run.keys:,} | {run.title} | - | - | - | - | - | - | - | {outcome.verdict} |"
    cells = [
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
    return "| " + " | ".join(cells) + " |"


def table(runs: Sequence[Run], found: Sequence[Engine], unable: dict[str, str], count: int) -> str:
    """The whole text in Markdown."""
    value_bytes = len(encode(next(events(1, 1))[1]))
    cpus = psutil.cpu_count()
    machine = f"{cpus} cores ({platform.machine()}) shared with the embedded Kafka, Python {platform.python_version()}"
    lines = [f"{count:,} events of {value_bytes} bytes (JSON) in {PARTITIONS} partitions; {machine}.", "", TITLE]
    lines.append("|---" * (TITLE.count("|") - 1) + "|")
    raw_s = {run.keys: run.outcome.seconds for run in runs if run.title == "raw librdkafka"}
    lines += [row(run, count, raw_s.get(run.keys)) for run in runs]
    lines += [f"| - | {name} | - | - | - | - | - | - | - | not run: {why} |" for name, why in unable.items()]
    lines += ["", RULES, "", *[f"- {engine.title}: {engine.settings}." for engine in found], ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if every engine that ran was right."""
    parser = argparse.ArgumentParser(description="One keyed job on our batch path and on its peers, over a real Kafka.")
    parser.add_argument("--events", type=int, default=200_000, help="events in each topic (200,000)")
    parser.add_argument("--keys", type=int, nargs="+", default=[100_000, 500], help="shapes (100000 500)")
    parser.add_argument("--engines", nargs="+", choices=NAMES, default=list(NAMES), help="which, in this order (all)")
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    parser.add_argument("--keep", type=Path, help="keep Kafka's data and the engines' logs in this folder")
    options = parser.parse_args(arguments)
    folder = options.keep or Path(tempfile.mkdtemp(prefix="neutrality-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        found, unable = engines(options.engines, folder)
        unable = {name: why for name, why in unable.items() if name in options.engines}
        found = sorted((e for e in found if e.name not in unable), key=lambda engine: options.engines.index(engine.name))
        with EmbeddedKafka(data_dir=folder / "kafka", port=0, heap_mb=1024) as kafka:
            runs = asyncio.run(measure(kafka, found, options.events, options.keys, folder))
    finally:
        if options.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
    text = table(runs, found, unable, options.events)
    print(text)
    if options.output is not None:
        options.output.write_text(text, encoding="utf-8")
    return 0 if all(run.outcome.verdict == "right" for run in runs) else 1


if __name__ == "__main__":
    sys.exit(main())
