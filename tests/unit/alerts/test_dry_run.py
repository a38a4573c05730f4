"""A dry run over the history tells what the same terms would have sent, and keeps nothing."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from neutrality.events.assessment import Assessment, Cause, Part, Term
from services.alerts.decisions import dry_run as run
from services.alerts.domain.subscription import Subscription, TermsDocument
from services.alerts.outbox import alerts_behind
from tests.support.alerts import NOW
from tests.support.assessments import STAKE, assessment, score
from tests.unit.alerts.test_http import served

LAB = "google"
DAYS = timedelta(days=1)


def at(found: Assessment, days_ago: float) -> Assessment:
    accepted = NOW - days_ago * DAYS
    return replace(
        found, cause=Cause("urn:test", f"e{found.version}", "neutrality.ownership", 0, 0, int(accepted.timestamp() * 1000))
    )


def held(found: Assessment, influence: float) -> Assessment:
    return replace(found, confirmed=(Term("meta", "ownership", influence, 0.5, (Part(STAKE, 1.0, "meta"),)),))


COURSE = [
    at(assessment(1, score(100.0)), 100),
    at(assessment(2, score(97.0)), 60),
    at(held(assessment(3, score(60.8, grade="N3", watch="down"), losses={STAKE: 0.5}), 0.49), 50),
    at(held(assessment(4, score(38.9, grade="N4"), losses={STAKE: 0.9}), 0.49), 49.99),
    at(assessment(5, score(100.0)), 40),
    at(replace(assessment(6, score(100.0, grade="NR")), coverage={"ownership": False}), 30),
]


async def tried(client: httpx.AsyncClient, days: int = 90, **terms: Any) -> dict[str, Any]:
    answer = await client.post(f"/labs/{LAB}/subscriptions/dry-run", params={"days": days}, json=terms)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


EVERYTHING = {
    "conditions": [
        *({"rule": rule} for rule in ("score_drop", "score_rise", "grade", "outlook", "watch", "coverage", "correction")),
        {"rule": "level", "at": 50.0},
        {"rule": "influence", "channel": "ownership", "above": 0.25},
    ]
}


def test_it_tells_what_the_same_terms_have_sent(database_url: str) -> None:
    async def play() -> None:
        async with served(database_url) as (parts, client):
            terms = TermsDocument.model_validate_json(httpx.Request("POST", "http://x", json=EVERYTHING).content).terms()
            await parts.intake.put_subscription(Subscription.of(LAB, "desk", terms))
            for one in COURSE:
                parts.clock = NOW - timedelta(days=one.version)
                await parts.take_in(one)
            parts.clock = NOW
            sent = [stored.alert for stored in await parts.database.read(alerts_behind, LAB, 0, 100)]
            found = await tried(client, days=365, **EVERYTHING)
            told = [one["alert"] for one in found["alerts"] if one["outcome"] == "sent"]
            assert [(one["rule"], one["version"], one["title"], one["severity"]) for one in told] == [
                (one.rule, one.version, one.title, one.severity) for one in sent
            ]
            assert [[reason["claim_id"] for reason in one["reasons"]] for one in told] == [
                [reason.claim_id for reason in one.reasons] for one in sent
            ]
            assert {"influence", "level", "correction", "coverage", "score_drop"} <= {one["rule"] for one in told}
            assert len(await parts.database.read(alerts_behind, LAB, 0, 100)) == len(sent)
            assert (await client.get(f"/labs/{LAB}/subscriptions")).json()["subscriptions"][0]["name"] == "desk"

    asyncio.run(play())


def test_it_begins_with_how_vendors_stood_and_lets_cascades_settle(sqlite_url: str) -> None:
    async def play() -> None:
        async with served(sqlite_url) as (parts, client):
            await parts.take_in(*COURSE)
            found = await tried(client, days=55, rules=["grade"])
            assert [one["alert"]["version"] for one in found["alerts"]] == [3, 4, 5, 6]
            assert (found["versions"], found["from"], found["complete"]) == (4, "2025-04-18T12:00:00Z", True)
            settled = await tried(client, days=55, rules=["grade"], settling_s=3600)
            assert settled["alerts"][0]["alert"]["title"].startswith(
                "Scale Ai was regraded from N1 to N4 (97.0 to 38.9) for google"
            )
            daily = await tried(client, days=55, rules=["grade"], schedule={"deliver": "daily"})
            assert daily["counts"] == {"held": 4}
            assert daily["messages"] == 3
            assert daily["alerts"][0]["due"] == "2025-04-24T09:00:00Z"

    asyncio.run(play())


def test_it_looks_at_the_vendors_that_are_watched_alone(sqlite_url: str) -> None:
    async def play() -> None:
        async with served(sqlite_url) as (parts, client):
            await parts.take_in(*COURSE)
            assert (await tried(client, vendors=["turing"]))["versions"] == 0
            assert (await tried(client, portfolio=True))["versions"] == 0
            assert (await client.put(f"/labs/{LAB}/portfolio/scale-ai", json={"data_classes": ["public"]})).status_code == 201
            bought = await tried(client, portfolio=True, rules=["score_drop"])
            assert [one["alert"]["severity"] for one in bought["alerts"]] == ["info", "info"]

    asyncio.run(play())


def test_of_too_many_versions_it_takes_the_newest_and_says_from_when(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MOST_VERSIONS", 2)
    monkeypatch.setattr(run, "_PAGE", 1)

    async def play() -> None:
        async with served(database_url) as (parts, client):
            await parts.take_in(*COURSE)
            found = await tried(client, rules=["grade"])
            assert (found["versions"], found["from"]) == (2, "2025-04-23T12:14:24Z")
            assert [one["alert"]["version"] for one in found["alerts"]] == [5, 6]

    asyncio.run(play())


def test_without_a_history_it_tells_nothing(sqlite_url: str) -> None:
    async def play() -> None:
        async with served(sqlite_url) as (_, client):
            found = await tried(client)
            assert (found["counts"], found["messages"], found["alerts"], found["versions"]) == ({}, 0, [], 0)

    asyncio.run(play())
