"""Events that name an entity by an alias are kept under its canonical id; what came before that was known is moved."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from neutrality.broker.errors import BrokerUnavailable
from neutrality.broker.memory import MemoryBroker
from neutrality.broker.port import ConsumedRecord, OutgoingRecord
from neutrality.events.cloudevent import Event, event_from_kafka, event_to_document, event_to_kafka
from neutrality.identity.naming import NAMED_HEADER
from neutrality.model.methodology import load_methodology
from services.ingest.identities import Identities
from services.ingest.kept import ReceivedOnDisk
from services.ingest.metrics import IngestMetrics
from services.ingest.moving import Mover
from services.ingest.received import read_event
from tests.support.events import event, stake, vendor
from tests.support.ingest import NOW, Ingest, problem

TOPIC = "neutrality.ownership"
LEI = "5493001KJTIIGC8Y1R12"
META = event("entity", id="meta", subject="meta", aliases=["Meta Platforms, Inc."], identifiers=[{"scheme": "LEI", "id": LEI}])


def send(ingest: Ingest, said: Event, **data: Any) -> Any:
    document = event_to_document(said)
    document.pop("subject", None)
    document["data"] |= data
    return ingest.post(document)


def written(broker: MemoryBroker) -> list[tuple[str, Event]]:
    return [((record.key or b"").decode(), event_from_kafka(record.headers, record.value)) for record in broker.records(TOPIC)]


def mover_of(ingest: Ingest) -> Mover:
    def read() -> Iterator[ConsumedRecord]:
        yield from (*ingest.broker.records(TOPIC), *ingest.broker.records("neutrality.contracts"))

    metrics = IngestMetrics(CollectorRegistry())
    return Mover(ingest.identities, ingest.broker.publisher(), read, metrics, clock=lambda: NOW)


@pytest.mark.parametrize(
    "reference", [{"name": "META PLATFORMS INC"}, {"scheme": "LEI", "id": LEI}, "name:meta-platforms-inc", f"lei:{LEI.lower()}"]
)
def test_an_alias_is_keyed_by_the_canonical_id(reference: object) -> None:
    ingest = Ingest()
    assert send(ingest, META).status_code == 202
    assert send(ingest, stake("x", "scale-ai", 0.49, id="s"), interested_party=reference).status_code == 202
    assert send(ingest, event("entity", id="v", subject="x"), subject=reference).status_code == 202
    assert {(key, one.id, getattr(one.data, "interested_party", None)) for key, one in written(ingest.broker)} == {
        ("meta", "meta", None),
        ("scale-ai", "s", "meta"),
        ("meta", "v", None),
    }


def test_a_repeat_is_one_whatever_was_learnt_between() -> None:
    ingest = Ingest()
    said = stake("x", "scale-ai", 0.49, id="s")
    assert send(ingest, said, interested_party={"name": "Meta Platforms Inc"}).json()["accepted"][0]["duplicate"] is False
    send(ingest, META)
    again = send(ingest, said, interested_party={"name": "Meta Platforms Inc"})
    assert (again.status_code, again.json()["accepted"][0]["duplicate"]) == (202, True)
    problem(send(ingest, said, interested_party={"name": "Another"}), 409, "event-conflict")


def test_a_record_tells_what_its_event_named_at_first() -> None:
    ingest = Ingest()
    send(ingest, META)
    send(ingest, stake("x", "scale-ai", 0.49, id="s"), interested_party={"name": "Meta Platforms Inc"})
    record = ingest.broker.records(TOPIC)[-1]
    assert dict(record.headers)[NAMED_HEADER] == b'{"/interested_party":"name:meta-platforms-inc"}'
    read = read_event(record)
    assert read is not None
    other = Ingest()
    send(other, stake("x", "scale-ai", 0.49, id="s"), interested_party={"name": "Meta Platforms Inc"})
    first = read_event(other.broker.records(TOPIC)[-1])
    assert first is not None
    assert read.known.content == first.known.content


@pytest.mark.parametrize(
    ("reference", "detail"),
    [
        ({"name": "?!"}, "neither letters nor digits"),
        ({"scheme": "LEI", "id": "1"}, "is no LEI"),
        ({"nom": "Meta"}, 'by {"name": ...}'),
        ({"scheme": "a b", "id": "1"}, "scheme"),
        ({"scheme": "LEI", "id": ""}, "id"),
    ],
)
def test_a_wrong_reference_is_told_with_its_place(reference: object, detail: str) -> None:
    found = problem(send(Ingest(), stake("x", "v", 0.1), interested_party=reference), 422, "invalid-event")
    assert found["errors"][0]["pointer"] == "/data/interested_party"
    assert detail in found["errors"][0]["detail"]


def test_lines_may_hold_references_too() -> None:
    ingest = Ingest()
    document = event_to_document(stake("x", "scale-ai", 0.49, id="s"))
    document["data"]["interested_party"] = {"name": "Meta"}
    answer = ingest.post(json.dumps(document).encode() + b"\n{}\n", {"content-type": "application/x-ndjson"})
    results = [json.loads(line) for line in answer.text.splitlines()]
    assert [result.get("status") for result in results] == ["accepted", "rejected", None]
    assert written(ingest.broker)[0][1].data.interested_party == "name:meta"  # type: ignore[union-attr]


def test_a_merger_against_the_identifiers_is_refused() -> None:
    ingest = Ingest()
    send(ingest, META)
    send(ingest, event("entity", subject="facebook", identifiers=[{"scheme": "LEI", "id": "213800HZ54TG54H2KV03"}]))
    found = problem(send(ingest, event("entity", subject="facebook", merged_into="meta")), 422, "invalid-event")
    assert found["errors"][0]["pointer"] == "/data/merged_into"
    assert "they are two" in found["errors"][0]["detail"]


def test_the_revision_is_ours_to_set() -> None:
    document = event_to_document(vendor("v")) | {"revision": 1}
    assert problem(Ingest().post(document), 422, "invalid-event")["errors"][0]["pointer"] == "/revision"


def test_an_interest_of_an_entity_in_itself_is_refused_under_any_name() -> None:
    ingest = Ingest()
    send(ingest, META)
    found = problem(send(ingest, stake("x", "meta", 0.1), interested_party={"scheme": "LEI", "id": LEI}), 422, "invalid-event")
    assert found["errors"][0]["pointer"] == "/data/interested_party"


def test_what_came_before_is_moved_once_it_is_known_who_is_meant() -> None:
    ingest = Ingest()
    send(ingest, stake("google", "x", 0.14, id="s"), subject={"name": "Scale AI, Inc."})
    send(ingest, event("contract", subject="x", customer="y", id="c"), subject={"name": "Scale AI, Inc."})
    send(ingest, event("entity", subject="scale-ai", name="Scale AI Inc", id="e"))
    assert asyncio.run(mover_of(ingest).move()) == 4
    found = {(key, one.id.rpartition("/")[2], one.revision) for key, one in written(ingest.broker)}
    assert found == {
        ("name:scale-ai-inc", "s", None),
        ("name:scale-ai-inc", "0", None),
        ("scale-ai", "e", None),
        ("scale-ai", "s", 1),
    }
    assert asyncio.run(mover_of(ingest).move()) == 0
    again = send(ingest, stake("google", "x", 0.14, id="s"), subject={"name": "Scale AI, Inc."})
    assert again.json()["accepted"][0]["duplicate"]


def test_what_others_write_without_asking_is_moved_too(tmp_path: Path) -> None:
    ingest = Ingest()
    send(ingest, META)
    headers, value = event_to_kafka(stake("name:meta-platforms-inc", "v", 0.3, id="s"))
    asyncio.run(ingest.broker.publisher().publish(record_of(headers, value)))
    read = read_event(ingest.broker.records(TOPIC)[-1])
    assert read is not None
    ingest.identities.learn([(read.event, read.named)])
    assert asyncio.run(mover_of(ingest).move()) == 1
    assert written(ingest.broker)[-1][1].data.interested_party == "meta"  # type: ignore[union-attr]


def record_of(headers: list[tuple[str, bytes]], value: bytes) -> Any:

    return OutgoingRecord(topic=TOPIC, key=b"v", value=value, headers=tuple(headers), timestamp_ms=0)


def test_a_move_that_fails_is_made_later() -> None:
    ingest = Ingest()
    send(ingest, stake("google", "old", 0.14, id="s"))
    send(ingest, event("entity", subject="old", merged_into="new", id="m"))
    mover = mover_of(ingest)
    ingest.broker.fail_with(BrokerUnavailable("away"))
    with pytest.raises(BrokerUnavailable):
        asyncio.run(mover.move())
    ingest.broker.fail_with(None)
    assert asyncio.run(mover.move()) == 2


def test_a_move_that_was_begun_is_ended_after_a_crash(tmp_path: Path) -> None:
    ingest = Ingest()
    kept = ReceivedOnDisk(tmp_path)
    ingest.identities = Identities(kept.identities(), load_methodology())
    send(ingest, stake("google", "old", 0.14, id="s"))
    send(ingest, event("entity", subject="old", merged_into="new", id="m"))
    kept.close()
    again = ReceivedOnDisk(tmp_path)
    ingest.identities = Identities(again.identities(), load_methodology())
    assert asyncio.run(mover_of(ingest).move()) == 2
    again.close()
    last = ReceivedOnDisk(tmp_path)
    ingest.identities = Identities(last.identities(), load_methodology())
    assert asyncio.run(mover_of(ingest).move()) == 0
    assert ingest.identities.resolve(vendor("old")).event.data.subject == "new"
    last.forget()
    ingest.identities.forget()
    assert Identities(last.identities(), load_methodology()).resolve(vendor("old")).event.data.subject == "old"
    last.close()
