"""The history of scores: each version that changed one, when and by which claims; asked by lab and time."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from neutrality.events.assessment import Assessment
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from tests.support.assessments import STAKE, assessment, score
from tests.support.events import AT, lab, stake, vendor
from tests.unit.alerts.test_http import served

START = datetime(2025, 6, 1, tzinfo=UTC)


def at(day: int, found: Assessment) -> Assessment:
    assert found.cause is not None
    accepted_ms = int((START + timedelta(days=day)).timestamp() * 1000)
    return replace(found, cause=replace(found.cause, accepted_ms=accepted_ms))


FIRST = at(0, assessment(1, score(95.0)))
FALL = at(10, assessment(2, score(60.0, grade="N3"), losses={STAKE: 0.5}, meta=score(95.0)))
ELSEWHERE = at(12, assessment(3, score(60.0, grade="N3"), losses={STAKE: 0.5}, meta=score(90.0)))
BACK = at(20, assessment(4, score(95.0)))


async def history(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get("/vendors/scale-ai/history", params=query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def day(number: int) -> str:
    return (START + timedelta(days=number)).isoformat()


def test_each_step_tells_when_how_far_and_by_which_claim(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (parts, client):
            await parts.take_in(FIRST, FALL, ELSEWHERE)
            await parts.take_in(BACK)
            found = await history(client, **{"for": "google"})
            assert found["next"] is None
            assert [(step["version"], step["at"][:10], step["score"]["confirmed"]) for step in found["steps"]] == [
                (1, "2025-06-01", 95.0),
                (2, "2025-06-11", 60.0),
                (4, "2025-06-21", 95.0),
            ]
            [reason] = found["steps"][1]["reasons"]["confirmed"]
            assert (reason["claim_id"], reason["lab"], reason["points"]) == (STAKE, "meta", 40.0)
            assert reason["effective_time"] == "2025-06-12T00:00:00Z"
            [gone] = found["steps"][2]["reasons"]["confirmed"]
            assert (gone["claim_id"], gone["points"], gone["status"], gone["effective_time"]) == (STAKE, -40.0, "withdrawn", None)
            assert found["steps"][1]["cause"]["event_id"] == "event-2"
            # towards Meta, whose own stake costs it nothing, it moved at other times
            assert [step["version"] for step in (await history(client, **{"for": "meta"}))["steps"]] == [1, 3, 4]
            assert [step["version"] for step in (await history(client))["steps"]] == [1, 2, 4]

    asyncio.run(run())


def test_a_span_begins_with_the_step_that_held_then_and_pages_lead_to_the_end(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (parts, client):
            swings = [at(number, assessment(number + 1, score(90.0 - number % 2))) for number in range(30)]
            await parts.take_in(*swings)
            span = await history(client, since=day(10), until=day(15), limit=100)
            assert [step["version"] for step in span["steps"]] == [11, 12, 13, 14, 15, 16]
            between = await history(client, since=(START + timedelta(days=10, hours=5)).isoformat(), until=day(12))
            assert [step["version"] for step in between["steps"]] == [11, 12, 13]
            seen: list[int] = []
            page: dict[str, Any] = {"next": None}
            while not seen or page["next"] is not None:
                page = await history(client, limit=7, **({} if page["next"] is None else {"after": page["next"]}))
                seen += [step["version"] for step in page["steps"]]
            assert seen == list(range(1, 31))

    asyncio.run(run())


def test_vendors_are_told_as_they_stood(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (parts, client):
            await parts.take_in(FIRST, FALL, at(15, assessment(1, score(70.0), vendor="turing")))
            now = {one["vendor"]: one["score"]["confirmed"] for one in (await client.get("/vendors")).json()["vendors"]}
            assert now == {"scale-ai": 60.0, "turing": 70.0}

            async def stood(number: int, towards: str | None = None) -> dict[str, float]:
                query = {"as_of": day(number)} | ({} if towards is None else {"for": towards})
                found = (await client.get("/vendors", params=query)).json()["vendors"]
                return {one["vendor"]: one["score"]["confirmed"] for one in found}

            assert await stood(-1) == {}
            assert await stood(9) == {"scale-ai": 95.0}
            assert await stood(10, "google") == {"scale-ai": 60.0}
            assert await stood(10, "meta") == {"scale-ai": 95.0}
            assert await stood(16) == now
            assert (await client.get("/vendors", params={"as_of": "yesterday"})).status_code == 422

    asyncio.run(run())


def test_an_explanation_adds_up_and_says_what_is_not_known(sqlite_url: str) -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([lab("meta"), vendor("scale-ai"), stake("meta", "scale-ai", 0.49)])

    async def run() -> None:
        async with served(sqlite_url) as (parts, client):
            await parts.take_in(runner.assessments["scale-ai"])
            told = (await client.get("/vendors/scale-ai/explanation", params={"for": "google"})).json()
            assert abs(sum(part["points"] for part in told["parts"]) - told["points_lost"]) < 1e-9
            assert told["points_lost"] == 100.0 - told["score"]["confirmed"] > 0.0
            assert told["parts"][0]["claim"]["evidence"]
            assert any(what.startswith("governance") for what in told["unknown"])
            assert (await client.get("/vendors/nobody/explanation")).status_code == 404
            assert (await client.get("/vendors/nobody/history")).status_code == 404

    asyncio.run(run())


def test_what_is_decided_on_once_is_in_the_history_once(postgres_url: str) -> None:
    async def run() -> None:
        async with served(postgres_url) as (parts, client):
            await parts.take_in(FIRST, FALL)
            await parts.take_in(FALL, FIRST)
            assert len((await history(client))["steps"]) == 2

    asyncio.run(run())
