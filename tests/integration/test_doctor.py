"""`neutrality doctor` on a real Kafka."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import connect_admin, ensure_topics
from neutrality.cli.exits import Exit
from neutrality.cli.main import app
from neutrality.topics import CONTRACTS, TOPICS


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[EmbeddedKafka]:
    """Its topics are called as they are called: no other test's."""
    with EmbeddedKafka(data_dir=tmp_path, port=0) as broker:
        yield broker


def doctor(kafka: str) -> Result:
    nowhere = ["--ingest-url", "http://127.0.0.1:1", "--alerts-url", "http://127.0.0.1:1"]
    return CliRunner().invoke(app, ["doctor", "--bootstrap-servers", kafka, *nowhere, "--json"])


def test_it_finds_what_is_missing_what_differs_and_who_does_not_answer(own_kafka: EmbeddedKafka) -> None:
    servers = own_kafka.bootstrap_servers
    without = json.loads(doctor(servers).stdout)["findings"]
    assert {item["subject"] for item in without if item["says"] == "is not there"} == {topic.name for topic in TOPICS}
    ensure_topics(servers, [topic for topic in TOPICS if topic != CONTRACTS], partitions=3)
    admin = connect_admin(servers)
    admin.create_topics({CONTRACTS.name: {"num_partitions": 2, "replication_factor": 1}}, wait_for_metadata=True)
    admin.close()
    answer = doctor(servers)
    assert answer.exit_code == Exit.FAILED
    found = {(item["level"], item["subject"]): item["says"] for item in json.loads(answer.stdout)["findings"]}
    assert "is Kafka 4." in found["ok", "broker 1"]
    assert "% of " in found.get(("ok", "disk of broker 1"), "") or ("warning", "disk of broker 1") in found
    assert "retention.ms" in found["failure", CONTRACTS.name]
    assert "neutrality.contracts 2" in found["failure", "partitions"]
    assert "no authorizer" in found["note", "grants"]
    assert ("failure", "ingest") in found
    assert ("failure", "alerts") in found


def test_a_kafka_that_does_not_answer_is_a_finding() -> None:
    answer = doctor("127.0.0.1:1")
    assert answer.exit_code == Exit.FAILED
    assert json.loads(answer.stdout)["findings"][0]["subject"] == "Kafka"
