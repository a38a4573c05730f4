"""Scoring on a real broker: a worker is a process of its own, as it is for a user; its peers are plain Kafka clients."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from prometheus_client import CollectorRegistry

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import ensure_topics
from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.events.cloudevent import Event, event_to_kafka, topic_kind
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.topics import OWNERSHIP, REJECTED, SCORES, TOPICS
from services.scoring.fencing import CLAIM_KEY, EPOCH_HEADER, claim_record
from services.scoring.metrics import ScoringMetrics
from services.scoring.partitions import partition_of
from services.scoring.seeding import seed_offsets
from services.scoring.settings import ScoringSettings
from services.scoring.topics import changelog_topic
from services.scoring.worker import SOURCES, build_app
from tests.support.events import lab, stake, vendor

PARTITIONS = 4
PATIENCE_S = 60.0
SESSION_S = 6
_numbers = count()


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker of our own: these tests read whole topics and compare them with what they sent."""
    with EmbeddedKafka(data_dir=tmp_path_factory.mktemp("kafka"), port=0) as found:
        ensure_topics(found.bootstrap_servers, TOPICS, partitions=PARTITIONS)
        yield found


@pytest.fixture
def names() -> str:
    """A prefix that keeps this test's entities and group apart."""
    return f"t{next(_numbers)}"


@pytest.fixture
def start(broker: EmbeddedKafka, names: str, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts workers of this test's group; none outlives it. Their logs are shown if the test fails."""
    started: list[subprocess.Popen[bytes]] = []
    log = tmp_path / "scoring.log"
    begin_at_the_end(broker, names)

    def start_worker(**variables: str) -> subprocess.Popen[bytes]:
        with log.open("ab") as output:
            worker = subprocess.Popen(
                [sys.executable, "-m", "services.scoring"],
                env={
                    **{name: value for name, value in os.environ.items() if not name.startswith("SCORING_")},
                    "SCORING_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
                    "SCORING_GROUP": names,
                    "SCORING_PARTITIONS": str(PARTITIONS),
                    "SCORING_METRICS_PORT": "0",
                    "SCORING_SESSION_TIMEOUT_S": str(SESSION_S),
                    "SCORING_DATA_DIR": str(tmp_path / "faust"),
                    **variables,
                },
                stdout=output,
                stderr=output,
            )
        started.append(worker)
        return worker

    yield start_worker
    for worker in started:
        if worker.poll() is None:
            worker.kill()
        worker.wait()
    sys.stdout.write(log.read_text()[-8000:] if log.exists() else "")


@contextmanager
def consumer(broker: EmbeddedKafka, **settings: Any) -> Iterator[Any]:
    found = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers, enable_auto_commit=False, **settings)
    try:
        yield found
    finally:
        found.close()


def publish(broker: EmbeddedKafka, events: Iterable[Event], *, pause_s: float = 0.0, partition: int | None = None) -> None:
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    for event in events:
        headers, value = event_to_kafka(event)
        producer.send(f"neutrality.{topic_kind(event)}", key=event.key, value=value, headers=headers, partition=partition)
        time.sleep(pause_s)
    producer.flush()
    producer.close()


def read(broker: EmbeddedKafka, topic: str) -> list[Any]:
    """All records that a topic has now."""
    with consumer(broker) as found:
        tps = [TopicPartition(topic, partition) for partition in range(PARTITIONS)]
        found.assign(tps)
        ends = found.end_offsets(tps)
        found.seek_to_beginning(*tps)
        records: list[Any] = []
        while any(found.position(tp) < ends[tp] for tp in tps):
            for polled in found.poll(timeout_ms=200).values():
                records += polled
        return records


def scores(broker: EmbeddedKafka, names: str) -> dict[str, Assessment]:
    """The newest assessment of each of this test's vendors."""
    found: dict[str, Assessment] = {}
    for record in read(broker, SCORES.name):
        if record.key.decode().startswith(f"{names}-"):
            assessment = parse_assessment(record.value)
            assert isinstance(assessment, Assessment)
            found[assessment.vendor] = assessment
    return found


def committed(broker: EmbeddedKafka, group: str) -> dict[tuple[str, int], int | None]:
    with consumer(broker, group_id=group) as found:
        return {
            (topic, partition): found.committed(TopicPartition(topic, partition))
            for topic in SOURCES
            for partition in range(PARTITIONS)
        }


def begin_at_the_end(broker: EmbeddedKafka, group: str) -> None:
    """Spare a group what other tests left in the log and among the scores: it has held its partitions before."""
    with consumer(broker, group_id=group) as found:
        tps = [TopicPartition(topic, partition) for topic, partition in committed(broker, group)]
        found.assign(tps)
        found.commit({tp: OffsetAndMetadata(end, "", -1) for tp, end in found.end_offsets(tps).items()})
    changelog = ScoringSettings(group=group).changelog
    ensure_topics(broker.bootstrap_servers, [changelog_topic(changelog)], partitions=PARTITIONS)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    for partition in range(PARTITIONS):
        claim = claim_record(changelog, partition, 1)
        producer.send(claim.topic, claim.value, claim.key, list(claim.headers), partition).get(10)
    producer.close()


def wait_until(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.2)


def wait_for_quiet(broker: EmbeddedKafka, group: str) -> None:
    """Until all records of the source topics are applied and committed, those that came of them included."""
    wait_until(lambda: is_quiet(broker, group), "all records applied and committed")


def is_quiet(broker: EmbeddedKafka, group: str) -> bool:
    with consumer(broker, group_id=group) as found:
        tps = [TopicPartition(topic, partition) for topic in SOURCES for partition in range(PARTITIONS)]
        ends = found.end_offsets(tps)
        return all((found.committed(tp) or 0) >= ends[tp] for tp in tps)


def undisturbed(events: Iterable[Event]) -> dict[str, Assessment]:
    runner = LocalRunner(load_methodology(), datetime.now(UTC))
    runner.apply_together(events)
    return runner.assessments


def verdict(assessment: Assessment) -> tuple[object, ...]:
    """All that does not depend on how the events were cut into batches."""
    return assessment.headline, assessment.labs, assessment.confirmed, assessment.projected


def a_graph(names: str, *, events: int, seed: int) -> list[Event]:
    """Labs hold holding companies and vendors, these hold vendors; the stakes change all the time."""
    random = Random(seed)
    labs = [f"{names}-lab{number}" for number in range(3)]
    holdings = [f"{names}-h{number}" for number in range(10)]
    vendors = [f"{names}-v{number}" for number in range(40)]
    found = [*(lab(name) for name in labs), *(vendor(name) for name in vendors)]
    while len(found) < events:
        party, subject = random.choice([(labs, vendors), (labs, holdings), (holdings, vendors)])
        share = round(random.uniform(0, 0.02), 4)
        day = len(found) // 24
        found.append(stake(random.choice(party), random.choice(subject), share, id=f"{names}-e{len(found)}", day=day))
    return found


def test_events_become_scores_and_garbage_is_rejected_without_stopping_the_stream(
    broker: EmbeddedKafka, names: str, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    worker = start()
    scale, meta, google = f"{names}-scale-ai", f"{names}-meta", f"{names}-google"
    publish(broker, [lab(meta), lab(google), vendor(scale)])
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    garbage = producer.send(OWNERSHIP.name, key=scale.encode(), value=b"\x00\xffnot an event").get(10)
    wrong_key = stake(meta, scale, 1.0)
    headers, value = event_to_kafka(wrong_key)
    producer.send(OWNERSHIP.name, key=f'"{scale}"'.encode(), value=value, headers=headers).get(10)
    producer.close()
    publish(broker, [stake(meta, scale, 0.49)])
    wait_for_quiet(broker, names)

    found = scores(broker, names)[scale]
    assert found.headline.confirmed == pytest.approx(100 * (1 - 0.8 * 0.49))
    assert found.score_for(meta).confirmed == 100.0
    assert found.cause is not None
    assert found.cause.topic == OWNERSHIP.name
    rejected = [orjson.loads(record.value) for record in read(broker, REJECTED.name)]
    places = {(item["topic"], item["partition"], item["offset"]): item["reason"] for item in rejected}
    assert places[OWNERSHIP.name, garbage.partition, garbage.offset] == "invalid_event"
    assert "wrong_key" in places.values()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def test_an_event_by_a_producer_with_another_partitioner_counts_all_the_same(
    broker: EmbeddedKafka, names: str, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    scale, meta = f"{names}-scale-ai", f"{names}-meta"
    events = [lab(meta), vendor(scale), stake(meta, scale, 0.49)]
    away = (partition_of(PARTITIONS)(scale.encode()) + 1) % PARTITIONS
    publish(broker, events[:2])
    publish(broker, events[2:], partition=away)
    start()
    wait_until(lambda: names_score(broker, names, scale) == pytest.approx(100 * (1 - 0.8 * 0.49)), "the stake counts")


def names_score(broker: EmbeddedKafka, names: str, entity: str) -> float | None:
    found = scores(broker, names).get(entity)
    return None if found is None else found.headline.confirmed


def test_a_worker_killed_again_and_again_while_events_flow_ends_in_the_undisturbed_scores(
    broker: EmbeddedKafka, names: str, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    events = a_graph(names, events=2_000, seed=7)
    random = Random(7)
    worker = start()
    for first in range(0, len(events), 500):
        publish(broker, events[first : first + 500], pause_s=0.001)
        time.sleep(random.uniform(0, 0.7))
        worker.kill()
        assert worker.wait() == -signal.SIGKILL
        worker = start()
    wait_for_quiet(broker, names)
    found, expected = scores(broker, names), undisturbed(events)
    assert found.keys() == expected.keys()
    assert {name: verdict(found[name]) for name in found} == {name: verdict(expected[name]) for name in expected}


def test_a_worker_recovers_its_vertices_from_the_changelog_and_goes_on_from_the_committed_offsets(
    broker: EmbeddedKafka, names: str, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    scale, meta, google = f"{names}-scale-ai", f"{names}-meta", f"{names}-google"
    first = start()
    publish(broker, [lab(meta), lab(google), vendor(scale), stake(meta, scale, 0.2)])
    wait_for_quiet(broker, names)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    published = len([record for record in read(broker, SCORES.name) if record.key == scale.encode()])

    start()
    publish(broker, [stake(google, scale, 0.3)])
    wait_for_quiet(broker, names)
    found = scores(broker, names)[scale]
    assert found.headline.confirmed == pytest.approx(100 * (1 - 0.8 * 0.2) * (1 - 0.8 * 0.3))
    after = [record for record in read(broker, SCORES.name) if record.key == scale.encode()]
    versions = [assessment.version for record in after if isinstance(assessment := parse_assessment(record.value), Assessment)]
    assert versions == sorted(set(versions)), "nothing was scored twice"
    assert len(versions) > published


def test_an_exception_in_the_work_stops_the_stream_without_a_commit_and_the_next_worker_applies_the_event(
    broker: EmbeddedKafka, names: str, tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    """Stock Faust logs the exception, skips the message and commits it."""
    settings = ScoringSettings(
        bootstrap_servers=broker.bootstrap_servers, group=names, partitions=PARTITIONS, data_dir=tmp_path, commit_interval_s=0.2
    )

    def broken_clock() -> datetime:
        raise RuntimeError("the clock is broken")

    async def run_until_it_fails() -> BaseException:
        await seed_offsets(settings.bootstrap_servers, settings.group, SOURCES, PARTITIONS)
        app = build_app(
            settings,
            methodology=load_methodology(),
            metrics=ScoringMetrics(CollectorRegistry()),
            clock=broken_clock,
            wall_clock_s=time.time,
            stopwatch_s=time.perf_counter,
        )
        await app.start()
        failure = await asyncio.wait_for(asyncio.shield(app.engine.failure), PATIENCE_S)
        await asyncio.sleep(1)
        await app.stop()
        return failure

    publish(broker, [vendor(f"{names}-scale-ai")])
    ensure_topics(broker.bootstrap_servers, [changelog_topic(settings.changelog)], partitions=PARTITIONS)
    before = committed(broker, names)
    failure = asyncio.run(run_until_it_fails())
    assert "the clock is broken" in str(failure)
    assert committed(broker, names) == before

    start()
    wait_until(lambda: f"{names}-scale-ai" in scores(broker, names), "the event is applied after all")


def test_a_worker_whose_state_is_unreadable_leaves_with_exit_code_1(
    broker: EmbeddedKafka, names: str, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    topic = changelog_topic(f"{names}-vertices-changelog")
    ensure_topics(broker.bootstrap_servers, [topic], partitions=PARTITIONS)
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    producer.send(topic.name, key=b"scale-ai", value=b"no state", headers=[(EPOCH_HEADER, b"1")]).get(10)
    producer.close()
    before = committed(broker, names)
    assert start().wait(PATIENCE_S) == 1
    assert committed(broker, names) == before


def test_offsets_are_seeded_once_at_the_start_of_the_log(broker: EmbeddedKafka, names: str) -> None:
    async def seed() -> int:
        return await seed_offsets(broker.bootstrap_servers, names, SOURCES, PARTITIONS)

    assert asyncio.run(seed()) == len(SOURCES) * PARTITIONS
    assert set(committed(broker, names).values()) == {0}
    assert asyncio.run(seed()) == 0


def test_states_that_an_earlier_owner_writes_late_stop_the_worker_and_do_not_stand(
    broker: EmbeddedKafka, names: str, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    changelog = f"{names}-vertices-changelog"
    events = a_graph(names, events=600, seed=13)
    first = start()
    publish(broker, events[:300])
    wait_for_quiet(broker, names)
    earlier = [record for record in read(broker, changelog) if record.key != CLAIM_KEY]
    first.kill()
    first.wait()
    second = start()
    publish(broker, events[300:599])
    wait_for_quiet(broker, names)

    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    for record in earlier:
        producer.send(changelog, key=record.key, value=record.value, headers=list(record.headers), partition=record.partition)
    producer.close()
    assert stale_keys(broker, changelog) == {record.key for record in earlier}
    publish(broker, events[599:])
    assert second.wait(PATIENCE_S) == 1, "the next write does not join the last"

    start()
    wait_until(lambda: not stale_keys(broker, changelog), "the valid states are written again")
    wait_for_quiet(broker, names)
    found, expected = scores(broker, names), undisturbed(events)
    assert {name: verdict(found[name]) for name in found} == {name: verdict(expected[name]) for name in expected}


def test_a_score_that_an_earlier_owner_sends_late_does_not_stay_the_last_of_its_vendor(
    broker: EmbeddedKafka, names: str, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    worker = start()
    scale, meta = f"{names}-scale-ai", f"{names}-meta"
    publish(broker, [lab(meta), vendor(scale)])
    wait_for_quiet(broker, names)
    (late,) = score_records(broker, scale)[-1:]
    publish(broker, [stake(meta, scale, 0.49)])
    wait_for_quiet(broker, names)
    newest = score_records(broker, scale)[-1]
    assert newest.value != late.value
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    sending = producer.send(SCORES.name, key=late.key, value=late.value, headers=list(late.headers), partition=late.partition)
    sent = sending.get(10)
    producer.close()

    def is_said_again() -> bool:
        last = score_records(broker, scale)[-1]
        return bool(last.value == newest.value and last.offset > sent.offset)

    wait_until(is_said_again, "what stands is said again")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0


def score_records(broker: EmbeddedKafka, vendor_id: str) -> list[Any]:
    return [record for record in read(broker, SCORES.name) if record.key == vendor_id.encode()]


def stale_keys(broker: EmbeddedKafka, changelog: str) -> set[bytes]:
    """Entities of which compaction would keep a state that replay refuses."""
    highest: dict[int, int] = {}
    stale: set[bytes] = set()
    for record in sorted(read(broker, changelog), key=lambda record: (record.partition, record.offset)):
        epoch = int(dict(record.headers)[EPOCH_HEADER])
        if epoch < highest.get(record.partition, 0):
            stale.add(record.key)
        else:
            highest[record.partition] = epoch
            stale.discard(record.key)
    return stale - {CLAIM_KEY}


def test_another_group_rebuilds_all_from_the_log_and_goes_on_from_what_was_said_before(
    broker: EmbeddedKafka, names: str, tmp_path: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    scale, surge, meta, fund = (f"{names}-{name}" for name in ("scale-ai", "surge", "meta", "fund"))
    first = start()
    publish(broker, [lab(meta), vendor(scale), vendor(surge), stake(fund, scale, 0.5), stake(meta, surge, 0.1)])
    for day, share in enumerate((0.1, 0.2, 0.3, 0.4, 0.5, 0.6)):  # each by itself, so that the fund has told much when it ends
        publish(broker, [stake(meta, fund, share, day=day)])
        wait_for_quiet(broker, names)
    first.send_signal(signal.SIGTERM)
    assert first.wait(30) == 0
    said = {vendor_id: score_records(broker, vendor_id) for vendor_id in (scale, surge)}
    last = scores(broker, names)[scale]

    again = f"{names}-again"
    start(SCORING_GROUP=again)
    wait_until(lambda: "scores_rebuilt" in (tmp_path / "scoring.log").read_text(), "all is taken in again")
    time.sleep(2)  # what was put off is told by now
    for vendor_id, records in said.items():
        assert score_records(broker, vendor_id) == records, "what stands as before is not said again, and nothing less on the way"

    publish(broker, [stake(meta, fund, 0.05, day=9)])
    wait_until(lambda: len(score_records(broker, scale)) > len(said[scale]), "the vendor below is told")
    wait_for_quiet(broker, again)
    newest = scores(broker, names)[scale]
    assert newest.version == last.version + 1
    assert newest.before == last.as_earlier(last.version)
    assert verdict(newest) == verdict(
        undisturbed(
            [
                lab(meta),
                vendor(scale),
                vendor(surge),
                stake(fund, scale, 0.5),
                stake(meta, surge, 0.1),
                stake(meta, fund, 0.05, day=9),
            ]
        )[scale]
    )
