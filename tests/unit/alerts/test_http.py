"""The API, over a real server on a real port: subscriptions, alerts and their stream."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import uvicorn
from httpx_sse import ServerSentEvent, aconnect_sse

from services.alerts.channels.senders import Senders
from services.alerts.domain.subscription import Subscription
from services.alerts.endpoints.http import EndpointsApi
from services.alerts.http import build_app
from services.alerts.settings import AlertsSettings
from tests.support.alerts import AlertsParts, alerts
from tests.support.assessments import assessment, score

DESK = Subscription(lab="google", name="desk")


@asynccontextmanager
async def served(
    url: str, keys: Path | None = None, senders: Senders | None = None
) -> AsyncIterator[tuple[AlertsParts, httpx.AsyncClient]]:
    async def ready() -> bool:
        return True

    async with alerts(url, senders=senders) as parts:
        app = build_app(
            AlertsSettings(heartbeat_s=1),
            parts.database,
            parts.intake,
            parts.commits,
            parts.metrics,
            parts.registry,
            endpoints=EndpointsApi(parts.endpoints),
            lab_data=parts.lab_data,
            gate=parts.gate(keys),
            clock=parts.now,
            is_ready=ready,
        )
        with socket.create_server(("127.0.0.1", 0)) as listener:
            server = uvicorn.Server(uvicorn.Config(app, access_log=False, log_config=None, timeout_graceful_shutdown=5))
            running = asyncio.create_task(server.serve(sockets=[listener]))
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=10) as client:
                try:
                    yield parts, client
                finally:
                    parts.commits.close()
                    server.should_exit = True
                    await running


async def listen(
    client: httpx.AsyncClient, lab: str, count: int, *, last: str | None = None, query: str = ""
) -> list[ServerSentEvent]:
    headers = {} if last is None else {"Last-Event-ID": last}
    found: list[ServerSentEvent] = []
    async with aconnect_sse(client, "GET", f"/labs/{lab}/alerts/stream{query}", headers=headers) as source:
        async for item in source.aiter_sse():
            found.append(item)
            if len(found) == count:
                break
    return found


def test_subscriptions_are_made_changed_listed_and_ended(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (_, client):
            path = "/labs/google/subscriptions/desk"
            assert [(await client.put(path, json={"vendors": ["scale-ai"]})).status_code for _ in range(2)] == [201, 200]
            changed = await client.put(path, json={"drop_points": 2.5})
            assert (changed.status_code, changed.json()["vendors"]) == (200, None)
            assert changed.json()["conditions"][0] == {"rule": "score_drop", "points": 2.5, "view": "confirmed"}
            assert (await client.get("/labs/google/subscriptions")).json() == {"subscriptions": [changed.json()]}
            assert (await client.get("/labs/openai/subscriptions")).json() == {"subscriptions": []}
            assert [(await client.delete(path)).status_code for _ in range(2)] == [204, 404]
            assert (await client.get(path)).status_code == 404

    asyncio.run(run())


def test_a_wrong_subscription_is_told_by_field(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (_, client):
            refused = await client.put(
                "/labs/google/subscriptions/desk", json={"rules": ["gossip"], "drop_points": 0, "colour": "red"}
            )
            assert refused.status_code == 422
            assert refused.headers["content-type"] == "application/problem+json"
            assert {fault["pointer"] for fault in refused.json()["errors"]} >= {"/rules/0", "/drop_points", "/colour"}
            for path in ("/labs/Not A Lab/subscriptions/desk", "/labs/google/subscriptions/Not%20A%20Name"):
                assert (await client.put(path, json={})).status_code == 422
            assert (await client.put("/labs/google/subscriptions/desk", content=b"{")).status_code == 422
            assert (await client.put("/labs/google/subscriptions/desk", content=b" " * 2_000_000)).status_code == 413

    asyncio.run(run())


def test_the_stream_pushes_new_alerts_and_resumes_behind_the_last_id(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (parts, client):
            await parts.intake.put_subscription(DESK)
            await parts.take_in(assessment(1, score(100.0)))
            listening = asyncio.create_task(listen(client, "google", 2))
            while parts.registry.get_sample_value("alerts_stream_subscribers") != 1.0:
                await asyncio.sleep(0.01)
            raised = await parts.take_in(assessment(2, score(60.0, grade="N3")))
            async with asyncio.timeout(5):
                heard = await listening
            assert [item.id for item in heard] == [alert.id for alert in raised]
            assert {item.event for item in heard} == {"alert"}
            more = await parts.take_in(assessment(3, score(30.0, grade="N4")))
            resumed = await listen(client, "google", 3, last=raised[0].id)
            assert [item.id for item in resumed] == [raised[1].id, *[alert.id for alert in more]]
            replayed = await listen(client, "google", 4, query="?from=beginning")
            assert [item.id for item in replayed] == [alert.id for alert in (*raised, *more)]

    asyncio.run(run())


def test_another_labs_alert_id_is_unknown_to_a_lab(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (parts, client):
            await parts.intake.put_subscription(DESK)
            raised = await parts.take_in(assessment(1, score(100.0)), assessment(2, score(60.0, grade="N3")))
            assert (await client.get("/labs/openai/alerts")).json() == {"alerts": []}
            assert (await client.get("/labs/openai/alerts", params={"after": raised[0].id})).status_code == 404
            found = (await client.get("/labs/google/alerts", params={"after": raised[0].id})).json()["alerts"]
            assert [alert["id"] for alert in found] == [raised[1].id]
            assert (await client.get("/labs/openai/alerts/stream", headers={"Last-Event-ID": raised[0].id})).status_code == 404

    asyncio.run(run())


def test_vendors_are_told_as_a_lab_sees_them(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (parts, client):
            await parts.take_in(assessment(1, score(35.6, grade="N4"), meta=score(91.4)))
            assert (await client.get("/vendors", params={"for": "meta"})).json()["vendors"][0]["score"]["confirmed"] == 91.4
            assert (await client.get("/vendors/scale-ai")).json()["score"]["confirmed"] == 35.6
            assert (await client.get("/vendors/unknown")).status_code == 404
            assert "google" not in (await client.get("/metrics")).text

    asyncio.run(run())


def test_a_method_that_is_not_there_is_answered_with_those_that_are(sqlite_url: str) -> None:
    async def run() -> httpx.Response:
        async with served(sqlite_url) as (_, client):
            return await client.options("/labs/google/subscriptions/desk")

    answer = asyncio.run(run())
    assert (answer.status_code, answer.headers["allow"]) == (405, "DELETE, GET, PUT")
