"""Lines of events into ingest as a process, over a real Kafka: every line has its result, whatever happens on the way."""

import json
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import KafkaReader
from services.ingest.entrypoints.openapi import EXAMPLES
from tests.support.ingest import answers, running_ingest, wait_for

NDJSON = {"content-type": "application/x-ndjson"}
TOPICS = ("neutrality.ownership", "neutrality.contracts")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedKafka]:
    """Our own: a test kills it."""
    with EmbeddedKafka(data_dir=tmp_path_factory.mktemp("streams-kafka"), port=0) as kafka:
        yield kafka


def line(identity: str) -> bytes:
    return json.dumps(EXAMPLES["interest"] | {"id": identity}).encode() + b"\n"


def stream(client: httpx.Client, body: Iterator[bytes] | bytes) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The results and the summary. httpx sends all of a body before it reads any of the answer."""
    response = client.post("/events", content=body, headers=NDJSON, timeout=90)
    assert response.status_code == 200, response.text
    *results, last = [json.loads(found) for found in response.content.splitlines()]
    return results, last["summary"]


def ids_in_kafka(servers: str) -> Counter[str]:
    found: Counter[str] = Counter()
    reader = KafkaReader(servers, TOPICS, client_id="test", start="beginning")
    try:
        ends = reader.end_offsets()
        while any(reader.positions()[partition] < end for partition, end in ends.items()):
            for record in reader.poll(timedelta(seconds=0.2)):
                found[(dict(record.headers)["ce_id"] or b"").decode()] += 1
    finally:
        reader.close()
    return found


def test_lines_come_back_with_their_places_through_an_outage_a_stop_and_repeats(broker: EmbeddedKafka, tmp_path: Path) -> None:
    servers = broker.bootstrap_servers
    with running_ingest(servers, tmp_path / "ingest.log") as (process, client):
        wait_for(lambda: answers(client, "/health/ready"), 30)

        # more results than the kernel's buffers hold, for a client that reads none of them while it sends
        results, summary = stream(client, b"".join(line(f"many-{number}") for number in range(20_000)))
        assert summary == {"complete": True, "accepted": 20_000, "duplicate": 0, "rejected": 0, "failed": 0}
        assert len({(result["topic"], result["partition"], result["offset"]) for result in results}) == 20_000

        def through_an_outage() -> Iterator[bytes]:
            for number in range(400):
                if number == 200:
                    broker.kill()
                yield line(f"outage-{number}")
                time.sleep(0.005)

        results, summary = stream(client, through_an_outage())
        assert not summary["complete"]
        assert summary["problem"]["type"].endswith("broker-unavailable")
        accepted = {result["id"] for result in results if result["status"] == "accepted"}
        assert len(accepted) >= 150
        broker.start()
        wait_for(lambda: stream(client, line("after"))[1]["accepted"] == 1, 40)
        missing = [f"outage-{number}" for number in range(400) if f"outage-{number}" not in accepted]
        assert stream(client, b"".join(map(line, missing)))[1]["accepted"] == len(missing)

        def until_it_stops() -> Iterator[bytes]:
            for number in range(3000):
                if number == 50:
                    threading.Thread(target=process.send_signal, args=(signal.SIGTERM,)).start()
                yield line(f"stop-{number}")
                time.sleep(0.01)

        with client.stream("POST", "/events", content=until_it_stops(), headers=NDJSON) as response:
            *results, last = [json.loads(found) for found in response.iter_lines()]
        assert last["summary"]["problem"]["type"].endswith("stopping")
        stopped = {result["id"] for result in results}
        assert process.wait(15) == 0

    found = ids_in_kafka(broker.bootstrap_servers)
    told = {f"many-{number}" for number in range(20_000)} | accepted | set(missing) | stopped
    assert told <= found.keys()
    assert all(found[f"many-{number}"] == 1 for number in range(20_000))
