"""The HTTP conventions that ingest and alerts share, where ingest's own routes do not reach."""

import asyncio
from typing import Annotated

import httpx
from fastapi import FastAPI, Query
from prometheus_client import CollectorRegistry, Histogram
from pydantic import BaseModel

from neutrality.http import add_health, add_metrics, add_problem_handlers, json_pointer
from neutrality.telemetry.metrics import exemplar


class Wanted(BaseModel):
    """A body."""

    rate: float


def test_fastapis_validation_is_a_problem_with_pointers() -> None:
    app = FastAPI()
    add_problem_handlers(app)

    @app.post("/rates")
    async def rates(wanted: list[Wanted], limit: Annotated[int, Query(ge=1)] = 1) -> None: ...

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.post("/rates?limit=0", json=[{"rate": 1}, {"rate": "x"}])

    response = asyncio.run(ask())
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"
    assert [error["pointer"] for error in response.json()["errors"]] == ["/query/limit", "/1/rate"]


def test_a_service_has_started_once_it_has_been_ready_though_it_is_not_ready_any_more() -> None:
    app, states = FastAPI(), iter([False, True, False])
    add_problem_handlers(app)

    async def is_ready() -> bool:
        return next(states)

    add_health(app, is_ready)

    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            paths = ["/health/started", "/health/started", "/health/ready", "/health/started"]
            return [(await client.get(path)).status_code for path in paths]

    assert asyncio.run(ask()) == [503, 200, 503, 200]


def test_a_pointers_steps_are_escaped() -> None:
    assert json_pointer(["a/b", 0, "m~n"]) == "/a~1b/0/m~0n"


def test_metrics_show_traces_to_who_asks_for_openmetrics() -> None:
    app, registry = FastAPI(), CollectorRegistry()
    Histogram("lag_seconds", "A lag.", registry=registry).observe(0.2, exemplar("4bf9"))
    add_metrics(app, registry)

    async def ask(accept: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.get("/metrics", headers={"accept": accept})

    plain, open_metrics = asyncio.run(ask("*/*")), asyncio.run(ask("application/openmetrics-text; version=1.0.0"))
    assert "4bf9" not in plain.text
    assert plain.headers["content-type"].startswith("text/plain")
    assert '# {trace_id="4bf9"}' in open_metrics.text
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text")
