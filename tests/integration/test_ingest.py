"""Ingest as a process, over a real Kafka: what 202 promises, what an outage does, and how it starts and stops."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.embedded.ports import pick_free_port
from neutrality.broker.kafka import KafkaReader
from neutrality.broker.port import ConsumedRecord
from neutrality.events.cloudevent import event_from_kafka, event_to_document
from services.ingest.entrypoints.openapi import EXAMPLES
from tests.support.ingest import DEADLINE_S, STRUCTURED, answers, running_ingest, wait_for

TOPICS = ("neutrality.ownership", "neutrality.contracts")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """Our own: a test kills it."""
    with EmbeddedKafka(data_dir=tmp_path_factory.mktemp("ingest-kafka"), port=0) as kafka:
        yield kafka


def failures_in(log: Path) -> list[str]:
    """Lines that are no log record, and exceptions that were ours; kafka-python logs one where a connection is reset under it."""
    found = []
    for line in log.read_text().splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            found.append(line)
            continue
        if "exception" in record and not record["logger"].startswith("kafka."):
            found.append(line)
    return found


def send(client: httpx.Client, identity: str, kind: str = "interest") -> httpx.Response:
    document: dict[str, Any] = EXAMPLES[kind] | {"id": identity}
    return client.post("/events", json=document, headers=STRUCTURED)


def read(servers: str, place: dict[str, Any]) -> ConsumedRecord:
    reader = KafkaReader(servers, TOPICS, client_id="test", start="beginning")
    try:
        for _ in range(50):
            for record in reader.poll(timedelta(seconds=0.2)):
                if (record.topic, record.partition, record.offset) == (place["topic"], place["partition"], place["offset"]):
                    return record
    finally:
        reader.close()
    raise AssertionError(f"nothing at {place}")


def test_an_event_is_in_kafka_when_accepted_through_an_outage_and_a_stop(broker: EmbeddedKafka, tmp_path: Path) -> None:
    servers = broker.bootstrap_servers
    log = tmp_path / "ingest.log"
    with running_ingest(servers, log) as (process, client):
        wait_for(lambda: answers(client, "/health/ready"), 30)
        before_ms = int(time.time() * 1000)
        response = send(client, "before")
        assert response.status_code == 202, response.text
        record = read(servers, response.json()["accepted"][0])
        assert event_to_document(event_from_kafka(record.headers, record.value))["id"] == "before"
        assert record.key == b"example-vendor"
        assert before_ms <= record.timestamp_ms <= time.time() * 1000

        too_large = client.post("/events", content=b" " * 10_000_000, headers=STRUCTURED)
        assert too_large.status_code == 413
        assert too_large.headers["content-type"] == "application/problem+json"

        broker.kill()
        started = time.monotonic()
        refused = send(client, "during")
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert time.monotonic() - started < DEADLINE_S + 1.5
        assert answers(client, "/health/live")
        assert client.get("/health/ready").status_code == 503

        broker.start()
        wait_for(lambda: send(client, "during").status_code == 202, 40)
        wait_for(lambda: answers(client, "/health/ready"), 10)
        contract = send(client, "after", "contract")
        assert read(broker.bootstrap_servers, contract.json()["accepted"][0]).topic == "neutrality.contracts"

        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert not failures_in(log)


def test_a_repeat_is_known_after_a_crash_with_the_folder_lost_and_by_another_ingest(
    broker: EmbeddedKafka, tmp_path: Path
) -> None:
    servers = broker.bootstrap_servers
    conflicting = EXAMPLES["interest"] | {"id": "once", "time": "2025-06-13T12:00:00Z"}
    with running_ingest(servers, tmp_path / "first.log", INGEST_DATA_DIR=str(tmp_path / "first")) as (process, client):
        wait_for(lambda: answers(client, "/health/ready"), 30)
        first = send(client, "once").json()["accepted"][0]
        assert not first["duplicate"]
        process.kill()
    with (
        running_ingest(servers, tmp_path / "second.log", INGEST_DATA_DIR=str(tmp_path / "second")) as (_, second),
        running_ingest(servers, tmp_path / "third.log", INGEST_DATA_DIR=str(tmp_path / "first")) as (_, third),
    ):
        for client in (second, third):
            wait_for(lambda client=client: answers(client, "/health/ready"), 30)  # type: ignore[misc]
            assert send(client, "once").json()["accepted"] == [first | {"duplicate": True}]
            assert client.post("/events", json=conflicting, headers=STRUCTURED).status_code == 409
        assert not send(second, "learnt").json()["accepted"][0]["duplicate"]
        time.sleep(3)  # it reads what others write about once a second
        assert send(third, "learnt").json()["accepted"][0]["duplicate"]
        taken = subprocess.run(
            [sys.executable, "-m", "services.ingest"],
            env=os.environ | {"INGEST_DATA_DIR": str(tmp_path / "first"), "INGEST_PORT": "0"},
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert taken.returncode == 2
        assert b"another ingest" in taken.stdout + taken.stderr


def test_without_kafka_it_is_live_takes_nothing_and_stops_at_once(tmp_path: Path) -> None:
    with running_ingest(f"127.0.0.1:{pick_free_port()}", tmp_path / "ingest.log") as (process, client):
        assert client.get("/health/ready").status_code == 503
        response = send(client, "early")
        assert response.status_code == 503
        assert response.headers["retry-after"]
        process.send_signal(signal.SIGINT)
        assert process.wait(8) == 0


@pytest.mark.parametrize(
    ("variable", "told"),
    [("INGEST_PORT=80801", b"INGEST_PORT"), ("INGEST_PROT=8801", b"did you mean INGEST_PORT"), ("taken", b"in use")],
)
def test_wrong_settings_and_a_taken_port_end_it_with_2_and_a_reason(variable: str, told: bytes) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        name, _, value = (f"INGEST_PORT={other.getsockname()[1]}" if variable == "taken" else variable).partition("=")
        ended = subprocess.run(
            [sys.executable, "-m", "services.ingest"],
            env=os.environ | {name: value},
            capture_output=True,
            timeout=30,
            check=False,
        )
    assert ended.returncode == 2, ended.stderr
    assert told in ended.stderr
    assert b"Traceback" not in ended.stderr
