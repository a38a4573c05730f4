"""One trial: load in three ways, mishaps on the way, and the verdict."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import httpx

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.embedded.ports import pick_free_port
from neutrality.broker.kafka import KafkaReader, ensure_topics
from neutrality.client import Accepted, Client
from neutrality.events.cloudevent import Event, event_from_document
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.topics import CONTRACTS, OWNERSHIP, TOPICS
from neutrality.verification.log import EventLog
from tests.ingest_trials.verdict import Name, Verdict, judge
from tests.support.ingest import STRUCTURED, answers, running_ingest, wait_for
from tests.support.stack import substance

Kind = Literal["ingest", "broker", "both"]
KINDS: Final[tuple[Kind, ...]] = ("ingest", "broker", "both")
PRODUCERS: Final = ("kafka-python", "librdkafka")
SOURCE: Final = "urn:test:ingest-trials"
AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
VENDORS: Final = 50
CONNECTIONS: Final = 4
BATCH: Final = 50
LINES: Final = 100
PATIENCE_S: Final = 120.0
BATCHES: Final = {"content-type": "application/cloudevents-batch+json"}


@dataclass(frozen=True)
class Plan:
    """What is done. Moments of mishaps are drawn from the seed, as shares of the events."""

    kind: Kind
    producer: str
    seed: int
    events: int = 50_000
    mishaps: int = 3


@dataclass(frozen=True)
class Outcome:
    """One row. `before`, `after`: events answered 202 before and after the first mishap."""

    plan: Plan
    verdict: Verdict
    before: int
    after: int
    retries: int
    duplicates: int
    seconds: float


def documents(count: int) -> list[dict[str, Any]]:
    """A rival holds a share in each vendor, another one each time."""
    kinds: dict[str, dict[str, Any]] = {"rival": {"is_lab": True}, "customer": {"is_lab": True}}
    kinds |= {f"vendor-{number}": {"is_vendor": True} for number in range(VENDORS)}
    found = [_event("entity", f"what-{name}", 0, subject=name, claim_id="what", **what) for name, what in kinds.items()]
    changes = (
        _event(
            "interest", f"change-{number}", number, subject=f"vendor-{number % VENDORS}", claim_id="equity",
            interested_party="rival", interest_type="shareholding", share={"exact": (number * 37 % 97 + 1) / 100},
        )
        for number in range(len(found), count)
    )  # fmt: skip
    return [*found, *changes]


def _event(kind: str, identity: str, second: int, **data: Any) -> dict[str, Any]:
    moment = (datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=second)).isoformat()
    claim = {"status": "completed", "effective_time": moment, "evidence": [{"kind": "filing", "publisher": "a register"}]}
    kind = f"watch.neutrality.{kind}.v1"
    return {"specversion": "1.0", "id": identity, "source": SOURCE, "type": kind, "time": moment, "data": claim | data}


def fold(events: Sequence[Event]) -> object:
    """All that scoring says of each vendor in the end."""
    runner = LocalRunner(load_methodology(), AT)
    runner.apply_together(events)
    return {vendor: substance(found) for vendor, found in runner.standing_assessments().items()}


class Load:
    """Sends until everything was answered 202; may be read from other threads meanwhile."""

    def __init__(self, url: str, ended: threading.Event) -> None:
        self.answered: set[Name] = set()
        self.retries = self.duplicates = 0
        self._url, self._ended = url, ended
        self._lock = threading.Lock()

    def posts(self, bodies: Iterable[Any], headers: dict[str, str]) -> None:
        """One request after another over one connection, each until it is answered 202."""
        with httpx.Client(base_url=self._url, timeout=30, trust_env=False) as client:
            for body in bodies:
                until_s = time.monotonic() + PATIENCE_S
                while (response := _post(client, body, headers)) is None:
                    if self._ended.is_set() or time.monotonic() > until_s:
                        raise RuntimeError("not accepted within the patience")
                    self._retried(0.1)
                for item in response.get("accepted", [response]):
                    self._take(item["source"], item["id"], duplicate=item["duplicate"])

    def lines(self, found: Sequence[dict[str, Any]]) -> None:
        """Through the client, with its own retries."""
        with Client(self._url, patience=timedelta(seconds=PATIENCE_S), sleep=self._retried) as client:
            for start in range(0, len(found), LINES):
                for result in client.publish_all(found[start : start + LINES]):
                    if not isinstance(result, Accepted):
                        raise TypeError(f"rejected: {result}")
                    self._take(result.source, result.id, duplicate=result.duplicate)

    def _retried(self, pause_s: float) -> None:
        with self._lock:
            self.retries += 1
        self._ended.wait(pause_s)

    def _take(self, source: str, identity: str, *, duplicate: bool) -> None:
        with self._lock:
            self.answered.add((source, identity))
            self.duplicates += duplicate


def _post(client: httpx.Client, body: Any, headers: dict[str, str]) -> dict[str, Any] | None:
    """The answer; None if it is to be sent again. Raises RuntimeError on a refusal."""
    try:
        response = client.post("/events", json=body, headers=headers)
    except httpx.TransportError:
        return None
    if response.status_code == httpx.codes.SERVICE_UNAVAILABLE:
        return None
    if response.status_code != httpx.codes.ACCEPTED:
        raise RuntimeError(f"{response.status_code}: {response.text[:300]}")
    document: dict[str, Any] = response.json()
    return document


def run_trial(plan: Plan, folder: Path) -> Outcome:
    """From a fresh broker to the verdict."""
    folder.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    found = documents(plan.events)
    sent = {(SOURCE, document["id"]): event_from_document(dict(document)) for document in found}
    draw = random.Random(plan.seed)
    moments = sorted(draw.uniform(0.05, 0.8) * plan.events for _ in range(plan.mishaps * (2 if plan.kind == "both" else 1)))
    targets = [("ingest", "broker")[place % 2] if plan.kind == "both" else plan.kind for place in range(len(moments))]
    with EmbeddedKafka(data_dir=folder / "kafka", port=0) as broker, contextlib.ExitStack() as stack:
        ensure_topics(broker.bootstrap_servers, TOPICS)
        settings = {"INGEST_PORT": str(pick_free_port()), "INGEST_PRODUCER": plan.producer}

        def start() -> contextlib.ExitStack:
            life = contextlib.ExitStack()
            life.enter_context(running_ingest(broker.bootstrap_servers, folder / "ingest.log", **settings))
            stack.push(life)
            return life

        life, ended = start(), threading.Event()
        url = f"http://127.0.0.1:{settings['INGEST_PORT']}"
        with httpx.Client(base_url=url, trust_env=False) as probe:
            wait_for(lambda: answers(probe, "/health/ready"), 30)
        load, before = Load(url, ended), 0
        singles, many, lines = found[0::3], found[1::3], found[2::3]
        with ThreadPoolExecutor(CONNECTIONS + 2) as pool:
            stack.callback(ended.set)
            batches = [many[start : start + BATCH] for start in range(0, len(many), BATCH)]
            work = [pool.submit(load.posts, singles[number::CONNECTIONS], STRUCTURED) for number in range(CONNECTIONS)]
            work += [pool.submit(load.posts, batches, BATCHES), pool.submit(load.lines, lines)]
            for number, (moment, target) in enumerate(zip(moments, targets, strict=True)):
                _await(lambda moment=moment: len(load.answered) >= moment, work)  # type: ignore[misc]
                before = before if number else len(load.answered)
                if target == "ingest":
                    life.close()  # SIGKILL
                    life = start()
                else:
                    broker.kill()
                    broker.start()
            for each in work:
                each.result()
        log = EventLog(KafkaReader(broker.bootstrap_servers, (OWNERSHIP.name, CONTRACTS.name), client_id="ingest-trials"))
        events = [event for event, _ in log.read_new()]
        log.close()
        verdict = judge(sent, load.answered, events, sum(log.rejected.values()), fold)
    after = len(load.answered) - before
    return Outcome(plan, verdict, before, after, load.retries, load.duplicates, time.monotonic() - began_s)


def _await(reached: Callable[[], bool], work: Sequence[Future[None]]) -> None:
    while not reached():
        for each in work:
            if each.done():
                each.result()
        time.sleep(0.002)
