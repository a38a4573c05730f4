"""One case: a fresh Kafka, the workers, the log, the clock."""

import asyncio
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.kafka import Load, Offsets, Packed, Written, load, offsets, read_all
from benchmarks.market.cases import Case, Outcome
from benchmarks.market.reference import difference, expected
from benchmarks.scoring_worker import ScoringWorker, WorkerEnded
from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import ensure_topics
from neutrality.topics import DEFAULT_PARTITIONS, MESSAGES, REJECTED, SCORES, TOPICS
from services.scoring.partitions import partition_of
from services.scoring.settings import ScoringSettings
from services.scoring.topics import changelog_topic
from services.scoring.worker import SOURCES

GROUP: Final = "bench-market"
CHANGELOG: Final = ScoringSettings(group=GROUP).changelog
SAMPLE_S: Final = 0.2
QUIET_S: Final = 4.0  # commits come every second, late looks at vertices too
START_UP_S: Final = 60.0
SLOWEST_PER_S: Final = 100
COMPARED_UP_TO: Final = 100_000  # events: the runner in process holds them all in memory


@dataclass
class Sample:
    """Processor times so far, resident memory, at a time of the wall clock."""

    at_s: float
    cpu_s: float
    kafka_cpu_s: float
    resident_bytes: int


def run_case(case: Case) -> Outcome:
    """Run it and look at what came out."""
    with tempfile.TemporaryDirectory(prefix="neutrality-bench-") as found:
        folder = Path(found)
        with EmbeddedKafka(data_dir=folder / "kafka", port=0, heap_mb=1024) as kafka:
            servers = kafka.bootstrap_servers
            ensure_topics(servers, (*TOPICS, changelog_topic(CHANGELOG)))
            try:
                return asyncio.run(_run(case, servers, psutil.Process(kafka.pid), folder))
            except (WorkerEnded, TimeoutError) as error:
                kafka.check()
                return Outcome(" ".join(str(error).split())[-400:])


async def _run(case: Case, servers: str, kafka: psutil.Process, folder: Path) -> Outcome:
    async with load(servers) as to, offsets(servers, DEFAULT_PARTITIONS) as log:
        batches = _packed(case, to)
        if case.rebuild:
            await _send(to, batches)
        with ExitStack() as stack:
            workers = [stack.enter_context(_worker(case, servers, folder, number)) for number in range(case.workers)]
            watch = _Watch(workers, kafka, log)
            if case.rebuild:
                began = Sample(workers[0].started_s, 0.0, watch.sample().kafka_cpu_s, 0)
            else:
                await watch.until_ready()
                began = watch.sample()
                await _send(to, batches)
            await watch.until_still(time.monotonic() + START_UP_S + case.events / SLOWEST_PER_S)
            # before the workers end: when one does, the others take its partitions over and say some of it again
            counted = [worker.metrics() for worker in workers]
            messages, scores, rejected = [await log.count(topic.name) for topic in (MESSAGES, SCORES, REJECTED)]
            lag, ended_s = await _lag(log), await _last_record_s(servers)
    ended = next((sample for sample in watch.samples if sample.at_s >= ended_s), watch.samples[-1])
    batch_count = sum(found["scoring_batch_records_count"] for found in counted)
    return Outcome(
        verdict=f"WRONG: {lag} records left, {rejected} rejected" if lag or rejected else await _verdict(case, servers),
        seconds=ended_s - began.at_s,
        cpu_s=ended.cpu_s - began.cpu_s,
        kafka_cpu_s=ended.kafka_cpu_s - began.kafka_cpu_s,
        peak_bytes=max(sample.resident_bytes for sample in watch.samples),
        messages=messages,
        scores=scores,
        batch_records=sum(found["scoring_batch_records_sum"] for found in counted) / batch_count,
    )


def _packed(case: Case, to: Load) -> list[Packed]:
    home = partition_of(DEFAULT_PARTITIONS)
    records = case.market.records(case.events)
    return list(to.pack(Written(topic, home(key), key, value, headers) for topic, key, headers, value in records))


async def _send(to: Load, batches: list[Packed]) -> None:
    await to.send(batches)
    batches.clear()


def _worker(case: Case, servers: str, folder: Path, number: int) -> ScoringWorker:
    settings = {"BOOTSTRAP_SERVERS": servers, "GROUP": GROUP, "STORE": case.store}
    return ScoringWorker(folder, f"worker-{number}", settings)


class _Watch:
    """Looks at workers and Kafka while they work."""

    def __init__(self, workers: Sequence[ScoringWorker], kafka: psutil.Process, log: Offsets) -> None:
        self._workers, self._kafka, self._log = workers, kafka, log
        self.samples: list[Sample] = []

    def sample(self) -> Sample:
        """Look now. Raises WorkerEnded."""
        for worker in self._workers:
            worker.check()
        kafka = self._kafka.cpu_times()
        self.samples.append(
            Sample(
                time.time(),
                sum(worker.cpu_s() for worker in self._workers),
                kafka.user + kafka.system,
                sum(worker.resident_bytes() for worker in self._workers),
            )
        )
        return self.samples[-1]

    async def until_ready(self) -> None:
        """Until all workers hold partitions, and go on doing so: each one that joins takes some from the others.

        Raises:
            TimeoutError: it takes longer than `START_UP_S`.
        """
        deadline, since = time.monotonic() + START_UP_S, None
        while since is None or time.monotonic() < since + QUIET_S * (len(self._workers) > 1):
            ready = all([await asyncio.to_thread(worker.is_ready) for worker in self._workers])
            since = (since or time.monotonic()) if ready else None
            if time.monotonic() > deadline:
                raise TimeoutError("the workers did not become ready")
            await asyncio.sleep(SAMPLE_S)

    async def until_still(self, deadline: float) -> None:
        """Until the group has committed all, and nothing more is written.

        Raises:
            TimeoutError: that is not so at the deadline (monotonic).
        """
        known, since = None, time.monotonic()
        while time.monotonic() < since + QUIET_S or await _lag(self._log):
            self.sample()
            found = await self._log.ends(MESSAGES.name, SCORES.name), await self._log.committed(GROUP)
            if found != known:
                known, since = found, time.monotonic()
            if time.monotonic() > deadline:
                raise TimeoutError(f"stalled: {await _lag(self._log)} records are not committed")
            await asyncio.sleep(SAMPLE_S)


async def _lag(log: Offsets) -> int:
    ends, committed = await log.ends(*SOURCES), await log.committed(GROUP)
    return sum(end - committed.get(tp, 0) for tp, end in ends.items())


async def _last_record_s(servers: str) -> float:
    """When the last message or score was written; not the last state: among these are claims that are renewed by the clock."""
    times: list[int] = []
    for topic in (MESSAGES.name, SCORES.name):
        await read_all(servers, topic, DEFAULT_PARTITIONS, lambda record: times.append(record.timestamp), last_only=True)
    return max(times) / 1000


async def _verdict(case: Case, servers: str) -> str:
    newest: dict[bytes, bytes] = {}
    compared = case.events <= COMPARED_UP_TO

    def take(record: Any) -> None:
        newest[record.key] = record.value if compared else b""

    await read_all(servers, SCORES.name, DEFAULT_PARTITIONS, take)
    if compared:
        return difference(newest, expected(case.market, case.events)) or "right"
    vendors = case.market.vendors()
    return "right number of vendors" if len(newest) == vendors else f"WRONG: {len(newest)} of {vendors} vendors have a score"
