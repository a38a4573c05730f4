"""Alerts arrive at webhook endpoints: signed, once by their id, in order per vendor, each endpoint by itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select
from standardwebhooks import WebhookVerificationError

from services.alerts.channels.webhook import CONNECTIONS
from services.alerts.domain.conditions import GradeChange
from services.alerts.domain.endpoint import Endpoint, Secret, WebhookTerms
from services.alerts.domain.subscription import Subscription
from services.alerts.endpoints import store
from services.alerts.endpoints.sealing import Sealer, SecretKeysUnusable, new_secret
from services.alerts.tables import ENDPOINTS
from tests.support.alerts import AlertsParts
from tests.support.assessments import assessment, score
from tests.support.receiver import OK, Received, garbage, ids, message, receiver, silent, status
from tests.unit.alerts.test_http import served

LAB = "google"


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[tuple[AlertsParts, httpx.AsyncClient]]:
    async with served(url) as (parts, client):
        await parts.intake.put_subscription(Subscription(lab=LAB, name="desk", conditions=(GradeChange(),)))
        async with parts.working():
            yield parts, client


async def put(client: httpx.AsyncClient, name: str, url: str, lab: str = LAB, **terms: Any) -> str:
    """Make an endpoint; its secret."""
    answer = await client.put(f"/labs/{lab}/endpoints/{name}", json={"url": url, **terms})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["secret"])


async def raise_alert(parts: AlertsParts, vendor: str = "v", version: int = 1) -> str:
    """One alert's id; odd versions regrade to N5, even ones to N1."""
    graded = score(20.0, grade="N5") if version % 2 else score(95.0, grade="N1")
    [raised] = await parts.take_in(assessment(version, graded, vendor=vendor))
    return raised.id


async def log_of(client: httpx.AsyncClient, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get(f"/labs/{LAB}/endpoints/{name}/attempts")).json()["attempts"]
    return found


async def states_of(client: httpx.AsyncClient, name: str) -> dict[str, int]:
    found: dict[str, int] = (await client.get(f"/labs/{LAB}/endpoints/{name}")).json()["deliveries"]
    return found


async def until_settled(client: httpx.AsyncClient, name: str) -> dict[str, int]:
    async with asyncio.timeout(10.0):
        while (states := await states_of(client, name))["pending"]:
            await asyncio.sleep(0.01)
    return states


def test_an_alert_is_posted_signed_under_its_id(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver() as there:
            secret = await put(client, "soc", there.url)
            raised = await raise_alert(parts)
            [one] = await there.until(1)
            assert one.id == raised
            told = one.verified(secret)
            assert (told["type"], told["data"]["id"], told["data"]["vendor"]) == ("watch.neutrality.alert.v1", raised, "v")
            assert told["timestamp"] == told["data"]["raised_at"]
            with pytest.raises(WebhookVerificationError):
                one.verified(new_secret().secret)
            assert await until_settled(client, "soc") == {"pending": 0, "delivered": 1, "failed": 0}
            [entry] = await log_of(client, "soc")
            assert (entry["alert"], entry["status"], entry["delivery"]) == (raised, 204, "delivered")
            assert parts.registry.get_sample_value("alerts_delivered_total", {"channel": "webhook"}) == 1

    asyncio.run(run())


def test_failures_are_tried_again_under_the_same_id_and_logged_until_given_up(database_url: str) -> None:
    async def run() -> None:
        answers = [status("500 X"), garbage, status("302 Found", "Location: /x")]
        async with serving(database_url) as (parts, client), receiver(*answers) as there:
            await put(client, "soc", there.url)
            raised = await raise_alert(parts)
            assert set(ids(await there.until(4))) == {raised}
            await until_settled(client, "soc")
            log = await log_of(client, "soc")
            assert [(one["status"], one["fault"]) for one in reversed(log)] == [
                (500, None),
                (None, "not-http"),
                (302, None),
                (204, None),
            ]
            there.then = status("503 X")
            await raise_alert(parts, version=2)
            await there.until(8)
            assert await until_settled(client, "soc") == {"pending": 0, "delivered": 1, "failed": 1}

    asyncio.run(run())


def test_a_vendors_alerts_keep_their_order_and_do_not_hold_up_anothers(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver() as there:
            broken = {"left": 2}

            async def answer(one: Any, writer: asyncio.StreamWriter) -> None:
                fails = message(one)["data"]["vendor"] == "a" and broken["left"] > 0
                broken["left"] -= fails
                await (status("500 X") if fails else OK)(one, writer)

            there.then = answer
            await put(client, "soc", there.url)
            for version in (1, 2, 3):
                for vendor in ("a", "b"):
                    await raise_alert(parts, vendor, version)
            received = await there.until(8)
            told = [(message(one)["data"]["vendor"], message(one)["data"]["version"]) for one in received]
            assert [version for vendor, version in told if vendor == "a"] == [1, 1, 1, 2, 3]
            assert [version for vendor, version in told if vendor == "b"] == [1, 2, 3]

    asyncio.run(run())


def test_a_silent_endpoint_slows_no_other(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver(then=silent) as dead, receiver() as there:
            await put(client, "dead", dead.url)
            await put(client, "soc", there.url)
            began_s = time.monotonic()
            raised = [await raise_alert(parts, f"v{number}") for number in range(50)]
            assert sorted(ids(await there.until(50, within_s=5.0))) == sorted(raised)
            rounds = 1 + int(time.monotonic() - began_s)  # an answer is waited for a second
            assert len(dead.received) <= CONNECTIONS * rounds

    asyncio.run(run())


def test_gone_disables_and_enabling_sends_what_waited(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver(status("410 Gone")) as there:
            await put(client, "soc", there.url)
            first = await raise_alert(parts)
            async with asyncio.timeout(5.0):
                while (await client.get(f"/labs/{LAB}/endpoints/soc")).json()["disabled"] is None:
                    await asyncio.sleep(0.01)
            while_disabled = await raise_alert(parts, "w")
            assert (await client.get(f"/labs/{LAB}/endpoints/soc")).json()["disabled"] == "it answered 410 Gone"
            assert parts.registry.get_sample_value("alerts_endpoints_disabled_total", {"kind": "webhook"}) == 1
            assert (await client.post(f"/labs/{LAB}/endpoints/soc/enabled")).json()["disabled"] is None
            assert ids(await there.until(2)) == [first, first]
            again = await client.post(f"/labs/{LAB}/endpoints/soc/replay", json={"first": while_disabled})
            assert (again.status_code, again.json()) == (202, {"alerts": 1})
            assert ids(await there.until(3))[-1] == while_disabled

    asyncio.run(run())


def test_an_endpoint_that_failed_for_days_is_disabled(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver(then=status("500 X")) as there:
            since_ms = int((datetime.now(UTC) - timedelta(days=6)).timestamp() * 1000)
            failing = Endpoint(LAB, "soc", WebhookTerms(url=there.url), (new_secret(),), failing_since_ms=since_ms)
            async with parts.intake.changing() as connection:
                await store.put(connection, failing, parts.sealer)
            await raise_alert(parts)
            async with asyncio.timeout(5.0):
                while (found := (await client.get(f"/labs/{LAB}/endpoints/soc")).json())["disabled"] is None:
                    await asyncio.sleep(0.01)
            assert found["disabled"] == "nothing succeeded for 5 days; last: 5xx"

    asyncio.run(run())


def test_retry_after_holds_the_whole_endpoint(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver(status("429 X", "Retry-After: 1")) as there:
            await put(client, "soc", there.url)
            await raise_alert(parts, "a")
            await there.until(1)
            async with asyncio.timeout(5.0):
                while not await log_of(client, "soc"):
                    await asyncio.sleep(0.01)
            await raise_alert(parts, "b")
            first, *later = await there.until(3)
            assert min(one.at_s for one in later) >= first.at_s + 0.99

    asyncio.run(run())


def test_what_was_not_sent_when_the_service_stopped_is_sent_by_the_next(database_url: str) -> None:
    async def run() -> None:
        async with receiver(status("500 X"), status("500 X")) as there:
            sealer, raised = None, []
            async with served(database_url) as (parts, client):
                await parts.intake.put_subscription(Subscription(lab=LAB, name="desk", conditions=(GradeChange(),)))
                sealer = parts.sealer
                await put(client, "soc", there.url)
                raised += [await raise_alert(parts, vendor) for vendor in ("a", "b", "c")]
            async with served(database_url) as (parts, _):
                parts.worker._sealer = sealer
                async with parts.working():
                    received = await there.until(5)
                    assert sorted(set(ids(received))) == sorted(raised)

    asyncio.run(run())


def test_a_rotated_secret_signs_beside_the_new_one_for_a_day(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver() as there:
            old = await put(client, "soc", there.url)
            new = (await client.post(f"/labs/{LAB}/endpoints/soc/secret")).json()["secret"]
            await raise_alert(parts)
            [one] = await there.until(1)
            assert one.verified(old) == one.verified(new)
            shown = (await client.get(f"/labs/{LAB}/endpoints/soc")).text + (await client.get(f"/labs/{LAB}/endpoints")).text
            assert "whsec" not in shown
            async with parts.database.reading() as connection:
                [stored] = (await connection.execute(select(ENDPOINTS.c.secrets))).scalars()
            assert len(parts.sealer.unseal(stored)) == 2
            for secret in (old, new):
                assert secret.encode() not in stored
                assert secret.removeprefix("whsec_").encode() not in stored

    asyncio.run(run())


def test_old_secrets_end() -> None:
    now = datetime.now(UTC)
    old, new = Secret("whsec_b2xk", now), Secret("whsec_bmV3")
    found = Endpoint(LAB, "soc", WebhookTerms(url="https://example.com/"), (new, old))
    assert found.active_secrets(now - timedelta(seconds=1)) == (new.secret, old.secret)
    assert found.active_secrets(now) == (new.secret,)


def test_alerts_go_to_the_endpoints_of_their_lab_and_subscription_alone(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver() as mine, receiver() as other, receiver() as quiet:
            await put(client, "soc", mine.url)
            await put(client, "quiet", quiet.url, subscriptions=["another"])
            await put(client, "soc", other.url, lab="openai")
            await raise_alert(parts)
            await mine.until(1)
            await asyncio.sleep(0.2)
            assert (len(other.received), len(quiet.received)) == (0, 0)
            assert (await client.get("/labs/openai/endpoints")).json()["endpoints"][0]["url"] == other.url

    asyncio.run(run())


def test_a_test_message_is_sent_once_and_told(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (_, client), receiver(OK, status("500 X")) as there:
            secret = await put(client, "soc", there.url)
            told = (await client.post(f"/labs/{LAB}/endpoints/soc/test")).json()
            assert (told["succeeded"], told["status"]) == (True, 204)
            assert there.received[0].verified(secret)["type"] == "watch.neutrality.test.v1"
            told = (await client.post(f"/labs/{LAB}/endpoints/soc/test")).json()
            assert (told["succeeded"], told["status"]) == (False, 500)
            await asyncio.sleep(0.2)
            assert len(there.received) == 2
            assert [one["delivery"] for one in await log_of(client, "soc")] == ["test", "test"]

    asyncio.run(run())


def test_what_is_asked_for_again_while_it_is_sent_is_sent_again(database_url: str) -> None:
    async def run() -> None:
        replayed = asyncio.Event()

        async def late(one: Received, writer: asyncio.StreamWriter) -> None:
            await replayed.wait()
            await OK(one, writer)

        async with serving(database_url) as (parts, client), receiver(late) as there:
            await put(client, "soc", there.url)
            raised = await raise_alert(parts)
            await there.until(1)
            await client.post(f"/labs/{LAB}/endpoints/soc/replay", json={"first": raised})
            replayed.set()
            assert ids(await there.until(2)) == [raised, raised]
            assert await until_settled(client, "soc") == {"pending": 0, "delivered": 1, "failed": 0}

    asyncio.run(run())


def test_a_range_is_replayed_in_order(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver() as there:
            raised = [await raise_alert(parts, "v", version) for version in (1, 2, 3, 4)]
            await put(client, "late", there.url)
            wanted = {"first": raised[1], "last": raised[2]}
            assert (await client.post(f"/labs/{LAB}/endpoints/late/replay", json=wanted)).json() == {"alerts": 2}
            assert ids(await there.until(2)) == raised[1:3]
            missing = await client.post(f"/labs/{LAB}/endpoints/late/replay", json={"first": "al_0"})
            assert missing.status_code == 404

    asyncio.run(run())


def test_a_removed_endpoint_is_sent_nothing_more(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver(then=status("500 X")) as there:
            await put(client, "soc", there.url)
            await raise_alert(parts)
            await there.until(1)
            assert (await client.delete(f"/labs/{LAB}/endpoints/soc")).status_code == 204
            before = len(there.received)
            await raise_alert(parts, "w")
            await asyncio.sleep(0.3)
            assert len(there.received) == before
            for path in ("", "/attempts", "/test", "/secret", "/enabled"):
                ask = client.get if path in ("", "/attempts") else client.post
                assert (await ask(f"/labs/{LAB}/endpoints/soc{path}")).status_code == 404
            assert (await client.delete(f"/labs/{LAB}/endpoints/soc")).status_code == 404

    asyncio.run(run())


@pytest.mark.parametrize(
    ("terms", "pointer", "told"),
    [
        ({"url": "https://10.0.0.1/x"}, "/url", "10.0.0.1 is a private"),
        ({"url": "https://0x0a000001/x"}, "/url", "10.0.0.1 is a private"),
        ({"url": "https://[fd00::1]/"}, "/url", "no global unicast"),
        ({"url": "https://u:p@example.com/"}, "/url", "without user"),
        ({"url": "no"}, "/url", "URL"),
        ({}, "/url", "required"),
        ({"url": "https://example.com/", "subscriptions": ["A B"]}, "/subscriptions/0", "pattern"),
        ({"url": "https://example.com/", "secret": "x"}, "/secret", "not permitted"),
    ],
)
def test_a_wrong_endpoint_is_refused_with_its_field(database_url: str, terms: dict[str, Any], pointer: str, told: str) -> None:
    async def run() -> httpx.Response:
        async with served(database_url) as (_, client):
            return await client.put(f"/labs/{LAB}/endpoints/soc", json=terms)

    answer = asyncio.run(run())
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert told in error["detail"]


def test_a_lab_has_fifty_endpoints_at_most(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.alerts.endpoints.making.MAX_ENDPOINTS", 2)

    async def run() -> list[int]:
        async with served(database_url) as (_, client):
            url = {"url": "https://example.com/"}
            return [(await client.put(f"/labs/{LAB}/endpoints/{name}", json=url)).status_code for name in ("a", "b", "c", "b")]

    assert asyncio.run(run()) == [201, 201, 409, 200]


def test_keys_are_made_once_for_their_owner_rotated_and_a_wrong_one_is_told(tmp_path: Path) -> None:
    path = tmp_path / "alerts.key"
    sealed = Sealer.of(path).seal([new_secret()])
    assert path.stat().st_mode & 0o077 == 0
    assert Sealer.of(path).unseal(sealed)
    path.write_text(f"{Fernet.generate_key().decode()}\n{path.read_text()}")
    assert Sealer.of(path).unseal(sealed)
    path.write_text(Fernet.generate_key().decode())
    with pytest.raises(SecretKeysUnusable, match="ALERTS_SECRETS_KEY_FILE"):
        Sealer.of(path).unseal(sealed)
    path.write_text("short")
    with pytest.raises(SecretKeysUnusable, match="Fernet"):
        Sealer.of(path)
