"""A deterministic simulator of the scoring stream: logs, workers and a schedule that is as bad as a seed can make it.

Real are the handlers (`read_batch`, `react_all`, `state_records`, `result_records`, ...), the ledger and the ticks; simulated are Kafka (logs,
committed offsets), Faust (fetching, queues, rebalances, recovery) and the engine's loop, cut off by a crash wherever it may be:

    before the changelog | in the middle of it | after it | after some of the results | after all of them, before the commit

Further: batches of any size, fetched records that are dropped, batches of an earlier assignment that are handed over late, partitions that
move, commits that fail, clocks that differ, events under two offsets or in the wrong partition, messages that are delivered again later,
assessments that are put off. One owner a partition at a time: two at once are the fencing's business, and tested with it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Final

from faust.types import TP

from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.events.cloudevent import event_to_kafka, topic_kind
from neutrality.model.methodology import Methodology
from neutrality.model.stored import vertex_from_bytes
from neutrality.model.vertex import PutOff, Vertex, message_from_bytes
from neutrality.topics import CONTRACTS, MESSAGES, OWNERSHIP, REJECTED, SCORES
from services.scoring.batching.ledger import Admission, OffsetLedger
from services.scoring.batching.records import RecordBatch
from services.scoring.handlers.intake import Intake, read_batch, without_refused
from services.scoring.handlers.outcome import (
    Outcome,
    cleared,
    forwarded_records,
    react_all,
    rejected_records,
    result_records,
    state_records,
)
from services.scoring.partitions import partition_of
from services.scoring.pieces import entity_of
from services.scoring.records import OutgoingRecord
from services.scoring.ticks import Arrears, Marks, TickSchedule
from tests.support.claimsets import START, Taken
from tests.support.scoring import Consumed

CHANGELOG: Final = "scoring-vertices-changelog"
SOURCES: Final = (OWNERSHIP.name, CONTRACTS.name, MESSAGES.name)
MOST_STEPS: Final = 20_000  # far more than any schedule needs: work without end is a failure, not a long test
MAX_TICKS: Final = 1_000


class Crash(Exception):  # noqa: N818 - what happens to a worker, not what it raises
    """The worker is gone in the middle of something."""


@dataclass
class Kafka:
    """Logs, and what the group has committed."""

    logs: dict[TP, list[Consumed]] = field(default_factory=dict)
    committed: dict[TP, int] = field(default_factory=dict)

    def log(self, tp: TP) -> list[Consumed]:
        """All records of a partition."""
        return self.logs.setdefault(tp, [])

    def append(self, record: OutgoingRecord, timestamp: int) -> int:
        """Write one record; returns its offset."""
        log = self.log(TP(record.topic, record.partition))
        taken = timestamp if record.timestamp_ms is None else record.timestamp_ms
        log.append(
            Consumed(record.topic, record.partition, len(log), record.key, record.value, tuple(record.headers), timestamp=taken)
        )
        return len(log) - 1

    def newest(self, topic: str, partitions: int) -> dict[bytes, bytes]:
        """The last value of every key, as compaction leaves it."""
        found: dict[bytes, bytes] = {}
        for partition in range(partitions):
            for record in self.log(TP(topic, partition)):
                assert record.key is not None
                assert record.value is not None
                found[record.key] = record.value
        return found


def in_one(key: bytes, core: bytes, found: Mapping[bytes, bytes]) -> Vertex:
    """The vertex of a core, with those of the pieces found that are its own."""
    return vertex_from_bytes(core, [piece for name, piece in found.items() if entity_of(name) == key])


class States:
    """Vertices by partition and key, with the last changelog offset of each partition. What is replayed stays bytes until it is asked for."""

    def __init__(self) -> None:
        self._held: dict[int, dict[bytes, Vertex | bytes]] = {}
        self._pieces: dict[int, dict[bytes, bytes]] = {}
        self.offsets: dict[int, int] = {}

    def get(self, partition: int, key: bytes) -> Vertex | None:
        """The vertex of an entity; None if it is new."""
        held = self._held.get(partition, {})
        state = held.get(key)
        if isinstance(state, bytes):
            state = held[key] = in_one(key, state, self._pieces.get(partition, {}))
        return state

    def put(self, partition: int, outcome: Outcome, last: int) -> None:
        """Keep states that the changelog has, up to this offset."""
        self._held.setdefault(partition, {}).update(outcome.states)
        found = {key: state.value for key, state in outcome.encoded.items() if entity_of(key) is not None}
        self._pieces.setdefault(partition, {}).update(found)
        self.offsets[partition] = last

    def replay(self, partition: int, log: Sequence[Consumed]) -> None:
        """Take in what is new in the changelog: the last record of a key stands."""
        held, pieces = self._held.setdefault(partition, {}), self._pieces.setdefault(partition, {})
        for record in log[self.offsets.get(partition, -1) + 1 :]:
            if record.key is not None and record.value is not None:
                (held if entity_of(record.key) is None else pieces)[record.key] = record.value
        self.offsets[partition] = len(log) - 1

    def keep_only(self, partitions: frozenset[int]) -> None:
        """Forget the others: another worker writes them now."""
        for partition in self._held.keys() - partitions:
            del self._held[partition]
            self._pieces.pop(partition, None)
            self.offsets.pop(partition, None)

    def next_changes(self) -> Iterator[tuple[int, bytes, datetime | None]]:
        """When the vertices want to be looked at again."""
        for partition, held in self._held.items():
            for key in list(held):
                vertex = self.get(partition, key)
                yield partition, key, None if vertex is None else vertex.next_change


@dataclass
class Worker:
    """What one process has in memory; a crash takes all of it."""

    partitions: frozenset[int] = frozenset()
    ledger: OffsetLedger = field(default_factory=OffsetLedger)
    store: States = field(default_factory=States)
    ticks: TickSchedule = field(default_factory=TickSchedule)
    arrears: Arrears = field(default_factory=Arrears)
    marks: Marks = field(default_factory=Marks)
    fetched_to: dict[TP, int] = field(default_factory=dict)
    queue: list[RecordBatch] = field(default_factory=list)


class Simulator:
    """One run. `choose` decides on everything that Kafka, the network and the machines decide on."""

    def __init__(self, methodology: Methodology, choose: Random, *, partitions: int = 3, workers: int = 2) -> None:
        self._methodology, self._choose = methodology, choose
        self._partitions = partitions
        self._home = partition_of(partitions)
        self._steps = 0
        self._now = START
        self._until = START
        self._calm = False
        self._epoch = 0
        self.kafka = Kafka()
        self.workers = [Worker() for _ in range(workers)]
        self.happened: dict[str, int] = {}

    # --- the run ---

    def run(self, events: Sequence[Taken], until: datetime) -> None:
        """Publish all events and do all that follows, with every mishap that the schedule has; at `until` all is calm and done."""
        choose = self._choose
        self._until = until
        left = list(events)
        choose.shuffle(left)
        self._rebalance()
        while left:
            for _ in range(choose.randint(1, 4)):
                if left:
                    self._publish(left.pop())
            for _ in range(choose.randint(1, 16)):
                self._step()
        for _ in range(choose.randint(0, 30)):
            self._step()
        self._drain()
        # and when all is done, what is long outdated comes once more
        for partition in range(self._partitions):
            for old in _outdated(self.kafka.log(TP(MESSAGES.name, partition))):
                if choose.random() < 0.5:
                    self._repeat(old)
        self._drain()

    def assessments(self) -> dict[str, Assessment]:
        """What a reader of the scores has in the end, by vendor."""
        found = {}
        for key, value in self.kafka.newest(SCORES.name, self._partitions).items():
            assessment = parse_assessment(value)
            assert isinstance(assessment, Assessment), assessment
            found[key.decode()] = assessment
        return found

    def vertices(self) -> dict[str, Vertex]:
        """What a new worker would recover."""
        found = self.kafka.newest(CHANGELOG, self._partitions)
        return {key.decode(): in_one(key, value, found) for key, value in found.items() if entity_of(key) is None}

    def published(self) -> dict[str, list[Assessment]]:
        """All that was ever said of each vendor, in the order of the log."""
        found: dict[str, list[Assessment]] = {}
        for partition in range(self._partitions):
            for record in self.kafka.log(TP(SCORES.name, partition)):
                assessment = parse_assessment(record.value or b"")
                assert isinstance(assessment, Assessment)
                found.setdefault(assessment.vendor, []).append(assessment)
        return found

    def rejected(self) -> int:
        """Records that were refused."""
        return sum(len(self.kafka.log(TP(REJECTED.name, partition))) for partition in range(self._partitions))

    # --- the schedule ---

    def _step(self) -> None:
        self._steps += 1
        assert self._steps < MOST_STEPS, "work without end"
        choose = self._choose
        worker = choose.choice(self.workers)
        dice = choose.random()
        if dice < 0.03:
            self._count("rebalances")
            self._rebalance()
        elif dice < 0.05:
            self._count("crashes between batches")
            self._crash(worker)
        elif dice < 0.1:
            self._deliver_again()
        elif dice < 0.13:
            self._now = min(self._until, self._now + timedelta(days=choose.choice((1, 10, 50))))
        elif dice < 0.22:
            self._guarded(worker, self._tick)
        elif dice < 0.27:
            self._commit(worker)
        elif dice < 0.6:
            self._fetch(worker)
        else:
            self._guarded(worker, self._apply)

    def _drain(self) -> None:
        """No more mishaps: what is left is read, and those whose time has come are asked, until nothing moves."""
        self._calm = True
        self._now = self._until
        while True:
            self._steps += 1
            assert self._steps < MOST_STEPS, "work without end"
            moved = False
            for worker in self.workers:
                self._seek_back(worker)
                while self._fetch(worker):
                    pass
                while worker.queue:
                    moved = True
                    self._apply(worker)
                moved = self._tick(worker) or moved
                self._commit(worker)
            if not moved:
                break
        for worker in self.workers:
            for tp, position in worker.ledger.positions().items():
                assert position == len(self.kafka.log(tp)), f"{tp} was not read to its end"

    def _guarded(self, worker: Worker, work: Callable[[Worker], object]) -> None:
        try:
            work(worker)
        except Crash:
            self._crash(worker)

    def _count(self, name: str) -> None:
        self.happened[name] = self.happened.get(name, 0) + 1

    def _perhaps_crash(self, point: str, odds: float = 0.03) -> None:
        if not self._calm and self._choose.random() < odds:
            self._count(f"crashes {point}")
            raise Crash

    # --- Kafka and its producers ---

    def _publish(self, item: Taken) -> None:
        event, accepted_ms = item
        headers, value = event_to_kafka(event)
        topic = f"neutrality.{topic_kind(event)}"
        home = self._home(event.key)
        for partition in self._places(home):
            self.kafka.append(OutgoingRecord(topic, partition, event.key, value, tuple(headers)), accepted_ms)
            accepted_ms += 1_000  # a repeat is taken later

    def _places(self, home: int) -> list[int]:
        """Where an event goes: home, at times twice, at times by a producer with another partitioner."""
        dice = self._choose.random()
        if dice < 0.1:
            return [home, home]
        return [self._choose.randrange(self._partitions)] if dice < 0.2 else [home]

    def _deliver_again(self) -> None:
        """A message that was sent before comes again, after newer ones."""
        log = self.kafka.log(TP(MESSAGES.name, self._choose.randrange(self._partitions)))
        if log:
            self._count("late repeats of messages")
            self._repeat(self._choose.choice(_outdated(log) or log))

    def _repeat(self, old: Consumed) -> None:
        self.kafka.append(OutgoingRecord(old.topic, old.partition, old.key, old.value, old.headers), old.timestamp)

    def _write(self, records: Sequence[OutgoingRecord], point: str) -> Mapping[TP, tuple[int, int]]:
        """Write all, or, with a crash on the way, some of the records of each partition: the first ones."""
        crash = not self._calm and self._choose.random() < 0.06
        if crash:
            partitions = sorted({(record.topic, record.partition) for record in records})
            through = {place: self._choose.randint(0, len(records)) for place in partitions}
        written: dict[TP, tuple[int, int]] = {}
        for number, record in enumerate(records):
            if crash and number >= through[record.topic, record.partition]:
                continue
            offset = self.kafka.append(record, int(self._now.timestamp() * 1000))
            tp = TP(record.topic, record.partition)
            written[tp] = (written.get(tp, (offset, offset))[0], offset)
        if crash:
            self._count(f"crashes {point}")
            raise Crash
        return written

    # --- a worker ---

    def _crash(self, worker: Worker) -> None:
        """The worker is started anew; the group notices and shares the partitions out again."""
        self.workers[self.workers.index(worker)] = Worker()
        self._rebalance()

    def _rebalance(self) -> None:
        """All give up all; then each gets its partitions, recovers what it did not hold, and reads on from what was committed."""
        choose = self._choose
        self._epoch += 1
        for worker in self.workers:
            self._commit(worker)
            worker.ledger.forget()
            worker.ticks.rebuild(())
            worker.arrears.clear()
            worker.marks.clear()
            if choose.random() < 0.5:
                worker.queue.clear()  # else its batches come late, to a worker that may not hold the partition any more
        idle = choose.randrange(len(self.workers)) if choose.random() < 0.2 and len(self.workers) > 1 else None
        able = [number for number in range(len(self.workers)) if number != idle]
        owner = {partition: choose.choice(able) for partition in range(self._partitions)}
        for number, worker in enumerate(self.workers):
            held = frozenset(partition for partition, who in owner.items() if who == number)
            worker.store.keep_only(worker.partitions & held)
            worker.partitions = held
            self._recover(worker)

    def _recover(self, worker: Worker) -> None:
        for partition in sorted(worker.partitions):
            worker.store.replay(partition, self.kafka.log(TP(CHANGELOG, partition)))
        positions = {
            tp: self.kafka.committed.get(tp, 0)
            for tp in (TP(topic, partition) for partition in sorted(worker.partitions) for topic in SOURCES)
        }
        worker.fetched_to = dict(positions)
        worker.ledger.restart(positions)
        worker.ticks.rebuild(worker.store.next_changes())

    def _commit(self, worker: Worker) -> None:
        """Commit what was applied; a commit may fail, and the offsets stay where they were."""
        if not self._calm and self._choose.random() < 0.3:
            self._count("failed commits")
            return
        self.kafka.committed.update(worker.ledger.positions())

    def _fetch(self, worker: Worker) -> bool:
        """Fetch some records of one partition into the queue, unless they get lost on the way."""
        behind = [tp for tp, start in sorted(worker.fetched_to.items()) if start < len(self.kafka.log(tp))]
        if not behind:
            return False
        tp = self._choose.choice(behind)
        start, log = worker.fetched_to[tp], self.kafka.log(tp)
        end = self._choose.randint(start + 1, len(log))
        worker.fetched_to[tp] = end
        if not self._calm and self._choose.random() < 0.05:
            self._count("dropped batches")
        else:
            worker.queue.append(RecordBatch(tp, tuple(log[start:end]), start, end))
        return True

    def _seek_back(self, worker: Worker) -> None:
        """What was fetched and neither applied nor queued is read again: the consumer's `is_stuck`."""
        for tp, position in worker.ledger.positions().items():
            if not any(batch.tp == tp for batch in worker.queue):
                worker.fetched_to[tp] = position

    def _apply(self, worker: Worker) -> None:
        """The engine's `_apply`."""
        if not worker.queue:
            return
        batch = worker.queue.pop(0)
        admission = worker.ledger.admit(batch.tp, batch.start, batch.end)
        self._count(admission.value)
        position = worker.ledger.position(batch.tp)
        if admission is Admission.HOLE and position is not None:
            worker.fetched_to[batch.tp] = position
        if admission is not Admission.APPLY:
            return
        at = self._clock()
        intake = read_batch(batch.tp.topic, batch.tp.partition, batch.records, self._home)
        backlog = not self._calm and self._choose.random() < 0.5
        put_off = PutOff(at + timedelta(days=1), reckoning=self._choose.random() < 0.5) if backlog else None
        partition = batch.tp.partition
        outcome = react_all(worker.store, partition, intake.inputs, at=at, methodology=self._methodology, put_off=put_off)
        intake = without_refused(intake, batch.records, outcome.refused)
        self._carry_out(worker, partition, outcome, intake, at)
        worker.ledger.applied(batch.tp, batch.start, batch.end)

    def _tick(self, worker: Worker) -> bool:
        """The engine's `_tick`: those whose time has come. Whether there were any."""
        at = self._clock()
        due = worker.ticks.due(at, MAX_TICKS)
        for partition, keys in due.items():
            self._look_at(worker, partition, keys, at, None)
        owing = worker.arrears.first(MAX_TICKS) if self._calm or self._choose.random() < 0.5 else None
        if owing is not None:
            put_off = PutOff(at + timedelta(days=1), reckoning=False) if owing.reckoning else None
            self._look_at(worker, owing.partition, owing.keys, at, put_off)
        marked = worker.marks.first(MAX_TICKS) if self._calm or self._choose.random() < 0.5 else None
        if marked is not None:
            partition, keys = marked
            self._carry_out(worker, partition, cleared(worker.store, partition, keys), None, at)
            worker.marks.written(partition, keys)
        return bool(due) or owing is not None or marked is not None

    def _look_at(self, worker: Worker, partition: int, keys: Sequence[bytes], at: datetime, put_off: PutOff | None) -> None:
        nothing = dict.fromkeys(keys, ())
        outcome = react_all(worker.store, partition, nothing, at=at, methodology=self._methodology, put_off=put_off)
        self._carry_out(worker, partition, outcome, None, at)
        worker.marks.add(partition, outcome.marked)

    def _carry_out(self, worker: Worker, partition: int, outcome: Outcome, intake: Intake | None, at: datetime) -> None:
        """The engine's `_write`."""
        self._perhaps_crash("before the changelog")
        if outcome.states:
            known = worker.store.offsets.get(partition, -1)
            first, last = self._write(state_records(outcome, CHANGELOG, partition, self._epoch), "in the changelog")[
                TP(CHANGELOG, partition)
            ]
            self._perhaps_crash("after the changelog")
            assert first == known + 1, "two owners at once"
            worker.store.put(partition, outcome, last)
            worker.marks.written(partition, outcome.states)
            for key, vertex in outcome.states.items():
                worker.ticks.set(partition, key, vertex.next_change)
                worker.arrears.set(partition, key, vertex.owed)
        records = result_records(outcome, self._home, at=at)
        if intake is not None:
            records += forwarded_records(intake.forwarded)
            records += rejected_records(intake.rejected, self._partitions)
        if records:
            self._write(records, "in the results")
        self._perhaps_crash("before the commit")

    def _clock(self) -> datetime:
        """The worker's clock: up to some days off, though never past the end."""
        if self._calm:
            return self._until
        return min(self._until, self._now + timedelta(days=self._choose.randint(-3, 3)))


def _outdated(log: Sequence[Consumed]) -> list[Consumed]:
    """Messages after which the same sender has told the same receiver something newer."""
    newest: dict[tuple[str, str, bool], int] = {}
    found = []
    for record in reversed(log):
        if record.headers:  # a forwarded event
            continue
        message = message_from_bytes(record.value)
        about = message.sender, message.receiver, message.kind == "profile"
        if message.version < newest.get(about, 0):
            found.append(record)
        newest[about] = max(message.version, newest.get(about, 0))
    return found[::-1]
