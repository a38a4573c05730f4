"""Two workers that both believe to hold a partition: what the changelog lets stand."""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP
from prometheus_client import CollectorRegistry

from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.events.cloudevent import Event
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.model.stored import vertex_from_bytes
from neutrality.topics import MESSAGES, OWNERSHIP, SCORES
from services.scoring.batching.records import RecordBatch
from services.scoring.batching.rocks import RocksVertices
from services.scoring.batching.store import PartitionedVertices, Vertices
from services.scoring.engine import (
    CLAIM_ATTEMPTS,
    RENEWED_AFTER_S,
    SCORES_LOOKED_AT_AFTER_S,
    Engine,
    EngineStopped,
    ForeignWrite,
    Overslept,
    Plan,
)
from services.scoring.fencing import CLAIM_KEY, CLAIM_VALUE, EPOCH_HEADER
from services.scoring.metrics import ScoringMetrics
from services.scoring.pieces import entity_of
from services.scoring.records import OutgoingRecord
from services.scoring.results import Found, Range, version_of
from tests.support.events import AT, lab, stake, vendor
from tests.support.scoring import Consumed, FakeReader, consumed_event, nothing_to_commit

CHANGELOG = "scoring-vertices-changelog"
HERE = TP(CHANGELOG, 0)


@dataclass
class Kafka:
    """The logs of all topics, of one partition each, and what the group's member has committed."""

    logs: dict[str, list[Consumed]] = field(default_factory=dict)
    committed: dict[TP, int] = field(default_factory=lambda: {TP(OWNERSHIP.name, 0): 0, TP(MESSAGES.name, 0): 0})
    member: object = None

    def append(self, record: OutgoingRecord) -> int:
        log = self.logs.setdefault(record.topic, [])
        log.append(Consumed(record.topic, record.partition, len(log), record.key, record.value, tuple(record.headers)))
        return len(log) - 1

    def publish(self, *events: Event) -> None:
        log = self.logs.setdefault(OWNERSHIP.name, [])
        log += [consumed_event(event, len(log) + number) for number, event in enumerate(events)]

    def since(self, topic: str, start: int) -> RecordBatch | None:
        records = [record for record in self.logs.get(topic, []) if record.offset >= start]
        return RecordBatch(TP(topic, 0), records, start, records[-1].offset + 1) if records else None

    def compact(self) -> None:
        """Keep the last record of each key of the changelog."""
        last = {record.key: record.offset for record in self.logs[CHANGELOG]}
        self.logs[CHANGELOG] = [record for record in self.logs[CHANGELOG] if last[record.key] == record.offset]

    def states(self) -> dict[bytes, bytes]:
        """The newest core of each entity in the changelog."""
        newest = {record.key or b"": record.value for record in self.logs[CHANGELOG] if record.key != CLAIM_KEY}
        return {key: value for key, value in newest.items() if value is not None and entity_of(key) is None}


class Line:
    """One worker's connection: it may be held up before Kafka takes what is written, and then is dead or asleep."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka
        self.sleeps_before: str | None = None
        self.asleep = asyncio.Event()
        self.wakes = asyncio.Event()
        self.untold = 0

    async def write(self, records: Sequence[OutgoingRecord]) -> Mapping[TP, tuple[int, int]]:
        if any(record.topic == self.sleeps_before for record in records):
            self.asleep.set()
            await self.wakes.wait()
            self.sleeps_before = None
        written: dict[TP, tuple[int, int]] = {}
        for record in records:
            tp, offset = TP(record.topic, record.partition), self.kafka.append(record)
            written[tp] = (written.get(tp, (offset, offset))[0], offset)
        if self.untold:
            self.untold -= 1
            return {}
        return written


@dataclass
class Scores:
    """The topic of scores among these logs."""

    kafka: Kafka
    away: bool = False

    async def ends(self, partitions: Collection[int]) -> Mapping[int, int]:
        if self.away:
            raise KafkaConnectionError("away")
        return dict.fromkeys(partitions, len(self.kafka.logs.get(SCORES.name, ())))

    async def read(self, found: Range) -> list[Found]:
        records = self.kafka.logs[SCORES.name][found.start : found.end]
        return [Found(record.key, version_of(record.headers), record.value) for record in records if record.key is not None]


class Worker:
    """A real engine and store on these logs."""

    def __init__(self, kafka: Kafka, store: Vertices) -> None:
        self.kafka, self.store, self.line = kafka, store, Line(kafka)
        self.reader, self.registry, self.now_s = FakeReader(), CollectorRegistry(), 0.0
        plan = Plan(
            load_methodology(), CHANGELOG, 1, lambda _: 0, timedelta(seconds=10), lambda: AT, lambda: 0.0, lambda: self.now_s
        )
        metrics = ScoringMetrics(self.registry)
        self.scores = Scores(kafka)
        self.engine = Engine(
            plan,
            metrics,
            reader=lambda: self.reader,
            writer=lambda: self.line,
            store=lambda: self.store,
            scores=self.scores,
        )

    async def take_over(self) -> "Worker":
        """Replay, claim, begin."""
        self.kafka.member = self
        self.replay()
        self.store.assign([0])
        await self.engine.recovered()
        self.reader.ledger.restart(self.kafka.committed)
        return self

    def replay(self) -> None:
        batch = self.kafka.since(CHANGELOG, self.store.replayed_to(0) + 1)
        if batch is not None:
            self.store.replay(batch)

    async def work(self) -> None:
        """Apply all that there is."""
        while True:
            batches = [self.kafka.since(tp.topic, position) for tp, position in self.reader.ledger.positions().items()]
            found = [batch for batch in batches if batch is not None]
            if not found:
                return
            for batch in found:
                await self.engine.apply(batch)
                await self.engine.settled()
            if self.kafka.member is self:
                self.kafka.committed = self.reader.ledger.positions()

    @property
    def failure(self) -> BaseException | None:
        return self.engine.failure.result() if self.engine.failure.done() else None

    def refused(self) -> float | None:
        return self.registry.get_sample_value("scoring_stale_states_refused_total")


@pytest.fixture(params=["memory", "rocksdb"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Kafka], Worker]]:
    opened: list[Vertices] = []

    def a_worker(kafka: Kafka) -> Worker:
        store: Vertices = PartitionedVertices()
        if request.param == "rocksdb":
            store = RocksVertices(tmp_path / str(len(opened)), wall_clock_s=lambda: 0.0)
        opened.append(store)
        return Worker(kafka, store)

    yield a_worker
    for store in opened:
        store.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def scores(kafka: Kafka) -> dict[str, Assessment]:
    """The newest version for each vendor, as receivers keep it: one that sleeps between its states and its results sends the latter late."""
    found: dict[str, Assessment] = {}
    for record in kafka.logs.get(SCORES.name, []):
        assessment = parse_assessment(record.value or b"")
        assert isinstance(assessment, Assessment)
        known = found.get(assessment.vendor)
        if known is None or assessment.version > known.version:
            found[assessment.vendor] = assessment
    return found


def assert_all_is_right(kafka: Kafka, events: Sequence[Event]) -> None:
    """Scores, and the states that a new worker reads after compaction, are those of an undisturbed run."""
    runner = LocalRunner(load_methodology(), AT)
    runner.apply_together(events)
    found = scores(kafka)
    assert found.keys() == runner.assessments.keys()
    assert {name: it.headline for name, it in found.items()} == {name: it.headline for name, it in runner.assessments.items()}
    kafka.compact()
    fresh = PartitionedVertices()
    batch = kafka.since(CHANGELOG, 0)
    assert batch is not None
    fresh.replay(batch)
    for key in kafka.states():
        vertex, expected = fresh.get(0, key), runner.vertices[key.decode()]
        assert vertex is not None
        assert vertex.reports.keys() == expected.reports.keys()
        assert {party: known.value for party, known in vertex.profiles.items()} == {
            party: known.value for party, known in expected.profiles.items()
        }


BEGINNING = [lab("meta"), vendor("scale-ai"), stake("meta", "scale-ai", 0.1, id="first")]
NEWS = [stake("meta", "scale-ai", 0.2, id="second", day=1), vendor("turing"), stake("meta", "turing", 0.3, id="third")]
LATER = [stake("meta", "scale-ai", 0.49, id="fourth", day=2), stake("meta", "surge", 0.5, id="fifth"), vendor("surge")]


def test_a_takeover_is_claimed_before_the_worker_is_ready_and_states_carry_the_epoch(make: Callable[[Kafka], Worker]) -> None:
    async def work() -> None:
        kafka = Kafka()
        kafka.publish(*BEGINNING)
        first = await make(kafka).take_over()
        claim = kafka.logs[CHANGELOG][0]
        assert (claim.key, claim.value, dict(claim.headers)) == (CLAIM_KEY, CLAIM_VALUE, {EPOCH_HEADER: b"1"})
        assert first.engine.ready
        await first.work()
        assert {dict(record.headers)[EPOCH_HEADER] for record in kafka.logs[CHANGELOG]} == {b"1"}
        second = await make(kafka).take_over()
        assert second.store.epoch(0) == 2
        assert dict(kafka.logs[CHANGELOG][-1].headers) == {EPOCH_HEADER: b"2"}

    run(work())


def test_a_claim_that_does_not_join_what_was_replayed_stops_the_worker_before_it_is_ready(
    make: Callable[[Kafka], Worker],
) -> None:
    async def work() -> None:
        kafka = Kafka()
        worker = make(kafka)
        worker.replay()
        kafka.append(OutgoingRecord(CHANGELOG, 0, b"scale-ai", b"{}"))
        worker.store.assign([0])
        await worker.engine.recovered()
        assert isinstance(worker.failure, ForeignWrite)
        assert not worker.engine.ready

    run(work())


@pytest.mark.parametrize(("untold", "ready"), [(2, True), (CLAIM_ATTEMPTS, False)])
def test_a_claim_counts_only_once_kafka_tells_where_it_lies(make: Callable[[Kafka], Worker], untold: int, ready: bool) -> None:
    async def work() -> None:
        worker = make(Kafka())
        worker.line.untold = untold
        await worker.take_over()
        assert worker.engine.ready == ready
        assert (worker.failure is None) == ready

    run(work())


def test_claims_are_renewed_where_nothing_was_written_for_a_minute(make: Callable[[Kafka], Worker]) -> None:
    async def work() -> None:
        kafka = Kafka()
        worker = await make(kafka).take_over()
        await worker.engine.renew()
        assert len(kafka.logs[CHANGELOG]) == 1
        worker.now_s += RENEWED_AFTER_S
        await worker.engine.renew()
        await worker.engine.renew()
        assert [dict(record.headers)[EPOCH_HEADER] for record in kafka.logs[CHANGELOG]] == [b"1", b"1"]
        kafka.append(OutgoingRecord(CHANGELOG, 0, b"scale-ai", b"{}", ((EPOCH_HEADER, b"0"),)))
        worker.now_s += RENEWED_AFTER_S
        with pytest.raises(EngineStopped):
            await worker.engine.renew()
        assert isinstance(worker.failure, ForeignWrite)

    run(work())


def test_a_worker_that_sleeps_in_the_middle_of_a_write_neither_sends_results_nor_leaves_stale_states(
    make: Callable[[Kafka], Worker],
) -> None:
    async def work() -> None:
        kafka = Kafka()
        kafka.publish(*BEGINNING)
        sleeper = await make(kafka).take_over()
        await sleeper.work()

        sleeper.line.sleeps_before = CHANGELOG
        kafka.publish(*NEWS)
        sleeping = asyncio.create_task(sleeper.work())
        await sleeper.line.asleep.wait()
        heir = await make(kafka).take_over()
        kafka.publish(*LATER)
        await heir.work()
        results = {topic: len(log) for topic, log in kafka.logs.items() if topic != CHANGELOG}
        sleeper.line.wakes.set()
        with pytest.raises(EngineStopped):
            await sleeping
        assert isinstance(sleeper.failure, ForeignWrite)
        assert {topic: len(log) for topic, log in kafka.logs.items() if topic != CHANGELOG} == results

        stale = kafka.states()[b"scale-ai"]
        fourth = len(BEGINNING) + len(NEWS)
        assert vertex_from_bytes(stale).applied[OWNERSHIP.name] < fourth, "the changelog ends in the stale state"
        kafka.publish(vendor("mercor"))
        with pytest.raises(EngineStopped):
            await heir.work()
        assert isinstance(heir.failure, ForeignWrite)

        last = await make(kafka).take_over()
        assert last.engine.ready
        assert last.refused() == 4, "two cores and their pieces"
        await last.work()
        assert_all_is_right(kafka, [*BEGINNING, *NEWS, *LATER, vendor("mercor")])

    run(work())


def test_a_worker_that_wakes_after_a_session_sends_no_results_though_its_states_were_taken(
    make: Callable[[Kafka], Worker],
) -> None:
    async def work() -> None:
        kafka = Kafka()
        worker = await make(kafka).take_over()
        worker.now_s += 9
        worker.engine.beat(10)
        worker.line.sleeps_before = CHANGELOG
        kafka.publish(*BEGINNING)
        sleeping = asyncio.create_task(worker.work())
        await worker.line.asleep.wait()
        worker.now_s += 11
        worker.engine.beat(10)
        worker.line.wakes.set()
        with pytest.raises(EngineStopped):
            await sleeping
        assert isinstance(worker.failure, Overslept)
        assert set(kafka.logs) == {CHANGELOG, OWNERSHIP.name}
        await (await make(kafka).take_over()).work()
        assert_all_is_right(kafka, BEGINNING)

    run(work())


def last_scores(kafka: Kafka) -> dict[str, Assessment]:
    """What compaction leaves."""
    found = (parse_assessment(record.value or b"") for record in kafka.logs[SCORES.name])
    return {assessment.vendor: assessment for assessment in found if isinstance(assessment, Assessment)}


@pytest.mark.parametrize("then", ["idle", "busy", "away", "rebalance", "foreign write"])
def test_scores_that_an_earlier_owner_sends_late_do_not_stay_the_last_of_their_vendors(
    make: Callable[[Kafka], Worker], then: str
) -> None:
    async def work() -> None:
        kafka = Kafka()
        kafka.publish(*BEGINNING)
        sleeper = await make(kafka).take_over()
        await sleeper.work()
        sleeper.line.sleeps_before = SCORES.name
        kafka.publish(*NEWS)
        sleeping = asyncio.create_task(sleeper.work())
        await sleeper.line.asleep.wait()
        heir = await make(kafka).take_over()
        kafka.publish(*LATER)
        await heir.work()
        newest = last_scores(kafka)
        sleeper.engine.fail(Overslept("as `beat` finds"))
        sleeper.line.wakes.set()
        with pytest.raises(EngineStopped):
            await sleeping
        late = last_scores(kafka)
        assert any(late[name].version < newest[name].version for name in newest), "what we want to be rid of"
        if then == "busy":  # own scores come after the late ones, of another vendor
            kafka.publish(vendor("mercor"))
            await heir.work()
        if then == "away":  # nothing stops, and it is found later
            heir.now_s, heir.scores.away = heir.now_s + SCORES_LOOKED_AT_AFTER_S, True
            await heir.engine.say_again_after_others()
            heir.scores.away = False
            assert heir.failure is None
        if then == "rebalance":
            await heir.engine.give_up(nothing_to_commit)
            heir = await make(kafka).take_over()
        elif then == "foreign write":
            kafka.append(OutgoingRecord(CHANGELOG, 0, b"scale-ai", b"{}", ((EPOCH_HEADER, b"0"),)))
            kafka.publish(vendor("mercor"))
            with pytest.raises(EngineStopped):
                await heir.work()
            heir = await make(kafka).take_over()
        heir.now_s += SCORES_LOOKED_AT_AFTER_S
        await heir.engine.say_again_after_others()
        await heir.work()
        assert {name: last_scores(kafka)[name] for name in newest} == newest
        written = len(kafka.logs[SCORES.name])
        heir.now_s += SCORES_LOOKED_AT_AFTER_S
        await heir.engine.say_again_after_others()
        await heir.work()
        assert len(kafka.logs[SCORES.name]) == written

    run(work())


def test_a_stale_state_of_an_entity_that_has_no_valid_one_is_deleted(make: Callable[[Kafka], Worker]) -> None:
    async def work() -> None:
        kafka = Kafka()
        sleeper = await make(kafka).take_over()
        sleeper.line.sleeps_before = CHANGELOG
        kafka.publish(vendor("scale-ai"))
        sleeping = asyncio.create_task(sleeper.work())
        await sleeper.line.asleep.wait()
        await make(kafka).take_over()
        sleeper.line.wakes.set()
        with pytest.raises(EngineStopped):
            await sleeping
        assert list(kafka.states()) == [b"scale-ai"]
        last = await make(kafka).take_over()
        assert kafka.states() == {}
        await last.work()
        assert_all_is_right(kafka, [vendor("scale-ai")])

    run(work())


def test_a_partition_that_stays_through_a_rebalance_is_claimed_again_and_heals_without_a_restart(
    make: Callable[[Kafka], Worker],
) -> None:
    async def work() -> None:
        kafka = Kafka()
        kafka.publish(*BEGINNING)
        worker = await make(kafka).take_over()
        await worker.work()
        state = kafka.states()[b"scale-ai"]
        kafka.append(OutgoingRecord(CHANGELOG, 0, b"scale-ai", b"{}", ((EPOCH_HEADER, b"0"),)))

        await worker.engine.give_up(nothing_to_commit)
        await worker.take_over()
        assert worker.engine.ready
        assert worker.store.epoch(0) == 2
        assert kafka.states()[b"scale-ai"] == state
        assert worker.refused() == 1

    run(work())


async def wake(sleeper: Worker, task: asyncio.Task[None]) -> None:
    """It goes on where it was, and stops if its time is over."""
    sleeper.line.wakes.set()
    await asyncio.wait({task})
    if task.exception() is not None:
        assert isinstance(task.exception(), EngineStopped)
        assert isinstance(sleeper.failure, ForeignWrite)


@pytest.mark.parametrize("seed", range(30))
def test_whoever_sleeps_and_wakes_when_the_scores_and_the_states_are_right_in_the_end(seed: int) -> None:
    """A seeded schedule of workers that take over, fall asleep before one of their writes, wake much later, and of a log that is compacted."""

    async def work() -> None:
        random, kafka = Random(seed), Kafka()
        shares = [
            stake(
                f"lab-{random.randrange(2)}", f"v-{random.randrange(4)}", random.randint(1, 9) / 10, id=f"s{number}", day=number
            )
            for number in range(30)
        ]
        events = [lab("lab-0"), lab("lab-1"), *(vendor(f"v-{number}") for number in range(4)), *shares]
        asleep: list[tuple[Worker, asyncio.Task[None]]] = []
        left = list(events)
        while left:
            worker = await Worker(kafka, PartitionedVertices()).take_over()
            for _ in range(random.randint(1, 4)):
                size = random.randint(1, 3)
                kafka.publish(*left[:size])
                left = left[size:]
                if random.random() < 0.4:
                    worker.line.sleeps_before = random.choice([CHANGELOG, MESSAGES.name])
                working = asyncio.create_task(worker.work())
                sleeping = asyncio.create_task(worker.line.asleep.wait())
                await asyncio.wait({working, sleeping}, return_when=asyncio.FIRST_COMPLETED)
                if not working.done():
                    asleep.append((worker, working))
                    break
                sleeping.cancel()
                if worker.failure is not None:
                    assert isinstance(working.exception(), EngineStopped)
                    assert isinstance(worker.failure, ForeignWrite)
                    break
                if asleep and random.random() < 0.5:
                    sleeper, task = asleep.pop(random.randrange(len(asleep)))
                    await wake(sleeper, task)
        for sleeper, task in asleep:
            await wake(sleeper, task)
        last = await Worker(kafka, PartitionedVertices()).take_over()
        await last.work()
        assert last.failure is None
        assert_all_is_right(kafka, events)

    run(work())
