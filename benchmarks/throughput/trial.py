"""One run of one engine: its topics, its process, the clock, and whether what it wrote is right."""

import asyncio
import contextlib
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from benchmarks.kafka import Offsets, offsets
from benchmarks.throughput.engines import ROOT, Engine
from benchmarks.throughput.fold import PARTITIONS, Job, State
from benchmarks.throughput.load import read_states

_ADMIN: Final[Any] = AIOKafkaAdminClient
_TOPIC: Final[Any] = NewTopic
SAMPLE_S: Final = 0.1
QUIET_S: Final = 3.0  # an engine with a commit interval of 1 s has written by then
STOP_S: Final = 20.0
SLOWEST_PER_S: Final = 300  # stock Faust does 800 on a busy machine
START_UP_S: Final = 60.0


@dataclass(frozen=True)
class Outcome:
    """What one run showed; without `seconds` it failed, and `verdict` says how."""

    verdict: str
    seconds: float = 0.0
    second_half_s: float = 0.0
    cpu_s: float = 0.0
    kafka_cpu_s: float = 0.0
    outputs: int = 0
    changes: int = 0


@dataclass
class _Told:
    """The engine's lines: moment (wall clock, s) and processor time so far (s)."""

    lines: dict[str, tuple[float, float]] = field(default_factory=dict)

    async def listen(self, stream: asyncio.StreamReader, log: Path) -> None:
        with log.open("ab") as file:
            async for line in stream:
                words = line.decode(errors="replace").split()
                if len(words) == 3 and words[0] in ("first", "half", "all"):
                    self.lines[words[0]] = (float(words[1]), float(words[2]))
                else:
                    file.write(line)


async def create_topics(servers: str, topics: Mapping[str, str]) -> None:
    """Topics by name and cleanup policy, whose records carry the time that Kafka appended them."""
    admin = _ADMIN(bootstrap_servers=servers)
    await admin.start()
    try:
        made = [
            _TOPIC(name, PARTITIONS, 1, topic_configs={"cleanup.policy": policy, "message.timestamp.type": "LogAppendTime"})
            for name, policy in topics.items()
        ]
        answer = await admin.create_topics(made)
        if wrong := [error for error in answer.topic_errors if error[1]]:
            raise RuntimeError(f"topics were not created: {wrong}")
    finally:
        await admin.close()


async def run_trial(
    engine: Engine, *, servers: str, kafka_pid: int, source: str, events: int, want: Mapping[bytes, State], folder: Path
) -> Outcome:
    """Run one engine over the whole input topic."""
    group = f"{engine.name}-{source}"
    changelog = engine.changelog.format(group=group, source=source)
    job = Job(servers, group, source, f"{group}-output", changelog, events, str(folder / group))
    await create_topics(servers, {job.output: "delete", changelog: "compact"})
    log = folder / f"{group}.log"
    async with offsets(servers, PARTITIONS) as found:
        told, samples = await _run(engine, job, log, kafka_pid, found)
        changes = await found.count(changelog)
        committed = None
        if engine.commits:
            committed = sum(offset for tp, offset in (await found.committed(group)).items() if tp.topic == source)
    if "all" not in told:
        return Outcome(
            "stopped or stalled before all events were seen: " + " ".join(log.read_text(errors="replace").split())[-200:]
        )
    states, outputs, last_ms = await read_states(servers, job.output)
    began_s, cpu_began_s = told["first"]
    ended_s = last_ms / 1000
    after = next((sample for sample in samples if sample[0] >= ended_s), samples[-1])
    before = [sample for sample in samples if sample[0] <= began_s][-1]
    return Outcome(
        verdict=_verdict(job, states, want, committed),
        seconds=ended_s - began_s,
        second_half_s=ended_s - told["half"][0],
        cpu_s=after[1] - cpu_began_s,
        kafka_cpu_s=after[2] - before[2],
        outputs=outputs,
        changes=changes,
    )


async def _run(
    engine: Engine, job: Job, log: Path, kafka_pid: int, found: Offsets
) -> tuple[dict[str, tuple[float, float]], list[tuple[float, float, float]]]:
    """Start the process, sample processor times until its output is still, end it."""
    kafka = psutil.Process(kafka_pid)
    told = _Told()
    samples: list[tuple[float, float, float]] = []
    deadline = time.monotonic() + START_UP_S + job.events / SLOWEST_PER_S
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *engine.command(job.arguments()), cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=errors
        )
    if process.stdout is None:
        raise RuntimeError("the process has no standard output")
    listening = asyncio.create_task(told.listen(process.stdout, log))
    watched = psutil.Process(process.pid)
    end, still_since = -1, time.monotonic()
    try:
        while process.returncode is None and time.monotonic() < deadline:
            with contextlib.suppress(psutil.NoSuchProcess):
                samples.append((time.time(), _cpu_s(watched), _cpu_s(kafka)))
            if "all" in told.lines:
                count = await found.count(job.output)
                if count != end:
                    end, still_since = count, time.monotonic()
                elif time.monotonic() - still_since > QUIET_S:
                    break
            await asyncio.sleep(SAMPLE_S)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
        await listening
    return told.lines, samples


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def _verdict(job: Job, states: Mapping[bytes, State], want: Mapping[bytes, State], committed: int | None) -> str:
    """`committed` offsets; None: the engine commits none."""
    wrong = sum(states.get(key) != state for key, state in want.items()) + len(states.keys() - want.keys())
    if wrong:
        counted = sum(state["count"] for state in states.values())
        return f"WRONG: {wrong} of {len(want)} keys, {counted} of {job.events} events counted"
    return "right" if committed in (None, job.events) else f"right, but {committed} of {job.events} offsets committed"
