"""Ingest in the test's process over a broker in memory, or as a process of its own."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from prometheus_client import CollectorRegistry

from neutrality.broker.embedded.ports import pick_free_port
from neutrality.broker.memory import MemoryBroker
from neutrality.identity.directory import StoreInMemory
from neutrality.model.methodology import load_methodology
from services.ingest.entrypoints.http import build_app
from services.ingest.gate import Gate
from services.ingest.handlers import Intake
from services.ingest.identities import Identities
from services.ingest.metrics import IngestMetrics
from services.ingest.received import OwnWrites, ReceivedInMemory
from services.ingest.remembered import Answers
from services.ingest.settings import IngestSettings

NOW = datetime(2026, 11, 23, 12, 0, 0, 123000, tzinfo=UTC)
DEADLINE_S = 2.0
STRUCTURED = {"content-type": "application/cloudevents+json"}


def new_identities() -> Identities:
    """Nothing is known yet."""
    return Identities(StoreInMemory(), load_methodology())


class Ingest:
    """An ingest in this process, with a client."""

    def __init__(self) -> None:
        self.broker = MemoryBroker()
        self.registry = CollectorRegistry()
        self.received = ReceivedInMemory()
        self.identities = new_identities()
        self.prepared = True
        self.gate: Gate | None = None
        self.answers = Answers(time.monotonic)
        self.max_unread_bytes = 1024 * 1024
        self.clock: Callable[[], datetime] = lambda: NOW

    def ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        return asyncio.run(self._ask(method, path, **how))

    def post(self, content: Any, headers: dict[str, str] | list[tuple[str, str]] = STRUCTURED) -> httpx.Response:
        body = content if isinstance(content, bytes) or hasattr(content, "__aiter__") else json.dumps(content).encode()
        return self.ask("POST", "/events", content=body, headers=headers)

    def count(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)

    def records(self) -> int:
        return len(self.broker.records("neutrality.ownership")) + len(self.broker.records("neutrality.contracts"))

    async def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        self.registry = CollectorRegistry()
        metrics = IngestMetrics(self.registry)
        intake = Intake(
            self.broker.publisher(),
            self.received,
            OwnWrites(),
            self.identities,
            metrics,
            clock=self.clock,
            stopwatch_s=lambda: 0.0,
        )
        settings = IngestSettings.model_construct(body_deadline_s=0.2, stream_idle_s=0.3, max_unread_bytes=self.max_unread_bytes)
        app = build_app(
            settings, intake, metrics, self.registry, topics_are_ready=lambda: self.prepared, gate=self.gate, answers=self.answers
        )
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://ingest") as client:
            return await client.request(method, path, **how)


def problem(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:neutrality-watch:problem:{kind}"
    assert document["status"] == status
    assert document["title"]
    return document


@contextmanager
def running_ingest(servers: str, log: Path, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    port = int(settings.get("INGEST_PORT", "0")) or pick_free_port()
    env = (
        os.environ
        | {"INGEST_PORT": str(port), "INGEST_BOOTSTRAP_SERVERS": servers, "INGEST_DEADLINE_S": str(DEADLINE_S)}
        | {"INGEST_DATA_DIR": str(log.parent / "ingest-data")}
        | settings
    )
    with log.open("ab") as sink, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20, trust_env=False) as client:
        process = subprocess.Popen([sys.executable, "-m", "services.ingest"], env=env, stderr=sink)
        try:
            wait_for(lambda: answers(client, "/health/live"), 20)
            yield process, client
        finally:
            process.kill()
            process.wait()


def answers(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], bool], limit_s: float) -> None:
    until = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


@contextmanager
def served_ingest(broker: MemoryBroker) -> Iterator[str]:
    """Ingest in a thread of this process, over a broker in memory, behind a real socket; yields its URL."""
    port = pick_free_port()
    started = threading.Event()

    async def serve() -> None:
        registry = CollectorRegistry()
        metrics = IngestMetrics(registry)
        intake = Intake(
            broker.publisher(),
            ReceivedInMemory(),
            OwnWrites(),
            new_identities(),
            metrics,
            clock=lambda: NOW,
            stopwatch_s=lambda: 0.0,
        )
        app = build_app(IngestSettings.model_construct(), intake, metrics, registry, topics_are_ready=lambda: True)
        server.config.app = app
        started.set()
        await server.serve()

    server = uvicorn.Server(uvicorn.Config(app="", port=port, log_config=None, lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    started.wait()
    wait_for(lambda: server.started, 10)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
