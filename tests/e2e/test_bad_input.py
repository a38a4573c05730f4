"""What is wrong gets a clear answer each, wherever it comes in, and the stream goes on."""

import asyncio
import json
import time
from datetime import timedelta
from typing import Any

import httpx
import pytest

from neutrality.broker.kafka import KafkaPublisher, KafkaReader
from neutrality.broker.port import OutgoingRecord
from neutrality.cli.stack import Stack
from neutrality.client import Client
from neutrality.topics import CONTRACTS, OWNERSHIP, REJECTED
from tests.support.stack import PATIENCE_S, Scores, World, in_process, substance

STRUCTURED = {"content-type": "application/cloudevents+json"}
WORLD = World("bad")
VENDOR = WORLD.entity("vendor")


def entity(name: str, **fields: Any) -> dict[str, Any]:
    return event("entity", f"entity-{name}", {"subject": WORLD.entity(name), "claim_id": "what", **fields})


def stake(party: str, share: object, *, number: int = 1, **fields: Any) -> dict[str, Any]:
    data = {
        "subject": VENDOR,
        "claim_id": f"{party}-equity",
        "interested_party": WORLD.entity(party),
        "interest_type": "shareholding",
        "share": {"exact": share},
    }
    return event("interest", f"{party}-{number}", {**data, **fields}, day=number)


def event(kind: str, identity: str, data: dict[str, Any], *, day: int = 1) -> dict[str, Any]:
    time_text = f"2025-01-{day:02}T00:00:00Z"
    return {
        "specversion": "1.0",
        "id": identity,
        "source": "urn:test:bad-input",
        "type": f"watch.neutrality.{kind}.v1",
        "time": time_text,
        "data": {
            "status": "completed",
            "effective_time": time_text,
            "evidence": [{"kind": "filing", "publisher": "a register"}],
            **data,
        },
    }


@pytest.fixture(scope="module", autouse=True)
def known(stack: Stack) -> None:
    with Client(stack.ingest_url) as client:
        client.send([entity("vendor", is_vendor=True), entity("lab-a", is_lab=True), entity("lab-b", is_lab=True)])


WRONG = {
    "malformed": (b'{"specversion": "1.0", ', 400, ""),
    "unknown-type": (json.dumps({**stake("lab-a", 0.1), "type": "watch.neutrality.gossip.v1"}).encode(), 422, "/type"),
    "share-under-0": (json.dumps(stake("lab-a", -0.1)).encode(), 422, "/data/share/exact"),
    "share-over-1": (json.dumps(stake("lab-a", 1.1)).encode(), 422, "/data/share/exact"),
    "no-date": (json.dumps(stake("lab-a", 0.1, effective_time="the day after")).encode(), 422, "/data/effective_time"),
    "10-MB": (json.dumps(stake("lab-a", 0.1, note="x" * 10_000_000)).encode(), 413, ""),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_event_is_refused_with_what_is_wrong_and_the_next_is_taken(stack: Stack, client: Client, case: str) -> None:
    body, status, pointer = WRONG[case]
    response = httpx.post(f"{stack.ingest_url}/events", content=body, headers=STRUCTURED, timeout=30)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["detail"]
    if pointer:
        assert [error["pointer"].lstrip("#") for error in problem["errors"]] == [pointer]
    assert client.send([stake("lab-a", 0.0, number=2)]) == 1


GARBAGE = {
    "no-json": b"\x00\xff garbage",
    "json-but-no-event": b'{"hello": "world"}',
    "share-over-1": json.dumps(stake("lab-a", 7)).encode(),
    "empty": b"",
}


@pytest.mark.parametrize("topic", [OWNERSHIP.name, CONTRACTS.name])
@pytest.mark.parametrize("case", GARBAGE)
def test_garbage_straight_in_a_topic_is_set_aside_and_the_stream_goes_on(
    stack: Stack, client: Client, scores: Scores, case: str, topic: str
) -> None:
    number = 3 + 2 * list(GARBAGE).index(case) + (topic == CONTRACTS.name)
    rejected = KafkaReader(stack.bootstrap_servers, (REJECTED.name,), client_id="test-rejected")
    try:
        place = asyncio.run(_produce(stack, topic, GARBAGE[case]))
        client.send([stake("lab-b", number / 100, number=number)])
        scores.wait_for(VENDOR, lambda found: any(f" {number} %" in note.summary for note in found.claims))
        told = _await_rejected(rejected, place)
        assert told["errors"]
        assert told["reason"] == "invalid_event"
    finally:
        rejected.close()


def test_shares_over_one_are_legal_scaled_down_and_flagged(client: Client, scores: Scores) -> None:
    world = World("over")
    vendor = {"subject": world.entity("vendor"), "claim_id": "what", "is_vendor": True}
    told = [event("entity", "over-vendor", vendor)]
    for lab in ("lab-a", "lab-b"):
        told.append(event("entity", f"over-{lab}", {"subject": world.entity(lab), "claim_id": "what", "is_lab": True}))
        data = {"claim_id": lab, "interested_party": world.entity(lab), "interest_type": "shareholding", "share": {"exact": 0.8}}
        told.append(event("interest", f"over-{lab}-equity", {"subject": world.entity("vendor"), **data}))
    client.send(told)
    wanted = substance(in_process(told)[world.entity("vendor")])
    found = scores.wait_for(world.entity("vendor"), lambda now: substance(now) == wanted)
    assert "shares_over_one" in found.flags
    assert found.headline.confirmed == pytest.approx(100 * (1 - 0.8 * 0.5) ** 2)


def test_a_date_in_the_future_is_legal_and_pending_until_then(client: Client, scores: Scores) -> None:
    world = World("future")
    vendor, lab = world.entity("vendor"), world.entity("lab")
    data = {"claim_id": "equity", "interested_party": lab, "interest_type": "shareholding", "share": {"exact": 0.5}}
    told = [
        event("entity", "future-vendor", {"subject": vendor, "claim_id": "what", "is_vendor": True}),
        event("entity", "future-lab", {"subject": lab, "claim_id": "what", "is_lab": True}),
        event("interest", "future-equity", {"subject": vendor, "effective_time": "2031-01-01T00:00:00Z", **data}),
    ]
    client.send(told)
    wanted = substance(in_process(told)[vendor])
    found = scores.wait_for(vendor, lambda now: substance(now) == wanted)
    assert found.headline.confirmed == 100.0
    assert found.headline.projected < 65.0
    note = found.claim("equity")
    assert note is not None
    assert note.counts == "pending"


async def _produce(stack: Stack, topic: str, value: bytes) -> tuple[str, int, int]:
    publisher = KafkaPublisher(stack.bootstrap_servers, client_id="test-garbage")
    try:
        written = await publisher.publish(OutgoingRecord(topic, VENDOR.encode(), value))
        return written.topic, written.partition, written.offset
    finally:
        await publisher.close()


def _await_rejected(reader: KafkaReader, place: tuple[str, int, int]) -> dict[str, Any]:
    """The rejection of the record at that place; any number of others may be there too."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        for record in reader.poll(timedelta(milliseconds=100)):
            told: dict[str, Any] = json.loads(record.value or b"{}")
            if (told["topic"], told["partition"], told["offset"]) == place:
                return told
    raise AssertionError(f"nothing was rejected at {place}")


def test_a_vendor_with_more_evidence_than_kafkas_default_record_holds_is_assessed_and_the_stream_goes_on(
    client: Client, scores: Scores
) -> None:
    world = World("heavy")
    vendor = world.entity("vendor")
    evidence = [{"kind": "named_press", "publisher": f"paper {number}", "quote": "x" * 2000} for number in range(50)]
    client.send([event("entity", "heavy-vendor", {"subject": vendor, "claim_id": "what", "is_vendor": True})])
    for number in range(14):  # 14 claims of 100 kB: 1.4 MB in one assessment
        data = {"subject": vendor, "claim_id": f"c{number}", "interested_party": world.entity(f"fund-{number}")}
        client.send(
            [
                event(
                    "interest",
                    f"heavy-{number}",
                    {**data, "interest_type": "shareholding", "share": {"exact": 0.01}, "evidence": evidence},
                )
            ]
        )
    assert len(scores.wait_for(vendor, lambda now: len(now.claims) == 15).claims) == 15
    client.send([stake("lab-b", 0.33, number=20)])
    scores.wait_for(VENDOR, lambda found: any(" 33 %" in note.summary for note in found.claims))
