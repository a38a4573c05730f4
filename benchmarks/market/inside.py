"""The same engine in process, without Faust and without Kafka: where its time goes.

A sampler notes every millisecond of processor time which part of the code is at work: the innermost function that belongs to a part (`PARTS`)
counts, together with all that it calls in libraries. (A tracing profiler would charge small functions for being traced.) Python's collecting of
garbage is timed apart: no sample is taken in the middle of it.
"""

import asyncio
import gc
import signal
import time
from collections import Counter, deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import CodeType, FrameType, ModuleType
from typing import Any, Final, Self

from faust.types import TP
from prometheus_client import CollectorRegistry

from benchmarks.market.cases import Case
from benchmarks.market.reference import difference, expected
from neutrality.events import assessment as assessments
from neutrality.events import claims as event_claims
from neutrality.events import cloudevent
from neutrality.model import (
    assessment,
    claims,
    dossier,
    evidence,
    explanation,
    facts,
    governance,
    messages,
    ownership,
    picture,
    profile,
    revenue,
    stored,
    vertex,
    views,
    votes,
)
from neutrality.model.methodology import load_methodology
from neutrality.topics import DEFAULT_PARTITIONS, MESSAGES, SCORES
from services.scoring import engine, garbage
from services.scoring.batching.ledger import Admission
from services.scoring.batching.records import RecordBatch
from services.scoring.batching.scheduler import MAX_BATCH_RECORDS
from services.scoring.batching.store import PartitionedVertices
from services.scoring.handlers import intake, outcome
from services.scoring.metrics import ScoringMetrics
from services.scoring.partitions import partition_of
from services.scoring.records import OutgoingRecord, SourceRecord
from services.scoring.results import Found, Range
from services.scoring.settings import ScoringSettings
from tests.support.scoring import Consumed

CHANGELOG: Final = "inside-changelog"
SAMPLE_S: Final = 0.001
OTHER: Final = "the rest: batches, store, metrics"
GARBAGE: Final = "collecting garbage (Python's)"

# A module, or a function that belongs elsewhere than its module.
PARTS: Final[Mapping[str, Sequence[Any]]] = {
    "read: decode and validate events and messages": (intake, cloudevent, event_claims),
    "take in, and tell neighbours (react)": (vertex, outcome.react_all, messages),
    "standing of claims: which count, how far": (dossier, claims, evidence, picture),
    "exposure: the four channels and the profile": (facts, ownership, votes, governance, revenue, profile, views),
    "assess: scores, outlook, attribution, notes": (assessment, explanation),
    "write: states as JSON": (stored, outcome.state_records),
    "write: scores and messages as JSON": (assessments, outcome.result_records),
}


@dataclass(frozen=True)
class Inside:
    """What a run in process showed: processor time per event, and the parts' shares of it (ratios that add up to 1)."""

    verdict: str
    cpu_s: float
    events: int
    shares: Mapping[str, float]


def run_inside(case: Case) -> Inside:
    """The case's log through the engine."""
    log = _MemoryLog(case)
    gc.collect()
    garbage.take_over()  # as in the worker; the log is no garbage either
    try:
        with _Sampler() as sampler:
            began_s = time.process_time()
            asyncio.run(_apply_all(log))
            cpu_s = time.process_time() - began_s
    finally:
        gc.unfreeze()
        gc.enable()
    verdict = difference(log.newest, expected(case.market, case.events)) or "right"
    return Inside(verdict, cpu_s, case.events, sampler.shares(cpu_s))


async def _apply_all(log: "_MemoryLog") -> None:
    store = PartitionedVertices()
    store.assign(range(DEFAULT_PARTITIONS))
    plan = engine.Plan(
        methodology=load_methodology(),
        changelog=CHANGELOG,
        partitions=DEFAULT_PARTITIONS,
        home=partition_of(DEFAULT_PARTITIONS),
        put_off=timedelta(seconds=ScoringSettings.model_fields["put_off_s"].default),
        clock=lambda: datetime.now(UTC),
        wall_clock_s=time.time,
        stopwatch_s=time.perf_counter,
    )
    scoring = engine.Engine(
        plan, ScoringMetrics(CollectorRegistry()), reader=lambda: log, writer=lambda: log, store=lambda: store, scores=log
    )
    await scoring.recovered()
    while (batch := log.next_batch()) is not None:
        await scoring.apply(batch)
        garbage.collect(behind=scoring.behind)
        while await scoring.catch_up():
            pass


@dataclass
class _MemoryLog:
    """Kafka for one engine: its reader and its writer. States are not kept, of scores the newest."""

    case: Case
    newest: dict[bytes, bytes] = field(default_factory=dict)
    _waiting: dict[TP, deque[SourceRecord]] = field(default_factory=dict)
    _ends: Counter[TP] = field(default_factory=Counter)
    _lag: int = 0

    def __post_init__(self) -> None:
        home = partition_of(DEFAULT_PARTITIONS)
        for topic, key, headers, value in self.case.market.records(self.case.events):
            self._append(OutgoingRecord(topic, home(key), key, value, tuple(headers)))

    def next_batch(self) -> RecordBatch | None:
        """What waits in the partition whose turn it is; None if nothing does."""
        if not self._waiting:
            return None
        tp = next(iter(self._waiting))
        waiting = self._waiting.pop(tp)
        records = [waiting.popleft() for _ in range(min(len(waiting), MAX_BATCH_RECORDS))]
        if waiting:
            self._waiting[tp] = waiting  # behind the others
        return RecordBatch(tp, records, records[0].offset, records[-1].offset + 1)

    def admit(self, batch: RecordBatch) -> Admission:
        """Every batch comes once and in order."""
        del batch
        return Admission.APPLY

    def applied(self, batch: RecordBatch) -> None:
        """Its records are no longer waited for."""
        self._lag -= len(batch.records)

    def lag_records(self) -> int:
        """Records not yet applied."""
        return self._lag

    def expect(self, ends: Mapping[TP, int]) -> None:
        """Own writes are known already."""

    async def read_again(self, tp: TP) -> bool:
        """Nothing is ever dropped."""
        raise NotImplementedError(tp)

    async def group_lag(self) -> tuple[int, int]:
        """Nobody has said scores before."""
        raise NotImplementedError

    async def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        """Where the scores end."""
        return {partition: self._ends[TP(SCORES.name, partition)] for partition in partitions}

    async def read(self, found: Range) -> list[Found]:
        """Nobody else writes scores."""
        raise NotImplementedError(found)

    async def write(self, records: Sequence[OutgoingRecord]) -> Mapping[TP, tuple[int, int]]:
        """Take all in."""
        written: dict[TP, tuple[int, int]] = {}
        for record in records:
            tp = TP(record.topic, record.partition)
            offset = self._ends[tp]
            if record.topic == MESSAGES.name:
                self._append(record)
            else:
                self._ends[tp] += 1
                if record.topic == SCORES.name and record.key is not None and record.value is not None:
                    self.newest[record.key] = record.value
            written[tp] = (written.get(tp, (offset, offset))[0], offset)
        return written

    def _append(self, record: OutgoingRecord) -> None:
        tp = TP(record.topic, record.partition)
        found = Consumed(*tp, self._ends[tp], record.key, record.value, record.headers, time.time_ns() // 1_000_000)
        self._waiting.setdefault(tp, deque()).append(found)
        self._ends[tp] += 1
        self._lag += 1


class _Sampler:
    """Counts samples by part while it is open; in the main thread alone."""

    def __init__(self) -> None:
        self._by_code: dict[CodeType, str] = {}
        self._by_file: dict[str | None, str] = {}
        for part, members in PARTS.items():
            for member in members:
                if isinstance(member, ModuleType):
                    self._by_file[member.__file__] = part
                else:
                    self._by_code[member.__code__] = part
        self._samples: Counter[str] = Counter()
        self._garbage_s = self._collecting_since_s = 0.0

    def shares(self, cpu_s: float) -> dict[str, float]:
        """Each part's ratio of this processor time."""
        garbage = self._garbage_s / cpu_s
        each = (1.0 - garbage) / max(1, self._samples.total())
        return {part: self._samples[part] * each for part in (*PARTS, OTHER)} | {GARBAGE: garbage}

    def _take(self, _number: int, frame: FrameType | None) -> None:
        part = None
        while frame is not None and part is None:
            code = frame.f_code
            part = self._by_code.get(code) or self._by_file.get(code.co_filename)
            frame = frame.f_back
        self._samples[part or OTHER] += 1

    def _collecting(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since_s = time.process_time()
        else:
            self._garbage_s += time.process_time() - self._collecting_since_s

    def __enter__(self) -> Self:
        gc.callbacks.append(self._collecting)
        signal.signal(signal.SIGPROF, self._take)
        signal.setitimer(signal.ITIMER_PROF, SAMPLE_S, SAMPLE_S)
        return self

    def __exit__(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        gc.callbacks.remove(self._collecting)
