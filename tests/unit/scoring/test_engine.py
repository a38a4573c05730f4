import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from faust.types import TP
from prometheus_client import CollectorRegistry

from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.model.methodology import load_methodology
from neutrality.model.profile import Profile
from neutrality.model.vertex import Message, message_to_bytes
from neutrality.topics import FORWARDED_HEADER, MESSAGES, OWNERSHIP, REJECTED, SCORES
from services.scoring.batching.records import RecordBatch
from services.scoring.batching.store import PartitionedVertices
from services.scoring.engine import BACKLOG_BEGINS, Engine, EngineStopped, ForeignWrite, Plan
from services.scoring.metrics import ScoringMetrics
from services.scoring.pieces import entity_of
from services.scoring.records import OutgoingRecord
from tests.support.events import lab, stake, vendor
from tests.support.scoring import (
    Consumed,
    FakeReader,
    FakeWriter,
    OwnScores,
    batch,
    consumed_event,
    consumed_message,
    nothing_to_commit,
)

CHANGELOG = "scoring-vertices-changelog"
HERE = TP(OWNERSHIP.name, 0)
NOW = datetime(2025, 6, 13, tzinfo=UTC)


class Worker:
    """An engine on fakes, with all entities in partition 0 but those whose name begins with `far`."""

    def __init__(self) -> None:
        self.reader, self.writer, self.store = FakeReader(), FakeWriter(), PartitionedVertices()
        self.registry = CollectorRegistry()
        self.now = NOW
        self.elapsed_s = 0.0
        plan = Plan(
            load_methodology(),
            CHANGELOG,
            2,
            lambda key: int(key.startswith(b"far")),
            timedelta(seconds=10),
            lambda: self.now,
            lambda: 1_700_000_000.5,
            lambda: self.elapsed_s,
        )
        self.engine = Engine(
            plan,
            ScoringMetrics(self.registry),
            reader=lambda: self.reader,
            writer=lambda: self.writer,
            store=lambda: self.store,
            scores=OwnScores(self.writer),
        )
        self.reader.ledger.restart({HERE: 0, TP(MESSAGES.name, 0): 0})

    @classmethod
    async def ready(cls, earlier: "Worker | None" = None) -> "Worker":
        """A worker that has claimed its partition; the claim is left out of what the tests count. After another, it goes on with its state."""
        worker = cls()
        if earlier is not None:
            worker.store, worker.writer.offsets = earlier.store, earlier.writer.offsets
        worker.store.assign([0])
        await worker.engine.recovered()
        worker.writer.writes.clear()
        worker.writer.calls = 0
        return worker

    async def restarted(self) -> "Worker":
        """Another worker, which replays what this one wrote to the changelog."""
        worker = type(self)()
        worker.writer.offsets = self.writer.offsets
        log = [record for record in self.writer.to(CHANGELOG) if record.partition == 0]
        first = self.writer.offsets[TP(CHANGELOG, 0)] - len(log)
        found = [
            Consumed(CHANGELOG, 0, first + number, record.key, record.value, record.headers) for number, record in enumerate(log)
        ]
        worker.store.replay(batch(*found))
        worker.store.assign([0])
        await worker.engine.recovered()
        worker.writer.writes.clear()
        return worker

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    async def apply(self, found: RecordBatch) -> None:
        """Apply a batch, and wait until all that it led to is in Kafka."""
        await self.engine.apply(found)
        await self.engine.settled()

    async def tick(self) -> None:
        """Tick, and wait until all that it led to is in Kafka."""
        await self.engine.tick()
        await self.engine.settled()

    async def catch_up(self) -> None:
        """Catch up, and wait until all that it led to is in Kafka."""
        while await self.engine.catch_up():
            pass
        await self.engine.settled()

    async def settle(self) -> None:
        """Hand messages back until none are left."""
        taken = 0
        while len(sent := self.writer.to(MESSAGES.name)) > taken:
            await self.apply(batch(*(consumed_message(r, taken + i) for i, r in enumerate(sent[taken:]))))
            taken = len(sent)

    def newest_score(self) -> Assessment:
        found = parse_assessment(self.writer.to(SCORES.name)[-1].value or b"")
        assert isinstance(found, Assessment)
        return found


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def events(*found: Any, start: int = 0) -> list[Consumed]:
    return [consumed_event(event, start + i) for i, event in enumerate(found)]


def test_states_are_written_first_then_results_and_only_then_is_the_range_acknowledged() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        await worker.apply(batch(*events(vendor("scale-ai"), stake("meta", "scale-ai", 0.49)), end=9))
        assert [{record.topic for record in write} for write in worker.writer.writes] == [
            {CHANGELOG},
            {MESSAGES.name, SCORES.name},
        ]
        assert worker.reader.ledger.position(HERE) == 9
        assert worker.store.get(0, b"scale-ai") is not None
        assert worker.metric("scoring_events_applied_total", type="interest") == 1.0
        assert worker.metric("scoring_event_to_score_seconds_count") == 1.0
        assert worker.metric("scoring_event_to_score_seconds_sum") == pytest.approx(0.5)

    run(work())


def test_under_backlog_events_are_taken_in_and_what_they_lead_to_follows_when_it_is_gone() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        worker.reader.lag = BACKLOG_BEGINS
        await worker.apply(batch(*events(lab("meta"), vendor("scale-ai"), stake("meta", "scale-ai", 0.49))))
        assert [{record.topic for record in write} for write in worker.writer.writes] == [{CHANGELOG}]
        assert worker.reader.ledger.position(HERE) == 3
        assert not await worker.engine.catch_up(), "not while there is backlog"
        worker.reader.lag = 0
        await worker.catch_up()
        await worker.settle()
        assert worker.newest_score().headline.confirmed < 100.0
        assert worker.newest_score().cause is not None
        assert not await worker.engine.catch_up()

    run(work())


def test_a_consumer_that_fails_while_the_backlog_is_looked_for_stops_the_engine() -> None:
    def gone() -> int:
        raise ConnectionError("the consumer is gone")

    async def work() -> None:
        worker = await Worker.ready()
        worker.reader.lag = BACKLOG_BEGINS
        await worker.apply(batch(*events(vendor("scale-ai"))))
        worker.reader.lag_records = gone  # type: ignore[method-assign]
        with pytest.raises(EngineStopped):
            await worker.engine.catch_up()
        assert isinstance(worker.engine.failure.result(), ConnectionError)

    run(work())


def test_a_backlog_that_does_not_end_puts_nothing_off_for_ever() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        worker.reader.lag = BACKLOG_BEGINS
        await worker.apply(batch(*events(vendor("scale-ai"), stake("meta", "scale-ai", 0.49))))
        worker.now += timedelta(seconds=10)
        await worker.tick()
        assert worker.newest_score().vendor == "scale-ai"

    run(work())


@pytest.mark.parametrize("failing_write", [1, 2])
def test_a_write_that_fails_stops_the_engine_and_acknowledges_nothing(failing_write: int) -> None:
    async def work() -> None:
        worker = await Worker.ready()
        worker.writer.fails_at = failing_write
        found = events(vendor("scale-ai"))
        with pytest.raises(EngineStopped):
            await worker.apply(batch(*found))
        assert worker.reader.ledger.positions()[HERE] == 0
        assert isinstance(worker.engine.failure.result(), ConnectionError)
        assert (worker.store.get(0, b"scale-ai") is None) == (failing_write == 1)
        with pytest.raises(EngineStopped):
            await worker.apply(batch(*found))
        assert worker.metric("scoring_ready") == 0.0

    run(work())


def test_after_a_crash_between_states_and_results_the_repeat_says_the_results_again() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        worker.writer.fails_at = 2
        found = batch(*events(vendor("scale-ai"), stake("meta", "scale-ai", 0.49)))
        with pytest.raises(EngineStopped):
            await worker.apply(found)
        restarted = await Worker.ready(worker)
        await restarted.apply(found)
        assert restarted.newest_score().version == 1
        assert [record.key for record in restarted.writer.to(MESSAGES.name)] == [b"meta"]

    run(work())


def test_an_unexpected_error_in_the_work_stops_the_engine_without_an_acknowledgement() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        worker.store.put(0, {b"scale-ai": "no vertex"}, {})  # type: ignore[dict-item]
        with pytest.raises(EngineStopped):
            await worker.apply(batch(*events(vendor("scale-ai"))))
        assert worker.reader.ledger.positions()[HERE] == 0
        assert worker.engine.failure.done()
        assert worker.writer.writes == []

    run(work())


def test_poison_goes_to_rejected_and_what_stands_around_it_is_applied() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        good, after = events(vendor("scale-ai"))[0], consumed_event(vendor("turing"), 2)
        poison = Consumed(OWNERSHIP.name, 0, 1, b"k", b"\xff\x00", (("x", b"\xff"),))
        await worker.apply(batch(good, poison, after))
        (rejected,) = worker.writer.to(REJECTED.name)
        document = orjson.loads(rejected.value or b"")
        assert rejected.key == b"k"
        assert document["reason"] == "invalid_event"
        assert (document["topic"], document["partition"], document["offset"]) == (OWNERSHIP.name, 0, 1)
        assert document["value_base64"] == "/wA="
        assert document["errors"]
        assert worker.store.get(0, b"scale-ai") is not None
        assert worker.store.get(0, b"turing") is not None
        assert worker.reader.ledger.position(HERE) == 3
        assert worker.metric("scoring_records_rejected_total", reason="invalid_event") == 1.0

    run(work())


def test_a_huge_rejected_value_is_cut_so_that_it_can_be_written() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        await worker.apply(batch(Consumed(OWNERSHIP.name, 0, 0, b"k" * 5000, b"x" * 1_000_000)))
        (rejected,) = worker.writer.to(REJECTED.name)
        assert len(rejected.value or b"") < 512 * 1024
        assert orjson.loads(rejected.value or b"")["value_bytes"] == 1_000_000

    run(work())


def test_an_event_of_an_entity_in_another_partition_is_forwarded_and_not_applied() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        await worker.apply(batch(*events(vendor("far-away"))))
        (forwarded,) = worker.writer.to(MESSAGES.name)
        assert (forwarded.partition, forwarded.key) == (1, b"far-away")
        assert (FORWARDED_HEADER, b"neutrality.ownership/0/0") in forwarded.headers
        assert forwarded.timestamp_ms == 1_700_000_000_000
        assert worker.store.count() == 0
        assert worker.reader.ledger.position(HERE) == 1

    run(work())


def test_each_entity_of_a_batch_is_written_once_with_all_its_inputs() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        shares = [stake("meta", "scale-ai", share / 100, id=f"s{share}", day=share) for share in range(1, 50)]
        await worker.apply(batch(*events(vendor("scale-ai"), lab("meta"), *shares)))
        keys = [record.key or b"" for record in worker.writer.to(CHANGELOG)]
        assert [entity_of(key) or key for key in keys] == [b"scale-ai", b"scale-ai", b"meta", b"meta"], "a piece and a core each"
        await worker.settle()
        assert worker.newest_score().headline.confirmed == pytest.approx(100 * (1 - 0.8 * 0.49))

    run(work())


def test_a_batch_behind_a_hole_is_not_applied_and_the_log_is_read_again() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        await worker.apply(batch(*events(vendor("scale-ai"), start=5)))
        assert worker.writer.writes == []
        assert worker.reader.seeks == 1
        assert worker.metric("scoring_rereads_total") == 1.0

    run(work())


def test_a_batch_of_a_partition_that_was_given_up_is_dropped() -> None:
    async def work() -> None:
        worker = await Worker.ready()

        async def commit() -> None:
            assert worker.reader.ledger.positions()[HERE] == 0

        await worker.engine.give_up(commit)
        worker.reader.ledger.forget()
        await worker.apply(batch(*events(vendor("scale-ai"))))
        assert worker.writer.writes == []
        assert worker.reader.seeks == 0
        assert not worker.engine.ready

    run(work())


def test_giving_up_partitions_waits_for_the_batch_in_hand() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        order: list[str] = []
        written = asyncio.Event()

        class SlowWriter(FakeWriter):
            async def write(self, records: Any) -> Any:
                await written.wait()
                order.append("written")
                return await super().write(records)

        worker.writer = SlowWriter(offsets=worker.writer.offsets)

        async def commit() -> None:
            order.append(f"committed {worker.reader.ledger.positions()[HERE]}")

        await worker.engine.apply(batch(*events(vendor("scale-ai"))))
        giving_up = asyncio.create_task(worker.engine.give_up(commit))
        await asyncio.sleep(0)
        written.set()
        await giving_up
        assert order == ["written", "written", "committed 1"]

    run(work())


class Gates(FakeWriter):
    """A writer that lets a partition's states through only when told to."""

    def __init__(self, offsets: dict[TP, int]) -> None:
        super().__init__(offsets=offsets)
        self.opened: dict[int, asyncio.Event] = {}
        self.asked: list[int] = []

    def opens(self, partition: int) -> asyncio.Event:
        return self.opened.setdefault(partition, asyncio.Event())

    async def write(self, records: Any) -> Any:
        if records[0].topic == CHANGELOG:
            self.asked.append(records[0].partition)
            await self.opens(records[0].partition).wait()
        return await super().write(records)


async def on_two_partitions() -> tuple[Worker, Gates]:
    worker = Worker()
    worker.reader.ledger.restart({TP(OWNERSHIP.name, partition): 0 for partition in range(3)})
    worker.store.assign([0, 1, 2])
    await worker.engine.recovered()
    worker.writer = gates = Gates(worker.writer.offsets)
    return worker, gates


def far(name: str, start: int = 0) -> RecordBatch:
    return batch(consumed_event(vendor(f"far-{name}"), start, partition=1))


async def still_waits(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    await asyncio.sleep(0.01)
    assert not task.done()
    return task


def test_while_kafka_takes_one_partitions_writes_another_is_worked_on_and_each_is_acknowledged_by_itself() -> None:
    async def work() -> None:
        worker, gates = await on_two_partitions()
        await worker.engine.apply(batch(*events(vendor("scale-ai"))))
        await worker.engine.apply(far("away"))
        gates.opens(1).set()
        await asyncio.sleep(0.01)
        assert worker.reader.ledger.position(TP(OWNERSHIP.name, 1)) == 1
        assert worker.reader.ledger.position(HERE) == 0
        assert worker.engine.busy
        gates.opens(0).set()
        await worker.engine.settled()
        assert worker.reader.ledger.position(HERE) == 1
        assert not worker.engine.busy

    run(work())


def test_a_batch_waits_for_the_one_before_of_its_partition() -> None:
    async def work() -> None:
        worker, gates = await on_two_partitions()
        await worker.engine.apply(far("away"))
        second = await still_waits(worker.engine.apply(far("away-too", 1)))
        gates.opens(1).set()
        await second
        await worker.engine.settled()
        assert worker.reader.ledger.position(TP(OWNERSHIP.name, 1)) == 2
        assert worker.reader.seeks == 0

    run(work())


def test_a_write_that_fails_on_the_way_stops_the_engine_though_other_batches_were_begun() -> None:
    async def work() -> None:
        worker, gates = await on_two_partitions()
        await worker.engine.apply(batch(*events(vendor("scale-ai"))))
        await worker.engine.apply(far("away"))
        gates.fails_at = 1
        gates.opens(1).set()
        assert isinstance(await worker.engine.failure, ConnectionError)
        gates.opens(0).set()
        with pytest.raises(EngineStopped):
            await worker.engine.settled()
        assert worker.reader.ledger.position(HERE) == 0, "its states were written, its results are not sent any more"
        assert [{record.topic for record in write} for write in gates.writes] == [{CHANGELOG}]

    run(work())


def test_a_partition_is_not_claimed_anew_while_something_is_on_its_way() -> None:
    async def work() -> None:
        worker, gates = await on_two_partitions()
        await worker.engine.apply(batch(*events(vendor("scale-ai"))))
        await asyncio.sleep(0)
        worker.elapsed_s += 3600.0
        renewing = await still_waits(worker.engine.renew())
        assert gates.asked == [0]
        for partition in range(3):
            gates.opens(partition).set()
        await renewing
        assert sorted(record.partition for record in gates.writes[-1]) == [1, 2], "0 was written to just now"

    run(work())


def test_what_is_due_in_one_partition_does_not_wait_for_another() -> None:
    async def work() -> None:
        worker, gates = await on_two_partitions()
        gates.opens(1).set()
        future = consumed_event(stake("meta", "far-away", 0.49, effective_time="2025-07-01T00:00:00Z"), 0, partition=1)
        await worker.apply(batch(future))
        await worker.engine.apply(batch(*events(vendor("scale-ai"))))
        worker.now += timedelta(days=30)
        await worker.engine.tick()
        await asyncio.sleep(0.01)
        assert worker.metric("scoring_ticks_total") == 1.0
        assert worker.reader.ledger.position(HERE) == 0
        gates.opens(0).set()
        await worker.engine.settled()

    run(work())


def test_under_backlog_what_is_owed_does_not_wait_for_what_is_on_its_way() -> None:
    async def work() -> None:
        worker, gates = await on_two_partitions()
        gates.opens(1).set()
        worker.reader.lag = BACKLOG_BEGINS
        await worker.apply(batch(consumed_event(stake("meta", "far-away", 0.49), 0, partition=1)))
        await worker.engine.apply(batch(*events(vendor("scale-ai"))))
        assert not await worker.engine.catch_up()
        worker.reader.lag = 1  # what is on its way, and nothing after it
        caught_up = await still_waits(worker.catch_up())
        worker.reader.lag = 0
        gates.opens(0).set()
        await caught_up
        assert worker.newest_score().vendor == "scale-ai"

    run(work())


def test_a_foreign_write_to_the_changelog_stops_the_engine() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        worker.writer.offsets[TP(CHANGELOG, 0)] = 4
        with pytest.raises(EngineStopped):
            await worker.apply(batch(*events(vendor("scale-ai"))))
        assert isinstance(worker.engine.failure.result(), ForeignWrite)
        assert worker.reader.ledger.positions()[HERE] == 0

    run(work())


def test_a_claim_that_takes_effect_in_the_future_changes_the_score_when_its_time_comes_without_an_event() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        future = stake("meta", "scale-ai", 0.49, effective_time="2025-07-01T00:00:00Z")
        await worker.apply(batch(*events(lab("meta"), vendor("scale-ai"), future)))
        await worker.settle()
        assert worker.newest_score().headline.confirmed == 100.0
        written = len(worker.writer.writes)
        await worker.tick()
        assert len(worker.writer.writes) == written
        worker.now = NOW + timedelta(days=30)
        await worker.tick()
        assert worker.newest_score().headline.confirmed == pytest.approx(100 * (1 - 0.8 * 0.49))
        assert worker.metric("scoring_ticks_total") == 1.0

    run(work())


def test_ticks_are_known_again_after_recovery() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        future = stake("meta", "scale-ai", 0.49, effective_time="2025-07-01T00:00:00Z")
        await worker.apply(batch(*events(lab("meta"), vendor("scale-ai"), future)))
        await worker.settle()
        restarted = await Worker.ready(worker)
        restarted.now = NOW + timedelta(days=30)
        await restarted.tick()
        assert restarted.newest_score().headline.confirmed == pytest.approx(100 * (1 - 0.8 * 0.49))

    run(work())


@pytest.mark.parametrize("another_worker", [False, True])
@pytest.mark.parametrize("reckoned", [False, True])
def test_what_was_put_off_before_a_rebalance_is_asked_for_as_soon_as_the_backlog_is_gone(
    another_worker: bool, reckoned: bool
) -> None:
    async def work() -> None:
        worker = await Worker.ready()
        worker.reader.lag = BACKLOG_BEGINS
        soon = stake("meta", "turing", 0.49, effective_time=(NOW + timedelta(seconds=5)).isoformat())
        await worker.apply(batch(*events(vendor("scale-ai"), stake("meta", "scale-ai", 0.49), vendor("turing"), soon)))
        if reckoned:  # for a message, so that only the assessment is put off
            told = [Message("profile", "meta", name, 1, profile=Profile("Meta")) for name in ("scale-ai", "turing")]
            records = [OutgoingRecord(MESSAGES.name, 0, it.receiver.encode(), message_to_bytes(it)) for it in told]
            await worker.apply(batch(*map(consumed_message, records, range(2))))
        if another_worker:
            worker = await worker.restarted()
        else:
            await worker.engine.give_up(nothing_to_commit)
            await worker.engine.recovered()
        worker.reader.lag = BACKLOG_BEGINS
        assert not await worker.engine.catch_up(), "not while there is backlog"
        worker.reader.lag = 0
        await worker.catch_up()
        assert {record.key for record in worker.writer.to(SCORES.name)} == {b"scale-ai", b"turing"}
        written = len(worker.writer.writes)
        await worker.catch_up()
        assert len(worker.writer.writes) == written

    run(work())


@pytest.mark.parametrize("cut_off", [False, True])
def test_what_a_tick_led_to_is_said_again_after_recovery_only_if_it_was_cut_off(cut_off: bool) -> None:
    async def work() -> None:
        worker = await Worker.ready()
        worker.reader.lag = BACKLOG_BEGINS
        await worker.apply(batch(*events(vendor("scale-ai"), stake("meta", "scale-ai", 0.49))))
        worker.reader.lag = 0
        if cut_off:
            worker.writer.fails_at = worker.writer.calls + 2  # its states are in the changelog, what follows is not
            with pytest.raises(EngineStopped):
                await worker.catch_up()
        else:
            await worker.catch_up()
        restarted = await worker.restarted()
        await restarted.tick()
        told = [record.topic for record in restarted.writer.to(MESSAGES.name) + restarted.writer.to(SCORES.name)]
        assert told == ([MESSAGES.name, SCORES.name] if cut_off else [])

    run(work())


def test_a_closed_engine_takes_nothing() -> None:
    async def work() -> None:
        worker = await Worker.ready()
        await worker.engine.close()
        with pytest.raises(EngineStopped):
            await worker.apply(batch(*events(vendor("scale-ai"))))
        assert not worker.engine.failure.done()

    run(work())


def test_a_state_that_cannot_be_read_after_recovery_stops_the_engine() -> None:
    async def work() -> None:
        worker = Worker()
        worker.store.replay(batch(Consumed(CHANGELOG, 0, 0, b"scale-ai", b"no state")))
        worker.writer.offsets[TP(CHANGELOG, 0)] = 1
        worker.store.assign([0])
        await worker.engine.recovered()
        assert worker.engine.failure.done()
        assert not worker.engine.ready

    run(work())
