"""SIGKILL of each service in turn while events flow: the short form, bounded to about a minute. Kafka itself is not killed here."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import pytest

from neutrality.broker.kafka import KafkaReader
from neutrality.cli.stack import Stack
from neutrality.client import Client
from neutrality.events.alert import Alert, parse_alert
from neutrality.events.cloudevent import event_from_kafka
from neutrality.topics import OWNERSHIP, alerts_topic
from tests.support.stack import PATIENCE_S, Scores, Subscriber, World, in_process, substance

WORLD = World("killed")
LAB = WORLD.entity("customer")
VENDORS = [WORLD.entity(f"vendor-{number}") for number in range(12)]
EVENTS_PER_S = 25
SOURCE = "urn:test:sigkill"
SECONDS_BETWEEN_KILLS = 5.0


def event(kind: str, identity: str, number: int, **data: Any) -> dict[str, Any]:
    moment = (datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=number)).isoformat()
    return {
        "specversion": "1.0",
        "id": identity,
        "source": SOURCE,
        "type": f"watch.neutrality.{kind}.v1",
        "time": moment,
        "data": {
            "status": "completed",
            "effective_time": moment,
            "evidence": [{"kind": "filing", "publisher": "a register"}],
            **data,
        },
    }


def preamble() -> list[dict[str, Any]]:
    labs = [event("entity", name, 0, subject=WORLD.entity(name), claim_id="what", is_lab=True) for name in ("rival", "customer")]
    holding = WORLD.entity("holding")
    chain = event(
        "interest", "chain", 0, subject=holding, claim_id="chain", interested_party=WORLD.entity("rival"),
        interest_type="shareholding", share={"exact": 0.9},
    )  # fmt: skip
    return [*labs, chain, *(event("entity", vendor, 0, subject=vendor, claim_id="what", is_vendor=True) for vendor in VENDORS)]


def change(number: int) -> dict[str, Any]:
    """The holding's share in one vendor, another one each time: the rival reaches the vendor through two steps."""
    vendor = VENDORS[number % len(VENDORS)]
    share = (number * 37 % 97 + 1) / 100
    return event(
        "interest", f"change-{number}", number, subject=vendor, claim_id="equity", interested_party=WORLD.entity("holding"),
        interest_type="shareholding", share={"exact": share},
    )  # fmt: skip


class Flow:
    """Hands in events at a steady pace from a thread of its own; keeps what was accepted. What failed is sent again (`Client`)."""

    def __init__(self, stack: Stack) -> None:
        self.accepted: list[dict[str, Any]] = []
        self.failure: Exception | None = None
        self._url = stack.ingest_url
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._thread.join(timeout=90)

    def _run(self) -> None:
        try:
            with Client(self._url, patience=timedelta(seconds=80)) as client:
                number = 0
                while not self._stopped.wait(1 / EVENTS_PER_S):
                    number += 1
                    document = change(number)
                    client.send([document])
                    self.accepted.append(document)
        except Exception as error:  # noqa: BLE001 - told by the test
            self.failure = error


@pytest.fixture(scope="module")
def subscriber(stack: Stack) -> Iterator[Subscriber]:
    found = Subscriber(stack, LAB)
    yield found
    found.close()


def rest(stack: Stack, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stack.watch()
        time.sleep(0.02)


@pytest.mark.timeout(300)
def test_killing_each_service_in_turn_loses_nothing_and_tells_nothing_twice(
    stack: Stack, client: Client, scores: Scores, subscriber: Subscriber
) -> None:
    before = preamble()
    client.send(before)
    with Flow(stack) as flow:
        rest(stack, 1.0)
        for service in ("scoring", "ingest", "alerts", "scoring"):
            stack.services[service].kill()
            rest(stack, SECONDS_BETWEEN_KILLS)
        stack.await_ready()
        rest(stack, 1.0)
    assert flow.failure is None
    assert len(flow.accepted) > 50

    # nothing accepted is lost
    assert {document["id"] for document in flow.accepted} <= set(_ids_in_topic(stack))
    # the final scores are those of an undisturbed run
    wanted = {vendor: substance(found) for vendor, found in in_process([*before, *flow.accepted]).items()}
    for vendor in VENDORS:
        scores.wait_for(vendor, lambda found, vendor=vendor: substance(found) == wanted[vendor], patience_s=PATIENCE_S)  # type: ignore[misc]
    # no moment is told under two ids, and each id is seen once
    rest(stack, 2.0)
    told = list(subscriber.alerts)
    in_topic = _alerts_in_topic(stack)
    assert told
    assert max(Counter(alert.id for alert in told).values()) == 1
    moments = {alert.id: (alert.subscription, alert.rule, alert.vendor, alert.version) for alert in [*told, *in_topic]}
    assert len(set(moments.values())) == len(moments)
    # both channels told the same
    assert {alert.id for alert in told} == {alert.id for alert in in_topic}
    # a vendor's alerts came in the order of its assessments
    for vendor in VENDORS:
        versions = [alert.version for alert in told if alert.vendor == vendor]
        assert versions == sorted(versions)


def _ids_in_topic(stack: Stack) -> list[str]:
    found = []
    for headers, value in _records(stack, OWNERSHIP.name):
        if value is not None and (b"ce_source", SOURCE.encode()) in [(name.encode(), content) for name, content in headers]:
            found.append(event_from_kafka(headers, value).id)
    return found


def _alerts_in_topic(stack: Stack) -> list[Alert]:
    return [parse_alert(value) for _, value in _records(stack, alerts_topic(LAB).name) if value is not None]


def _records(stack: Stack, topic: str) -> Iterator[tuple[tuple[tuple[str, bytes | None], ...], bytes | None]]:
    """All records of a topic up to where it ends now."""
    reader = KafkaReader(stack.bootstrap_servers, (topic,), client_id="test-all")
    try:
        ends = {place: end for place, end in reader.end_offsets().items() if end > reader.beginning_offsets()[place]}
        deadline = time.monotonic() + PATIENCE_S
        while ends and time.monotonic() < deadline:
            for record in reader.poll(timedelta(milliseconds=200)):
                yield record.headers, record.value
                if record.offset + 1 >= ends.get((record.topic, record.partition), 0):
                    ends.pop((record.topic, record.partition), None)
        assert not ends
    finally:
        reader.close()
