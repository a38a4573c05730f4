"""What is rejected is kept, listed, corrected and sent again, on a real Kafka."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import ensure_topics
from neutrality.cli.exits import Exit
from neutrality.cli.main import app
from neutrality.topics import CONTRACTS, OWNERSHIP, REJECTED
from services.ingest.entrypoints.openapi import EXAMPLES
from tests.support.ingest import answers, running_ingest, wait_for

WRONG = EXAMPLES["interest"] | {"id": "wrong", "data": EXAMPLES["interest"]["data"] | {"share": {"exact": 1.5}}}
RIGHT = EXAMPLES["interest"] | {"id": "wrong"}


@pytest.fixture
def ingest(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[httpx.Client]:
    ensure_topics(kafka.bootstrap_servers, (OWNERSHIP, CONTRACTS, REJECTED))
    with running_ingest(kafka.bootstrap_servers, tmp_path / "log", INGEST_KEEP_REJECTED="true") as (_, client):
        wait_for(lambda: answers(client, "/health/ready"), 30)
        yield client


def run(kafka: EmbeddedKafka, *arguments: str, **environment: str) -> Result:
    command = ["rejected", *arguments, "--bootstrap-servers", kafka.bootstrap_servers]
    return CliRunner().invoke(app, command, env={"COLUMNS": "220", **environment})


def listed(kafka: EmbeddedKafka, *options: str) -> dict[str, Any]:
    result = run(kafka, "list", "--json", *options)
    assert result.exit_code == Exit.OK, result.output
    return {one["id"]: one for one in map(json.loads, result.output.splitlines())}


def test_a_refused_input_is_kept_corrected_and_sent_again(kafka: EmbeddedKafka, ingest: httpx.Client, tmp_path: Path) -> None:
    url = str(ingest.base_url)
    answer = ingest.post("/events", json=WRONG, headers={"content-type": "application/cloudevents+json"})
    assert answer.status_code == 422
    kept = answer.json()["kept"]
    assert listed(kafka)[kept]["errors"][0]["pointer"] == "/data/share/exact"
    shown = run(kafka, "show", kept)
    assert "/data/share/exact" in shown.output
    assert f"neutrality rejected resend {kept} --edit" in shown.output

    assert "still wrong" in run(kafka, "resend", kept, "--ingest-url", url).output
    editor = tmp_path / "editor.sh"
    editor.write_text('#!/bin/sh\nsed -i "s/1\\.5/0.49/" "$1"\n')
    editor.chmod(0o755)
    sent = run(kafka, "resend", kept, "--edit", "--ingest-url", url, "--json", VISUAL=str(editor))
    assert json.loads(sent.stdout) == {"id": kept, "accepted": 1}
    assert kept not in listed(kafka)
    assert listed(kafka, "--all")[kept]["resolved"] is True
    again = ingest.post("/events", json=RIGHT, headers={"content-type": "application/cloudevents+json"})
    assert again.json()["accepted"][0]["duplicate"]


def test_lines_batches_and_nonsense_are_kept_too(kafka: EmbeddedKafka, ingest: httpx.Client, tmp_path: Path) -> None:
    lines = json.dumps(WRONG | {"id": "line"}).encode() + b"\nnonsense\n"
    results = ingest.post("/events", content=lines, headers={"content-type": "application/x-ndjson"}).text.splitlines()
    places = [json.loads(line)["problem"]["kept"] for line in results[:2]]
    batch = [RIGHT | {"id": "batch"}, WRONG | {"id": "batch-2"}]
    answer = ingest.post("/events", json=batch, headers={"content-type": "application/cloudevents-batch+json"})
    places.append(answer.json()["kept"])
    broken = ingest.post("/events", content=b"{", headers={"content-type": "application/cloudevents+json"})
    places.append(broken.json()["kept"])
    found = listed(kafka)
    assert [found[place]["reason"] for place in places] == ["invalid_event", "invalid_event", "invalid_event", "invalid_json"]
    assert run(kafka, "resend", places[1]).exit_code == Exit.FAILED
    corrected = tmp_path / "corrected.json"
    corrected.write_text(json.dumps([RIGHT | {"id": "batch"}, RIGHT | {"id": "batch-2"}]))
    sent = run(kafka, "resend", places[2], "--file", str(corrected), "--ingest-url", str(ingest.base_url))
    assert (sent.exit_code, "2 accepted" in sent.output) == (Exit.OK, True)
    assert run(kafka, "show", "0/999999").exit_code == Exit.FAILED
