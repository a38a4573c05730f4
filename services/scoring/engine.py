"""The engine: applies one batch at a time, in an order that survives a crash at every point.

    read -> react -> (1) states to the changelog, acknowledged -> memory
                  -> (2) messages, scores, forwarded and rejected records, acknowledged -> (3) the batch's offsets may be committed

A crash before (1) leaves nothing. After (1), the records are read again, `react` finds them applied and says again what stands, under the
same versions. After (2), the same, and the receivers know it already. So nothing is lost and nothing counts twice.

Before the first batch, the engine claims its partitions of the changelog under a new epoch (see `fencing`), and writes the valid states again
where replay has refused stale ones. What is found written by somebody else afterwards stops the worker before it sends what follows. Scores that
somebody else wrote late do no harm but by compaction; what stands is said again after them (see `results`).

While Kafka takes what came of one partition, others are worked on: their vertices are others, so nothing is read that is still on its way. At
most `MAX_ON_THE_WAY` partitions have writes on the way.

Batches, ticks and the giving up of partitions exclude one another (`_gate`). A rebalance waits for what is on its way too, and nothing of the
old assignment is written after it. Any error leaves the batch unacknowledged and closes the
engine; the worker then stops with exit code 1, and its supervisor starts it anew from the changelog. (Faust alone would log the error, skip the
message and commit it.)
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

import structlog
from aiokafka.errors import KafkaError
from faust.types import TP

from neutrality.events.assessment import Assessment
from neutrality.model.messages import Message, message_to_bytes
from neutrality.model.methodology import Methodology
from neutrality.model.vertex import Owed, PutOff, Vertex
from neutrality.telemetry.metrics import exemplar
from neutrality.topics import MESSAGES
from services.scoring.batching.ledger import Admission
from services.scoring.batching.records import RecordBatch
from services.scoring.fencing import State, claim_record, restoring_record
from services.scoring.handlers.intake import Intake, read_batch, without_refused
from services.scoring.handlers.outcome import (
    Outcome,
    cleared,
    forwarded_records,
    inherited,
    react_all,
    rejected_records,
    result_records,
    state_records,
)
from services.scoring.metrics import ScoringMetrics
from services.scoring.rebuilding import Rebuilding
from services.scoring.records import OutgoingRecord
from services.scoring.results import ForeignRanges, Found, ScoresTopic, newest_of, pieces_of, said_in
from services.scoring.ticks import Arrears, Marks, TickSchedule

MAX_TICKS: Final = 1_000  # vertices looked at in one go; the gate is free again between
BACKLOG_BEGINS: Final = (
    1_000  # records; from here on, what inputs lead to is put off: more news of the same entities is on its way
)
BACKLOG_ENDS: Final = 50  # well below, or what is paid at the edge would be owed again by the next wave of messages
REBUILT_WITHIN: Final = timedelta(hours=1)  # until then what an earlier group has said stands, and nothing less complete is said
RENEWED_AFTER_S: Final = 60.0  # a claim, where nothing else was written: far below the time after which compaction begins
SCORES_LOOKED_AT_AFTER_S: Final = 5.0  # for what others wrote; a question to the broker, whatever the load
LOOK_S: Final = 2.0  # everything waits for it, a rebalance too
MAX_ON_THE_WAY: Final = 2  # partitions: while the results of one are written and the states of another, a third is worked on
GIVE_WAY_S: Final = (
    0.001  # what is on its way reaches the socket, and Kafka is busy while we are; a batch under backlog takes 100 ms
)
CLAIM_ATTEMPTS: Final = 5  # as long as Kafka does not tell where the claim lies, it is not known whether it joined

SENDER: Final = "scoring"  # of requests to say again what stands

T = TypeVar("T")

log = structlog.get_logger(__name__)


class EngineStopped(RuntimeError):  # noqa: N818 - a state, not a fault of the caller
    """The engine has failed or was closed; nothing is applied any more. Fate: stop."""


class ForeignWrite(RuntimeError):  # noqa: N818 - named for what it is
    """Somebody else wrote to a partition of the changelog that this worker held: two owners at once. Fate: stop and recover."""


class Overslept(RuntimeError):  # noqa: N818 - named for what it is
    """The process was stopped for longer than its session: its partitions may be another's. Fate: stop and recover."""


class Reader(Protocol):
    """Where batches come from."""

    def admit(self, batch: RecordBatch) -> Admission:
        """Whether a batch may be applied."""

    def applied(self, batch: RecordBatch) -> None:
        """Acknowledge a batch's whole range."""

    def lag_records(self) -> int:
        """Records written but not yet applied, as far as is known."""

    def expect(self, ends: Mapping[TP, int]) -> None:
        """Source partitions have records up to these offsets (exclusive)."""

    async def read_again(self, tp: TP) -> bool:
        """Go back to where a partition was applied to, unless that was done already."""

    async def group_lag(self) -> tuple[int, int]:
        """Of all partitions, whoever holds them: records not yet applied, and the messages that were ever written. Raises KafkaError."""


class Writer(Protocol):
    """Where records go."""

    async def write(self, records: Sequence[OutgoingRecord]) -> Mapping[TP, tuple[int, int]]:
        """Write all and wait until Kafka has them."""


class Store(Protocol):
    """Vertices by partition and key."""

    def get(self, partition: int, key: bytes) -> Vertex | None:
        """The vertex of an entity; None if it is new."""

    def put(self, partition: int, states: Mapping[bytes, Vertex], encoded: Mapping[bytes, State]) -> None:
        """Keep states that the changelog has."""

    def wrote(self, partition: int, offsets: tuple[int, int] | None, count: int) -> bool:
        """Note where own writes went; False if somebody else has written there."""

    def assigned(self) -> frozenset[int]:
        """Partitions held, and replayed."""

    def epoch(self, partition: int) -> int:
        """The highest epoch seen in a partition."""

    def rebuilding(self, partition: int) -> bool:
        """Whether the last claim says that the group has not taken in everything again."""

    def claimed(self, partition: int, epoch: int, *, rebuilding: bool = False) -> None:
        """A partition is ours under this epoch."""

    def refused(self, partition: int) -> tuple[int, Mapping[bytes, State | None]]:
        """How many stale records replay refused, and the valid states that they hide."""

    def restored(self, partition: int) -> None:
        """The hidden states stand again."""

    def next_changes(self) -> Iterator[tuple[int, bytes, datetime | None]]:
        """When vertices want to be looked at again. Raises ValueError if a state cannot be read."""

    def count(self) -> int:
        """Number of vertices held."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What does not change while a worker runs."""

    methodology: Methodology
    changelog: str
    partitions: int
    home: Callable[[bytes], int]
    put_off: timedelta
    clock: Callable[[], datetime]
    wall_clock_s: Callable[[], float]
    stopwatch_s: Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Writing:
    """What came of one partition, on its way to Kafka: of so many records, or of none; `tells`: messages to vertices may be in it."""

    task: asyncio.Task[None]
    records: int
    tells: bool


class Engine:
    """Applies batches and ticks. Made with the app; `reader`, `writer` and `store` are looked up when used, since Faust makes them late."""

    def __init__(
        self,
        plan: Plan,
        metrics: ScoringMetrics,
        *,
        reader: Callable[[], Reader],
        writer: Callable[[], Writer],
        store: Callable[[], Store],
        scores: ScoresTopic,
    ) -> None:
        """Wait for the first assignment."""
        self._plan, self._metrics = plan, metrics
        self._scores, self._foreign, self._looked_s = scores, ForeignRanges(), 0.0
        self._reader, self._writer, self._store = reader, writer, store
        self._gate = asyncio.Lock()
        self._ticks = TickSchedule()
        self._arrears = Arrears()
        self._marks = Marks()
        self._reckoning = False
        self._behind = False
        self._rebuilding = Rebuilding()
        self._ready = False
        self._closed = False
        self._wrote_s: dict[int, float] = {}
        self._beat_s = 0.0
        self._on_the_way: dict[int, _Writing] = {}
        self.failure: asyncio.Future[BaseException] = asyncio.get_running_loop().create_future()

    @property
    def busy(self) -> bool:
        """Whether a batch or a tick is in hand."""
        return self._gate.locked() or bool(self._on_the_way)

    @property
    def behind(self) -> bool:
        """Whether there was backlog at the last batch."""
        return self._behind

    @property
    def ready(self) -> bool:
        """Whether partitions are held and their state is recovered."""
        return self._ready

    async def apply(self, batch: RecordBatch) -> None:
        """Work on one batch; it is acknowledged when all it led to is in Kafka, which may be later (see `settled`).

        Raises:
            EngineStopped: something failed, now or before; the batch is not acknowledged.
        """
        async with self._gate:
            await self._make_way(batch.tp.partition)
            await self._guarded(self._apply(batch))

    async def settled(self) -> None:
        """Wait until nothing is on its way.

        Raises:
            EngineStopped: something failed, now or before.
        """
        async with self._gate:
            await self._settle()

    async def tick(self) -> None:
        """Look at the vertices whose time has come."""
        async with self._gate:
            if self._ready:
                await self._guarded(self._tick())

    async def catch_up(self) -> bool:
        """If the backlog is gone, look at some of the vertices of which something was put off; False if there was nothing to do.

        Raises:
            EngineStopped: something failed, now or before.
        """
        async with self._gate:
            return self._ready and await self._guarded(self._catch_up())

    async def recovered(self) -> None:
        """The state of all partitions held is complete: claim them and begin. What fails stops the engine; Faust would drop it."""
        async with self._gate:
            with contextlib.suppress(EngineStopped):
                await self._guarded(self._begin())

    async def renew(self) -> None:
        """Claim again where nothing was written for long, so that a stale write is noticed before compaction lets it hide a valid one."""
        async with self._gate:
            if self._ready:
                await self._guarded(self._renew())

    async def say_again_after_others(self) -> None:
        """Where somebody else wrote an older score over ours, ask for what stands to be said again."""
        if self._plan.stopwatch_s() - self._looked_s < SCORES_LOOKED_AT_AFTER_S:
            return
        async with self._gate:
            if self._ready:
                await self._settle()
                await self._guarded(self._look())
        self._looked_s = self._plan.stopwatch_s()

    def beat(self, session_s: float) -> None:
        """To be called several times a session. If none has come for a whole session, what is in hand must not be sent."""
        now_s = self._plan.stopwatch_s()
        if self._ready and now_s - self._beat_s > session_s:
            log.error("overslept", slept_s=round(now_s - self._beat_s, 1))
            self.fail(Overslept(f"nothing was done for {now_s - self._beat_s:.1f} s, longer than a session"))
        self._beat_s = now_s

    async def give_up(self, settle: Callable[[], Awaitable[object]]) -> None:
        """Partitions go: wait for the batches in hand, then let `settle` commit what was applied. Nothing is written until `recovered`."""
        async with self._gate:
            with contextlib.suppress(EngineStopped):
                await self._settle()
                await self._last_look()
            self._ready = False
            self._reckoning = False
            self._metrics.ready.set(0)
            self._metrics.partitions.set(0)
            self._ticks.rebuild(())
            self._arrears.clear()
            self._marks.clear()
            await settle()

    async def close(self) -> None:
        """Wait for the batches in hand and take no more."""
        async with self._gate:
            with contextlib.suppress(EngineStopped):
                await self._settle()
                await self._last_look()
            self._closed = True
            self._ready = False
            self._metrics.ready.set(0)

    def fail(self, error: BaseException) -> None:
        """Something beyond repair happened: take nothing more, and let the worker know."""
        self._closed = True
        self._ready = False
        self._metrics.ready.set(0)
        if not self.failure.done():
            self.failure.set_result(error)

    async def _make_way(self, partition: int) -> None:
        """Wait until a batch of this partition may be worked on, and let what is on its way get some of it done."""
        while partition in self._on_the_way or len(self._on_the_way) >= MAX_ON_THE_WAY:
            await asyncio.wait(self._writes(), return_when=asyncio.FIRST_COMPLETED)
        if self._on_the_way:
            await asyncio.wait(self._writes(), timeout=GIVE_WAY_S)

    async def _settle(self) -> None:
        """Wait for what is on its way. Raises EngineStopped if it did not arrive."""
        while self._on_the_way:
            await asyncio.wait(self._writes())
        if self._closed:
            raise EngineStopped("the engine is closed")

    def _writes(self) -> list[asyncio.Task[None]]:
        return [writing.task for writing in self._on_the_way.values()]

    async def _guarded(self, work: Awaitable[T]) -> T:
        if self._closed:
            if asyncio.iscoroutine(work):
                work.close()
            raise EngineStopped("the engine is closed")
        try:
            return await work
        except asyncio.CancelledError as error:
            # in the middle of writing: what was written is known after recovery only
            self.fail(error)
            raise
        except (EngineStopped, ForeignWrite) as error:
            log.error("engine_stops", error=str(error))  # noqa: TRY400  expected, and no fault of the code
            if isinstance(error, ForeignWrite):  # whoever wrote to the changelog had scores on the way, too
                try:
                    await self._last_look()
                finally:
                    self.fail(error)
            self.fail(error)
            raise EngineStopped(str(error)) from error
        except Exception as error:
            log.exception("scoring_failed")
            self.fail(error)
            raise EngineStopped("the engine has failed") from error

    async def _begin(self) -> None:
        store = self._store()
        partitions = sorted(store.assigned())
        inherits = await self._inherit([partition for partition in partitions if not store.epoch(partition)])
        if any(map(store.rebuilding, partitions)) or (inherits and (await self._reader().group_lag())[0]):
            self._rebuilding.begin(self._plan.stopwatch_s())
        await self._claim({partition: store.epoch(partition) + 1 for partition in partitions})
        try:
            for partition in partitions:
                await self._restore(partition)
            changes = list(store.next_changes())
        except ValueError as error:
            log.error("state_unreadable", error=type(error).__name__)  # noqa: TRY400  the text would quote the state
            self.fail(error)
            return
        self._foreign.forget()
        await self._look()
        self._ticks.rebuild(changes)
        self._suspect(changes)
        self._metrics.vertices.set(store.count())
        self._metrics.partitions.set(len(partitions))
        self._metrics.ready.set(1)
        self._ready = True
        self._beat_s = self._plan.stopwatch_s()

    async def _inherit(self, partitions: Collection[int]) -> bool:
        """In partitions that this group never held, begin where the scores of an earlier group end; whether there are any.

        Receivers keep the higher version, so they would not hear of a vendor whose versions begin anew. The states are written before
        the claim: whoever is cut off in between does it again.
        """
        ends, inherits = await self._scores.ends(partitions) if partitions else {}, False
        for partition in partitions:
            newest: list[Found] = []  # of a piece at a time: what is not compacted yet may be many times as much
            for piece in pieces_of(partition, 0, ends[partition]):
                newest = newest_of([*newest, *await self._scores.read(piece)])
            said = said_in(newest)
            if said:
                outcome = inherited(said)
                await self._write_changelog(state_records(outcome, self._plan.changelog, partition, 0))
                self._store().put(partition, outcome.states, outcome.encoded)
                inherits = True
                log.info("scores_inherited", partition=partition, vendors=len(said))
        return inherits

    async def _is_through(self) -> bool:
        """Whether the whole group has just taken everything in again; from then on claims say so. Looks every few seconds."""
        if not self._rebuilding.takes_a_look(self._plan.stopwatch_s()):
            return False
        try:
            async with asyncio.timeout(LOOK_S):
                unread, written = await self._reader().group_lag()
        except (TimeoutError, KafkaError) as error:
            self._metrics.broker_errors.inc()
            log.warning("group_not_looked_at", error=repr(error))
            return False
        if not self._rebuilding.look(self._plan.stopwatch_s(), unread, written):
            return False
        log.info("scores_rebuilt")
        await self._settle()
        await self._claim({partition: self._store().epoch(partition) for partition in self._store().assigned()})
        return True

    def _suspect(self, changes: Iterable[tuple[int, bytes, datetime | None]]) -> None:
        """Whatever wants to be looked at before long may owe something that was put off before the partition came here."""
        latest = self._plan.clock() + max(self._plan.put_off, REBUILT_WITHIN)
        for partition, key, due in changes:
            if due is not None and due <= latest:
                self._arrears.set(partition, key, Owed(due, reckoning=True))

    async def _renew(self) -> None:
        if self._idle():
            await self._settle()
            await self._claim({partition: self._store().epoch(partition) for partition in self._idle()})

    async def _look(self) -> None:
        """Look for scores that others wrote. What fails here is tried again: nothing but compaction depends on it."""
        try:
            async with asyncio.timeout(LOOK_S):
                await self._say_again()
        except (TimeoutError, KafkaError) as error:
            self._metrics.broker_errors.inc()
            log.warning("scores_not_looked_at", error=repr(error))

    async def _last_look(self) -> None:
        """Who comes next begins where the scores end by then."""
        if self._ready:
            await self._look()

    async def _say_again(self) -> None:
        """Piece by piece, so that a long range gets done though a look has its bound."""
        for foreign in self._foreign.found(await self._scores.ends(self._store().assigned())):
            hidden = {found.key for found in await self._scores.read(foreign) if self._is_older(foreign.partition, found)}
            if hidden:
                self._metrics.stale_scores.inc(len(hidden))
                log.warning("older_scores_by_another_worker", vendors=len(hidden))
                asked = [(key, Message("repeat", SENDER, key.decode(), 0)) for key in sorted(hidden)]
                self._expect(
                    await self._writer().write(
                        [
                            OutgoingRecord(MESSAGES.name, self._plan.home(key), key, message_to_bytes(message))
                            for key, message in asked
                        ]
                    )
                )
            self._foreign.looked_at(foreign)

    def _is_older(self, partition: int, found: Found) -> bool:
        vertex = self._store().get(partition, found.key)
        return vertex is not None and vertex.published is not None and found.version < vertex.published.scores.version

    def _idle(self) -> list[int]:
        """Partitions to whose changelog nothing was written for long."""
        now_s = self._plan.stopwatch_s()
        return [
            partition for partition in self._store().assigned() if now_s - self._wrote_s.get(partition, now_s) >= RENEWED_AFTER_S
        ]

    async def _claim(self, epochs: Mapping[int, int]) -> None:
        """Write claims until Kafka says that they join what is known of the changelog."""
        store, left = self._store(), dict(epochs)
        for _ in range(CLAIM_ATTEMPTS):
            written = await self._write_changelog(
                [claim_record(self._plan.changelog, *place, rebuilding=self._rebuilding.goes_on) for place in left.items()]
            )
            for partition in written:
                store.claimed(partition, left.pop(partition), rebuilding=self._rebuilding.goes_on)
            if not left:
                return
        raise ForeignWrite(f"{self._plan.changelog}: Kafka does not tell where claims lie")

    async def _restore(self, partition: int) -> None:
        """Write again what a refused record would hide once the changelog is compacted."""
        plan, store = self._plan, self._store()
        refusals, hidden = store.refused(partition)
        if not refusals:
            return
        deleted = sum(state is None for state in hidden.values())
        self._metrics.stale_refused.inc(refusals)
        log.warning("stale_states_refused", partition=partition, records=refusals, written_again=len(hidden), deleted=deleted)
        epoch = store.epoch(partition)
        await self._write_changelog(
            [restoring_record(plan.changelog, partition, key, state, epoch) for key, state in hidden.items()]
        )
        store.restored(partition)

    async def _write_changelog(self, records: Sequence[OutgoingRecord]) -> frozenset[int]:
        """Write to the changelog; returns the partitions in which the records are known to join what was there.

        Raises:
            ForeignWrite: somebody else wrote to one.
        """
        changelog, store = self._plan.changelog, self._store()
        written = await self._writer().write(records) if records else {}
        known = set()
        for partition, count in Counter(record.partition for record in records).items():
            offsets = written.get(TP(changelog, partition))
            if not store.wrote(partition, offsets, count):
                raise ForeignWrite(f"{changelog}, partition {partition}: somebody else wrote before {offsets}")
            self._wrote_s[partition] = self._plan.stopwatch_s()
            if offsets is not None:
                known.add(partition)
        return frozenset(known)

    async def _apply(self, batch: RecordBatch) -> None:
        reader = self._reader()
        admission = reader.admit(batch)
        if admission is Admission.HOLE and await reader.read_again(batch.tp):
            self._metrics.rereads.inc()
            log.info("log_read_again", topic=batch.tp.topic, partition=batch.tp.partition, offset=batch.start)
        if admission is not Admission.APPLY:
            return
        plan = self._plan
        began = plan.stopwatch_s()
        at = plan.clock()
        intake = read_batch(batch.tp.topic, batch.tp.partition, batch.records, plan.home)
        outcome = react_all(
            self._store(),
            batch.tp.partition,
            intake.inputs,
            at=at,
            methodology=plan.methodology,
            # events of one entity come by the dozen, so they are only taken in; of messages, one batch holds most of those that wait
            put_off=PutOff(self._put_off_to(at), reckoning=batch.tp.topic != MESSAGES.name)
            if self._is_behind() or self._rebuilding.goes_on
            else None,
        )
        intake = without_refused(intake, batch.records, outcome.refused)
        self._metrics.react.observe(plan.stopwatch_s() - began)

        async def finish() -> None:
            await self._write(batch.tp.partition, outcome, intake, at)
            reader.applied(batch)
            self._count(batch, intake)

        self._start(batch.tp.partition, finish(), records=batch.end - batch.start, tells=True)

    def _start(self, partition: int, writing: Coroutine[Any, Any, None], *, records: int = 0, tells: bool) -> None:
        """Write in the background. What fails there stops the engine; it is raised by the next call."""

        async def write() -> None:
            try:
                with contextlib.suppress(EngineStopped):
                    await self._guarded(writing)
            finally:
                del self._on_the_way[partition]

        self._on_the_way[partition] = _Writing(asyncio.create_task(write(), name=f"writes of {partition}"), records, tells)

    async def _tick(self) -> None:
        for partition, keys in self._ticks.due(self._plan.clock(), MAX_TICKS).items():
            await self._look_at(partition, keys, assess_later=self._rebuilding.goes_on)

    async def _catch_up(self) -> bool:
        if self._arrears.first(1) is None and self._marks.first(1) is None:
            self._reckoning = False
            return await self._is_through()
        if self._behind and not self._reckoning and self._lag_after_them() >= self._backlog_ends():
            return False
        if not self._reckoning and any(writing.tells for writing in self._on_the_way.values()):
            await self._settle()  # it may lead to backlog again, and it changes what is owed
        due = self._arrears.first(MAX_TICKS, apart_from=self._on_the_way)
        if due is None and self._on_the_way:
            await asyncio.wait(self._writes(), return_when=asyncio.FIRST_COMPLETED)
            return True
        caught_up = not self._is_behind()
        # once begun, all reckon, though what they tell one another is backlog too: it then comes to each in one batch
        self._reckoning = due is not None and due.reckoning and (self._reckoning or caught_up)
        if due is not None and not due.reckoning and self._rebuilding.goes_on:
            return caught_up and await self._is_through()
        if due is not None and (self._reckoning or caught_up):
            await self._look_at(due.partition, due.keys, assess_later=due.reckoning)
            return True
        return caught_up and await self._clear_marks()

    async def _look_at(self, partition: int, keys: Sequence[bytes], *, assess_later: bool) -> None:
        await self._make_way(partition)
        plan, store, at = self._plan, self._store(), self._plan.clock()
        outcome = react_all(
            store,
            partition,
            dict.fromkeys(keys, ()),
            at=at,
            methodology=plan.methodology,
            put_off=PutOff(self._put_off_to(at), reckoning=False) if assess_later else None,
        )
        for key in keys:
            if key not in outcome.states:  # it was only suspected, or it owes an assessment and no reckoning
                vertex = store.get(partition, key)
                self._arrears.set(partition, key, None if vertex is None else vertex.owed)

        async def finish() -> None:
            await self._write(partition, outcome, None, at)
            self._marks.add(partition, outcome.marked)
            self._metrics.ticks.inc(len(keys))

        self._start(partition, finish(), tells=bool(outcome.messages))

    async def _clear_marks(self) -> bool:
        """Write some states again whose marks are no longer true; False if there are none."""
        marked = self._marks.first(MAX_TICKS)
        if marked is None:
            return False
        partition, keys = marked
        await self._write(partition, cleared(self._store(), partition, keys), None, self._plan.clock())
        self._marks.written(partition, keys)  # also those of which the store has only the marked state left
        return True

    def _lag_after_them(self) -> int:
        """The lag once all that is on its way has been applied, as far as is known."""
        return self._reader().lag_records() - sum(writing.records for writing in self._on_the_way.values())

    def _is_behind(self) -> bool:
        lag = self._reader().lag_records()
        self._behind = lag >= BACKLOG_BEGINS or ((self._behind or self._rebuilding.goes_on) and lag >= self._backlog_ends())
        return self._behind

    def _backlog_ends(self) -> int:
        is_exact = self._rebuilding.goes_on and self._rebuilding.is_exact(self._plan.stopwatch_s())
        return 1 if is_exact else BACKLOG_ENDS

    def _put_off_to(self, at: datetime) -> datetime:
        return at + (REBUILT_WITHIN if self._rebuilding.goes_on else self._plan.put_off)

    async def _write(self, partition: int, outcome: Outcome, intake: Intake | None, at: datetime) -> None:
        plan, writer, store = self._plan, self._writer(), self._store()
        began = plan.stopwatch_s()
        if outcome.states:
            await self._write_changelog(state_records(outcome, plan.changelog, partition, store.epoch(partition)))
            store.put(partition, outcome.states, outcome.encoded)
            self._marks.written(partition, outcome.states)
            for key, vertex in outcome.states.items():
                self._ticks.set(partition, key, vertex.next_change)
                self._arrears.set(partition, key, vertex.owed)
            self._metrics.vertices.set(store.count())
        records = result_records(outcome, plan.home, at=at)
        if intake is not None:
            records += forwarded_records(intake.forwarded)
            records += rejected_records(intake.rejected, plan.partitions)
        if self._closed:
            raise EngineStopped("the engine was stopped while it wrote states")
        if records:
            written = await writer.write(records)
            self._foreign.wrote(written)
            self._expect(written)
        self._metrics.write.observe(plan.stopwatch_s() - began)
        self._metrics.messages_sent.inc(len(outcome.messages))
        self._metrics.assessments_published.inc(len(outcome.assessments))
        self._observe_latency(outcome.assessments)

    def _expect(self, written: Mapping[TP, tuple[int, int]]) -> None:
        self._reader().expect({tp: last + 1 for tp, (_, last) in written.items() if tp.topic == MESSAGES.name})

    def _observe_latency(self, assessments: Sequence[Assessment]) -> None:
        now_s = self._plan.wall_clock_s()
        for assessment in assessments:
            if assessment.cause is not None:
                self._metrics.event_to_score.observe(
                    max(0.0, now_s - assessment.cause.accepted_ms / 1000), exemplar(assessment.cause.trace_id)
                )

    def _count(self, batch: RecordBatch, intake: Intake) -> None:
        self._metrics.batch.observe(len(batch.records))
        for label, count in intake.labels.items():
            self._metrics.events_applied.labels(label).inc(count)
        for rejected in intake.rejected:
            self._metrics.records_rejected.labels(rejected.reason).inc()
            origin = rejected.origin
            log.warning(
                "record_rejected", reason=rejected.reason, topic=origin.topic, partition=origin.partition, offset=origin.offset
            )
        self._metrics.records_forwarded.inc(len(intake.forwarded))
