"""`neutrality verify` on a real broker beside the real scoring worker: nothing to find, then something, then healed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from typer.testing import CliRunner

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import KafkaReader, ensure_topics
from neutrality.cli.exits import Exit
from neutrality.cli.main import app
from neutrality.events.assessment import Assessment, assessment_to_kafka
from neutrality.events.cloudevent import Event, event_to_kafka, topic_kind
from neutrality.scenario import load_scenario
from neutrality.topics import OWNERSHIP, SCORES, TOPICS
from neutrality.verification.standing import ScoreLog
from services.scoring.partitions import partition_of
from services.scoring.worker import SOURCES
from tests.support.events import event, lab, stake, vendor

PARTITIONS = 4
PATIENCE = "90"
GROUP = "neutrality-scoring"
LOST = [vendor("lost"), stake("lab-a", "lost", 0.5)]
RINGS = [
    lab("lab-a"),
    vendor("ring-1"),
    vendor("ring-2"),
    stake("lab-a", "ring-1", 0.3),
    stake("ring-2", "ring-1", 0.5),
    stake("ring-1", "ring-2", 0.6),
    stake("google", "ring-2", None),
    event("role", subject="ring-2", person="alexandr-wang", role_type="board_member"),
]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """A broker of our own: verify reads whole topics."""
    with EmbeddedKafka(data_dir=tmp_path_factory.mktemp("kafka"), port=0) as found:
        ensure_topics(found.bootstrap_servers, TOPICS, partitions=PARTITIONS)
        yield found


@pytest.fixture(scope="module")
def scored(broker: EmbeddedKafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """The broker with a scoring worker that never saw `LOST`, and the reference scenario and a ring; one event lies in a foreign partition."""
    folder: Path = tmp_path_factory.mktemp("scoring")
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    for one in LOST:
        send(producer, one)
    producer.flush()
    skip_what_is_there(broker)
    events = [*load_scenario("scale-ai-2025").events(), *RINGS]
    for one in events:
        send(producer, one)
    away = (partition_of(PARTITIONS)(b"ring-1") + 1) % PARTITIONS
    send(producer, stake("google", "ring-1", 0.1, id="foreign"), partition=away)
    producer.send(OWNERSHIP.name, key=b"ring-1", value=b"no event")
    producer.flush()
    producer.close()
    with (folder / "scoring.log").open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "services.scoring"],
            env={
                **{name: value for name, value in os.environ.items() if not name.startswith("SCORING_")},
                "SCORING_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
                "SCORING_GROUP": GROUP,
                "SCORING_PARTITIONS": str(PARTITIONS),
                "SCORING_METRICS_PORT": "0",
                "SCORING_DATA_DIR": str(folder / "faust"),
            },
            stdout=output,
            stderr=output,
        )
    yield broker
    worker.kill()
    worker.wait()
    sys.stdout.write((folder / "scoring.log").read_text()[-8000:])


def skip_what_is_there(broker: EmbeddedKafka) -> None:
    """Let the worker's group begin after it: these records are lost to it."""
    consumer: Any = KafkaConsumer(bootstrap_servers=broker.bootstrap_servers, group_id=GROUP, enable_auto_commit=False)
    places = [TopicPartition(topic, number) for topic in SOURCES for number in range(PARTITIONS)]
    consumer.assign(places)
    consumer.commit({place: OffsetAndMetadata(end, "", -1) for place, end in consumer.end_offsets(places).items()})
    consumer.close()


def send(producer: Any, one: Event, *, partition: int | None = None) -> None:
    headers, value = event_to_kafka(one)
    producer.send(f"neutrality.{topic_kind(one)}", key=one.key, value=value, headers=headers, partition=partition)


def verify(broker: EmbeddedKafka, *arguments: str) -> tuple[int, dict[str, Any]]:
    result = CliRunner().invoke(app, ["verify", "--bootstrap-servers", broker.bootstrap_servers, "--json", *arguments])
    assert result.stdout, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return result.exit_code, document


def tamper(broker: EmbeddedKafka, name: str) -> Assessment:
    """Say something else about a vendor under the version that stands; what stood."""
    log = ScoreLog(KafkaReader(broker.bootstrap_servers, (SCORES.name,), client_id="test"))
    log.read_new()
    log.close()
    right = log.standing[name].newest
    wrong = replace(right, headline=replace(right.headline, confirmed=99.0))
    producer = KafkaProducer(bootstrap_servers=broker.bootstrap_servers, acks="all")
    headers, value = assessment_to_kafka(wrong, "2026-01-01T00:00:00Z")  # with its version: scoring itself mends what is older
    producer.send(SCORES.name, key=name.encode(), value=value, headers=headers).get(10)
    producer.close()
    return right


def wait_for_all_but_the_lost(broker: EmbeddedKafka) -> dict[str, Any]:
    deadline = time.monotonic() + float(PATIENCE)
    while True:
        _, found = verify(broker)
        if {difference["vendor"] for difference in found["differences"]} <= {"lost"}:
            return found
        assert time.monotonic() < deadline, found


def test_what_scoring_has_lost_is_found_and_healed(scored: EmbeddedKafka) -> None:
    (difference,) = wait_for_all_but_the_lost(scored)["differences"]
    assert (difference["kind"], difference["in_process"]) == ("missing", pytest.approx(60.0))
    code, found = verify(scored, "--wait", PATIENCE, "--heal")
    assert (code, found["differences"]) == (Exit.OK, [])


def test_verify_finds_nothing_then_what_was_tampered_with_and_heals_it(scored: EmbeddedKafka) -> None:
    code, found = verify(scored, "--wait", PATIENCE, "--heal")
    assert (code, found["differences"]) == (Exit.OK, [])
    assert found["vendors_checked"] == 8
    assert found["rejected"] == {"invalid_event": 1, "wrong_key": 0}

    right = tamper(scored, "scale-ai")
    code, found = verify(scored)
    assert code == Exit.FAILED
    (difference,) = found["differences"]
    assert (difference["kind"], difference["vendor"], difference["field"]) == ("published", "scale-ai", "headline.confirmed")
    assert (difference["published"], difference["in_process"]) == (99.0, right.headline.confirmed)
    assert difference["direct"] == pytest.approx(right.headline.confirmed)

    code, found = verify(scored, "--wait", PATIENCE, "--heal")
    assert (code, found["differences"]) == (Exit.OK, [])
    log = ScoreLog(KafkaReader(scored.bootstrap_servers, (SCORES.name,), client_id="test"))
    log.read_new()
    log.close()
    assert log.standing["scale-ai"].newest == right


def test_the_standing_audit_heals_and_exports_what_it_finds(scored: EmbeddedKafka) -> None:
    verify(scored, "--wait", PATIENCE, "--heal")
    audit = subprocess.Popen(
        [
            *(sys.executable, "-c", "from neutrality.cli.main import main; main()"),
            *("verify", "--bootstrap-servers", scored.bootstrap_servers),
            *("--follow", "--interval", "0.5", "--heal", "--metrics-port", "0", "--json"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert audit.stderr is not None
        assert audit.stdout is not None
        port = int(audit.stderr.readline().removeprefix("metrics on port "))
        assert json.loads(audit.stdout.readline())["differences"] == []
        tamper(scored, "ring-1")
        rounds: list[dict[str, Any]] = []
        deadline = time.monotonic() + float(PATIENCE)
        while not rounds or not any(found["healing"] for found in rounds) or rounds[-1]["differences"]:
            assert time.monotonic() < deadline, rounds
            rounds.append(json.loads(audit.stdout.readline()))
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text.splitlines()
        assert "neutrality_verify_heals_total 1.0" in metrics
        assert 'neutrality_verify_differences{kind="published"} 0.0' in metrics
        assert os.getpriority(os.PRIO_PROCESS, audit.pid) > os.getpriority(os.PRIO_PROCESS, 0)
        audit.send_signal(signal.SIGTERM)
        assert audit.wait(30) == Exit.OK
    finally:
        audit.kill()
        audit.communicate()
