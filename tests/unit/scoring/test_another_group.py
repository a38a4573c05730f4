"""A group that is new where another has said scores: it rebuilds all from the log, and goes on from what was said."""

from collections.abc import Callable, Mapping

import pytest
from aiokafka.errors import KafkaConnectionError
from faust.types import TP

from neutrality.topics import MESSAGES, OWNERSHIP, SCORES
from services.scoring.engine import EngineStopped
from services.scoring.fencing import CLAIM_KEY, CLAIM_VALUE, REBUILDING
from services.scoring.records import OutgoingRecord
from services.scoring.results import Found, newest_of, said_in, version_of
from tests.support.events import stake
from tests.unit.scoring.test_fencing import BEGINNING, CHANGELOG, NEWS, Kafka, Worker, assert_all_is_right, make, run, scores

__all__ = ["make"]  # a fixture


def _aware(worker: Worker) -> Worker:
    """It knows how far it is behind, and how far the group."""
    kafka, positions = worker.kafka, worker.reader.ledger.positions

    def unread(applied: Mapping[TP, int]) -> int:
        return sum(len(kafka.logs.get(tp.topic, ())) - at for tp, at in applied.items())

    async def group_lag() -> tuple[int, int]:
        return unread(kafka.committed), len(kafka.logs.get(MESSAGES.name, ()))

    worker.reader.lag_records = lambda: unread(positions())  # type: ignore[method-assign]
    worker.reader.group_lag = group_lag  # type: ignore[method-assign]
    return worker


async def _rebuild(worker: Worker) -> None:
    """Apply all that there is, and what was put off; now and then the group is looked at."""
    for _ in range(20):
        await worker.work()
        while await worker.engine.catch_up():
            pass
        worker.now_s += 1.0


async def _said_by_a_group(make: Callable[[Kafka], Worker]) -> Kafka:
    """Logs as an earlier group has left them, to a group whose changelog is empty and that was seeded."""
    kafka = Kafka()
    worker = await _aware(make(kafka)).take_over()
    for event in (*BEGINNING, *NEWS):
        kafka.publish(event)
        await worker.work()
    del kafka.logs[CHANGELOG]
    kafka.committed = {TP(OWNERSHIP.name, 0): 0, TP(MESSAGES.name, 0): len(kafka.logs.get(MESSAGES.name, ()))}
    return kafka


def test_what_stands_is_not_said_again_and_what_is_new_is_the_next_version(make: Callable[[Kafka], Worker]) -> None:
    async def work() -> None:
        kafka = await _said_by_a_group(make)
        before = scores(kafka)
        said = len(kafka.logs[SCORES.name])
        worker = await _aware(make(kafka)).take_over()
        await _rebuild(worker)
        assert len(kafka.logs[SCORES.name]) == said
        later = stake("meta", "scale-ai", 0.49, id="later", day=2)
        kafka.publish(later)
        await worker.work()
        newest = scores(kafka)["scale-ai"]
        assert newest.version == before["scale-ai"].version + 1 > 2
        assert newest.before == before["scale-ai"].as_earlier(newest.version - 1)
        assert_all_is_right(kafka, [*BEGINNING, *NEWS, later])

    run(work())


def test_a_worker_that_is_cut_off_before_its_claim_leaves_the_next_one_to_do_it_again(
    make: Callable[[Kafka], Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        kafka = await _said_by_a_group(make)
        versions = {vendor: found.version for vendor, found in scores(kafka).items()}
        cut_off = _aware(make(kafka))

        async def refuse(*_: object) -> None:
            raise EngineStopped("cut off")

        monkeypatch.setattr(cut_off.engine, "_claim", refuse)
        await cut_off.take_over()
        assert not cut_off.engine.ready
        assert CLAIM_KEY not in {record.key for record in kafka.logs[CHANGELOG]}
        worker = await _aware(make(kafka)).take_over()
        kafka.publish(stake("meta", "turing", 0.6, id="later", day=2))
        await _rebuild(worker)
        assert scores(kafka)["turing"].version == versions["turing"] + 1

    run(work())


def test_a_worker_that_comes_on_the_way_waits_too_until_all_is_taken_in_again(make: Callable[[Kafka], Worker]) -> None:
    async def work() -> None:
        kafka = await _said_by_a_group(make)
        said = len(kafka.logs[SCORES.name])
        first = await _aware(make(kafka)).take_over()
        await first.work()  # takes in, and is gone before it has reckoned
        second = await _aware(make(kafka)).take_over()
        second.now_s = first.now_s
        await _rebuild(second)
        assert len(kafka.logs[SCORES.name]) == said
        claims = [record.value for record in kafka.logs[CHANGELOG] if record.key == CLAIM_KEY]
        assert claims == [REBUILDING, REBUILDING, CLAIM_VALUE]
        third = await _aware(make(kafka)).take_over()
        kafka.publish(stake("meta", "scale-ai", 0.49, id="later", day=2))
        await third.work()
        assert len(kafka.logs[SCORES.name]) == said + 1, "at once, as ever"

    run(work())


def test_while_kafka_does_not_tell_of_the_group_the_worker_goes_on_and_says_nothing(make: Callable[[Kafka], Worker]) -> None:
    async def work() -> None:
        kafka = await _said_by_a_group(make)
        kafka.publish(stake("meta", "scale-ai", 0.49, id="later", day=2))
        said = len(kafka.logs[SCORES.name])
        worker = await _aware(make(kafka)).take_over()
        told = worker.reader.group_lag

        async def away() -> tuple[int, int]:
            raise KafkaConnectionError("away")

        worker.reader.group_lag = away  # type: ignore[method-assign]
        await _rebuild(worker)
        assert worker.failure is None
        assert len(kafka.logs[SCORES.name]) == said
        worker.reader.group_lag = told  # type: ignore[method-assign]
        await _rebuild(worker)
        assert len(kafka.logs[SCORES.name]) == said + 1

    run(work())


def test_a_group_that_goes_on_inherits_nothing(make: Callable[[Kafka], Worker]) -> None:
    async def work() -> None:
        kafka = Kafka()
        kafka.publish(*BEGINNING)
        await (await _aware(make(kafka)).take_over()).work()
        states = len(kafka.logs[CHANGELOG])
        await _aware(make(kafka)).take_over()
        assert [record.key for record in kafka.logs[CHANGELOG][states:]] == [CLAIM_KEY]

    run(work())


def test_of_each_vendor_the_highest_version_stands_and_what_is_no_assessment_counts_for_nothing(
    make: Callable[[Kafka], Worker],
) -> None:
    async def work() -> None:
        kafka = await _said_by_a_group(make)
        found = [Found(record.key or b"", version_of(record.headers), record.value) for record in kafka.logs[SCORES.name]]
        swapped = next(one for one in found if one.key == b"turing")._replace(key=b"scale-ai", version=99)
        assert said_in([swapped]) == [], "a score is its key's"
        standing = said_in(newest_of([*found, found[0], Found(b"x", 3, b"{}"), Found(b"y", -1, None)]))
        assert {said.vendor: said.version for said in standing} == {
            vendor: said.version for vendor, said in scores(kafka).items()
        }

    run(work())


@pytest.mark.parametrize("value", [b"no assessment", None])
def test_a_score_that_cannot_be_read_holds_up_nobody(make: Callable[[Kafka], Worker], value: bytes | None) -> None:
    async def work() -> None:
        kafka = await _said_by_a_group(make)
        kafka.append(OutgoingRecord(SCORES.name, 0, b"somebody", value, ()))
        worker = await _aware(make(kafka)).take_over()
        assert worker.engine.ready
        assert worker.store.get(0, b"somebody") is None

    run(work())
