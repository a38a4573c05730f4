"""Every container is killed in turn and started again, while events come. Nothing that was accepted is lost, and no alert. `make containers`."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import httpx
import pytest

from neutrality.broker.kafka import KafkaReader
from neutrality.cli.up import DEMO_CLOCK
from neutrality.client import Client, IngestError
from neutrality.topics import alerts_topic
from neutrality.verification.log import read_to_end
from tests.support.compose import Compose, eventually, running

pytestmark = pytest.mark.timeout(1500)
PAUSE_S = 0.3
AT = DEMO_CLOCK.isoformat()
PAGE = 500


@pytest.fixture(scope="module")
def stack() -> Iterator[Compose]:
    yield from running("neutrality-restarts")


class Publisher:
    """Sends a new vendor, and then who owns it, again and again: each leads to one alert at least to the lab that subscribed."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopped = threading.Event()
        self.accepted: list[str] = []
        self.interrupted = 0
        self._thread = threading.Thread(target=self._send_for_ever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(120)
        assert not self._thread.is_alive()

    def _send_for_ever(self) -> None:
        number = 0
        while not self._stopped.wait(PAUSE_S):
            vendor = f"vendor-{number}"
            while not self._sent([_event(vendor, "entity", is_vendor=True), _stake(vendor)]):
                self.interrupted += 1  # the same events once more: their ids make them count once
            self.accepted.append(vendor)
            number += 1

    def _sent(self, events: list[dict[str, Any]]) -> bool:
        try:
            with Client(self._url) as client:
                client.send(events)
        except (IngestError, httpx.HTTPError):
            return False
        return True


def _event(subject: str, kind: str, **data: Any) -> dict[str, Any]:
    evidence = [{"kind": "official_statement", "publisher": "a trial"}]
    common = {"subject": subject, "claim_id": kind, "status": "completed", "effective_time": AT, "evidence": evidence}
    return {
        "specversion": "1.0",
        "id": f"{subject}-{kind}",
        "source": "urn:neutrality-watch:trial",
        "type": f"watch.neutrality.{kind}.v1",
        "time": AT,
        "data": {**common, **data},
    }


def _stake(vendor: str) -> dict[str, Any]:
    return _event(vendor, "interest", interested_party="meta", interest_type="shareholding", share={"exact": 0.49})


def test_every_container_may_be_killed_and_nothing_is_lost(stack: Compose) -> None:
    with Client(stack.ingest_url) as client:
        client.send([_event(lab, "entity", is_lab=True) for lab in ("meta", "google")])
    httpx.put(f"{stack.alerts_url}/labs/google/subscriptions/trial", json={}).raise_for_status()
    publisher = Publisher(stack.ingest_url)
    killed = sorted(item["Name"] for item in stack.containers() if item["State"] == "running")
    assert len(killed) >= 10
    for name in killed:
        subprocess.run(["docker", "kill", name], check=True, capture_output=True)
        before = len(publisher.accepted)
        subprocess.run(["docker", "start", name], check=True, capture_output=True)
        eventually(lambda: _all_healthy(stack), within_s=180, what=f"all is healthy after {name} was killed")
        eventually(lambda before=before: len(publisher.accepted) > before, within_s=120, what=f"events are taken after {name}")  # type: ignore[misc]
    publisher.stop()
    vendors = set(publisher.accepted)
    assert len(vendors) > len(killed)

    verified = json.loads(stack.neutrality("verify", "--wait", "120", "--at", AT, "--json"))
    assert verified["differences"] == []
    assert verified["events"] >= 2 * len(vendors) + 2
    assert verified["vendors_checked"] == len(vendors)

    eventually(lambda: {alert["vendor"] for alert in _told(stack)} >= vendors, within_s=120, what="an alert for every vendor")
    told = {alert["id"] for alert in _told(stack)}
    eventually(lambda: _in_topic(stack) >= told, within_s=60, what="every alert in the lab's topic")
    assert _in_topic(stack) == told


def _all_healthy(stack: Compose) -> bool:
    found = [item for item in stack.containers() if item["Service"] != "alerts-keys"]
    return all(item["State"] == "running" and item["Health"] in ("healthy", "") for item in found)


def _told(stack: Compose) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        after = {"after": found[-1]["id"]} if found else {}
        answer = httpx.get(f"{stack.alerts_url}/labs/google/alerts", params={"limit": PAGE, **after}, timeout=30.0)
        page = answer.raise_for_status().json()["alerts"]
        if not page:
            return found
        found += page


def _in_topic(stack: Compose) -> set[str]:
    with closing(KafkaReader(stack.kafka, [alerts_topic("google").name], client_id="trial")) as reader:
        return {(dict(record.headers)["ce_id"] or b"").decode() for record in read_to_end(reader)}
