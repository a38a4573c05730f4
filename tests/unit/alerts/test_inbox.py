"""A lab's portfolio, silences and inbox, over HTTP."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from services.alerts.domain.subscription import Subscription
from tests.support.alerts import NOW
from tests.support.assessments import STAKE, assessment, score
from tests.support.receiver import receiver
from tests.unit.alerts.test_http import served

LAB = "google"
FIRST = assessment(1, score(100.0))
FALL = assessment(2, score(60.8, grade="N3"), losses={STAKE: 0.5})


async def boxed(client: httpx.AsyncClient, box: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/labs/{LAB}/inbox", params={"box": box})).json()["alerts"]
    return found


def pointers(answer: httpx.Response) -> set[str]:
    assert answer.status_code == 422
    return {fault["pointer"] for fault in answer.json()["errors"]}


def test_an_alert_is_open_until_somebody_acknowledges_it_and_the_first_to_do_so_stands(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (parts, client):
            await parts.intake.put_subscription(Subscription(lab=LAB, name="desk", remind_every_s=600))
            await parts.take_in(FIRST)
            drop, grade = await parts.take_in(FALL)
            assert [one["alert"]["id"] for one in await boxed(client, "open")] == [grade.id, drop.id]
            path = f"/labs/{LAB}/alerts/{drop.id}"
            assert (await client.get(path)).json()["state"] == "open"
            said = {"by": "ada", "note": "we are moving"}
            seen = (await client.put(path + "/acknowledgement", json=said)).json()
            assert (seen["state"], seen["acknowledged"]) == (
                "acknowledged",
                {"by": "ada", "at": "2025-06-12T12:00:00Z", "note": "we are moving", "key": None},
            )
            again = await client.put(path + "/acknowledgement", json={"by": "bob"})
            assert (again.status_code, again.json()) == (200, seen)
            assert [one["alert"]["id"] for one in await boxed(client, "open")] == [grade.id]
            assert [one["acknowledged"]["by"] for one in await boxed(client, "acknowledged")] == ["ada"]
            await parts.at(NOW + timedelta(minutes=10))
            [reminder] = (await client.get(f"/labs/{LAB}/alerts", params={"after": grade.id})).json()["alerts"]
            assert reminder["reminds"] == grade.id
            assert (await client.put(f"/labs/{LAB}/alerts/{reminder['id']}/acknowledgement", json=said)).status_code == 200
            assert (await client.get(f"/labs/{LAB}/alerts/{grade.id}")).json()["reminders"] == 1
            assert await boxed(client, "open") == []

    asyncio.run(run())


def test_what_cannot_be_acknowledged_says_why(sqlite_url: str) -> None:
    async def run() -> None:
        async with served(sqlite_url) as (parts, client):
            await parts.intake.put_subscription(Subscription(lab=LAB, name="desk", minimum_severity="critical"))
            await parts.take_in(assessment(1, score(90.0)))
            await parts.take_in(assessment(2, score(80.0, grade="N2")))
            [minor, *_] = await boxed(client, "minor")
            assert (minor["state"], minor["why"]) == ("minor", "warning is less than critical")
            path = f"/labs/{LAB}/alerts/{minor['alert']['id']}"
            refused = await client.put(path + "/acknowledgement", json={"by": "ada"})
            assert (refused.status_code, refused.json()["type"].split(":")[-1]) == (409, "not-sent")
            assert (await client.get(path)).json()["state"] == "minor"
            await parts.intake.put_subscription(Subscription(lab=LAB, name="desk"))
            [risen] = await parts.take_in(assessment(3, score(95.0)))
            needless = await client.put(f"/labs/{LAB}/alerts/{risen.id}/acknowledgement", json={"by": "ada"})
            assert (needless.status_code, needless.json()["type"].split(":")[-1]) == (409, "needs-no-acknowledgement")
            unknown = f"/labs/{LAB}/alerts/al_{'0' * 32}"
            assert (await client.get(unknown)).status_code == 404
            assert (await client.put(unknown + "/acknowledgement", json={"by": "ada"})).status_code == 404
            assert pointers(await client.put(path + "/acknowledgement", json={"by": ""})) == {"/by"}

    asyncio.run(run())


def test_boxes_are_read_in_pages_newest_first(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (parts, client):
            await parts.intake.put_subscription(Subscription(lab=LAB, name="desk"))
            await parts.take_in(FIRST)
            told = await parts.take_in(FALL)
            first = (await client.get(f"/labs/{LAB}/inbox", params={"limit": 1})).json()["alerts"]
            second = (await client.get(f"/labs/{LAB}/inbox", params={"limit": 1, "before": first[0]["number"]})).json()["alerts"]
            assert [one["alert"]["id"] for one in (*first, *second)] == [told[1].id, told[0].id]
            for box in ("held", "silenced", "inhibited", "cancelled", "over"):
                assert await boxed(client, box) == []

    asyncio.run(run())


def test_a_silence_is_made_listed_and_ended_and_lets_go_what_holds(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (parts, client):
            await parts.intake.put_subscription(Subscription(lab=LAB, name="desk"))
            await parts.take_in(FIRST)
            wanted = {
                "matchers": [{"field": "vendor", "values": ["scale-ai"]}],
                "ends": "2025-06-12T14:00:00Z",
                "reason": "known",
                "by": "ada",
            }
            made = await client.post(f"/labs/{LAB}/silences", json=wanted)
            assert made.status_code == 201
            assert [one["state"] for one in (await client.get(f"/labs/{LAB}/silences")).json()["silences"]] == ["active"]
            await parts.take_in(FALL)
            assert [one["why"] for one in await boxed(client, "silenced")] == ["ada: known", "ada: known"]
            path = f"/labs/{LAB}/silences/{made.json()['id']}"
            assert [(await client.delete(path)).status_code for _ in range(2)] == [204, 404]
            await parts.at(NOW)
            assert len(await boxed(client, "open")) == 2
            assert (await client.get(f"/labs/{LAB}/silences")).json() == {"silences": []}
            [ended] = (await client.get(f"/labs/{LAB}/silences", params={"ended": True})).json()["silences"]
            assert ended["state"] == "ended"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"ends": "2025-06-12T11:00:00Z"}, "/ends"),
        ({"ends": "2027-06-12T11:00:00Z"}, "/ends"),
        ({"ends": "tomorrow"}, "/ends"),
        ({"matchers": []}, "/matchers"),
        ({"matchers": [{"field": "mood", "values": ["good"]}]}, "/matchers/0/field"),
        ({"reason": ""}, "/reason"),
        ({"starts": "2025-06-13T00:00:00Z"}, ""),
    ],
)
def test_a_silence_that_cannot_be_is_refused(sqlite_url: str, changes: dict[str, Any], pointer: str) -> None:
    async def run() -> None:
        async with served(sqlite_url) as (_, client):
            wanted = {
                "matchers": [{"field": "vendor", "values": ["scale-ai"]}],
                "ends": "2025-06-12T14:00:00Z",
                "reason": "known",
                "by": "ada",
            }
            assert pointer in pointers(await client.post(f"/labs/{LAB}/silences", json=wanted | changes))

    asyncio.run(run())


def test_the_portfolio_tells_the_labs_exposure(sqlite_url: str) -> None:
    async def run() -> None:
        async with served(sqlite_url) as (_, client):
            path = f"/labs/{LAB}/portfolio"
            spend = {"amount": "150000000", "currency": "USD", "period": "year"}
            assert [(await client.put(f"{path}/scale-ai", json={"spending": spend})).status_code for _ in range(2)] == [201, 200]
            made = await client.put(f"{path}/turing", json={"spending": {**spend, "amount": "450000000"}, "data_classes": []})
            assert (made.json()["spending_share"], made.json()["exposure"]) == (0.75, 1.0)
            found = (await client.get(path)).json()
            assert [(one["vendor"], one["exposure"]) for one in found["purchases"]] == [("scale-ai", 1.0), ("turing", 1.0)]
            assert found["scale"]["levels"] == {"warning": 5.0, "critical": 20.0}
            assert (await client.get("/labs/openai/portfolio")).json()["purchases"] == []
            assert [(await client.delete(f"{path}/turing")).status_code for _ in range(2)] == [204, 404]
            wrong = await client.put(
                f"{path}/x", json={"spending": {"amount": "-1", "currency": "dollars"}, "data_classes": ["A B"]}
            )
            assert pointers(wrong) == {"/spending/amount", "/spending/currency", "/data_classes/0"}

    asyncio.run(run())


def test_terms_that_name_no_endpoint_of_the_lab_are_refused_by_place(sqlite_url: str) -> None:
    async def run() -> None:
        async with served(sqlite_url) as (_, client):
            path = f"/labs/{LAB}/subscriptions/desk"
            terms = {"endpoints": ["nowhere"], "escalation": {"after_s": 60, "endpoints": ["boss"]}}
            assert pointers(await client.put(path, json=terms)) == {"/endpoints/0", "/escalation/endpoints/0"}
            assert "/conditions/0/at" in pointers(await client.put(path, json={"conditions": [{"rule": "level", "at": 200}]}))
            assert "/conditions/0/at" in pointers(await client.put(path, json={"conditions": [{"rule": "level"}]}))
            assert pointers(await client.put(path, json={"schedule": {"time_zone": "Mars"}})) == {"/schedule/time_zone"}

    asyncio.run(run())


def test_others_are_told_if_nobody_acknowledges_in_time(database_url: str) -> None:
    async def run() -> None:
        async with served(database_url) as (parts, client), receiver() as first, receiver() as second, parts.working():
            for name, there in (("desk", first), ("boss", second)):
                made = await client.put(f"/labs/{LAB}/endpoints/{name}", json={"url": there.url})
                assert made.status_code == 201
            escalation = {"after_s": 1800, "endpoints": ["boss"]}
            terms = {"rules": ["grade"], "escalation": escalation}
            assert (await client.put(f"/labs/{LAB}/subscriptions/desk", json=terms)).status_code == 201
            await parts.take_in(FIRST)
            [alert] = await parts.take_in(FALL)
            await first.until(1)
            await parts.at(NOW + timedelta(minutes=29))
            assert second.received == []
            await parts.at(NOW + timedelta(minutes=30))
            await second.until(1)
            assert [one.id for one in (*first.received, *second.received)] == [alert.id, alert.id]
            await parts.take_in(assessment(3, score(30.0, grade="N4"), losses={STAKE: 0.9}))
            await first.until(2)
            [open_] = await boxed(client, "open")
            await client.put(f"/labs/{LAB}/alerts/{open_['alert']['id']}/acknowledgement", json={"by": "ada"})
            await parts.at(NOW + timedelta(hours=5))
            assert len(second.received) == 1

    asyncio.run(run())
