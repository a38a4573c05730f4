"""Alerts arrive at people: by e-mail once its owner has said yes, and through Apprise; a group's alerts are one message."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import pytest

from neutrality.events.alert import Alert
from services.alerts.domain.conditions import GradeChange
from services.alerts.domain.schedule import Schedule
from services.alerts.domain.subscription import Subscription
from services.alerts.endpoints import store
from services.alerts.outbox import add_alerts
from tests.support.alerts import NOW, AlertsParts, senders_to
from tests.support.assessments import alert, assessment, score
from tests.support.mailbox import Mail, Mailbox, mailbox
from tests.support.receiver import receiver, status
from tests.unit.alerts.test_http import listen, served
from tests.unit.alerts.test_webhooks import LAB, log_of, put, raise_alert, until_settled

TO = "soc@lab.example"
PUBLIC_URL = "https://watch.example/alerts"


@asynccontextmanager
async def mailing(url: str, *replies: str) -> AsyncIterator[tuple[AlertsParts, httpx.AsyncClient, Mailbox]]:
    async with mailbox(*replies) as box, served(url, senders=senders_to(box.port, PUBLIC_URL)) as (parts, client):
        await parts.intake.put_subscription(Subscription(lab=LAB, name="desk", conditions=(GradeChange(),)))
        async with parts.working():
            yield parts, client, box


async def make(client: httpx.AsyncClient, name: str, lab: str = LAB, **terms: Any) -> dict[str, Any]:
    answer = await client.put(f"/labs/{lab}/endpoints/{name}", json=terms)
    assert answer.status_code in (200, 201), answer.text
    made: dict[str, Any] = answer.json()
    return made


def code_in(mail: Mail) -> str:
    found = re.search(r"asked you: ([a-z2-7]{32})\b", mail.text)
    assert found is not None, mail.text
    return found[1]


async def confirm(client: httpx.AsyncClient, box: Mailbox, name: str = "soc") -> str:
    """Make an address's endpoint, and say yes; the code."""
    await make(client, name, kind="email", address=TO)
    code = code_in((await box.until(1))[-1])
    assert (await client.post(f"/labs/{LAB}/endpoints/{name}/confirmed", json={"code": code})).json()["disabled"] is None
    box.mails.clear()
    return code


async def raise_group(parts: AlertsParts, *raised: Alert) -> None:
    """Commit alerts as one decision does."""
    async with parts.intake.changing() as connection:
        await add_alerts(connection, raised)
        endpoints = await store.endpoints(connection, parts.sealer, LAB)
        await store.deliver(connection, [(endpoint, one) for one in raised for endpoint in endpoints], 0)


def test_an_address_gets_alerts_once_its_owner_has_said_yes(database_url: str) -> None:
    async def run() -> None:
        async with mailing(database_url) as (parts, client, box):
            made = await make(client, "soc", kind="email", address=TO)
            assert (made["disabled"], made["confirmation"]["status"]) == ("its address is not confirmed yet", 250)
            [question] = await box.until(1)
            code = code_in(question)
            assert (question.recipients, code in json.dumps(made)) == ([TO], False)
            await raise_alert(parts, "before")
            for path in ("enabled", "test"):
                assert (await client.post(f"/labs/{LAB}/endpoints/soc/{path}")).status_code == 409
            wrong = await client.post(f"/labs/{LAB}/endpoints/soc/confirmed", json={"code": "a" * 32})
            assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/code")
            answer = await client.post(f"/labs/{LAB}/endpoints/soc/confirmed", json={"code": code})
            assert (answer.status_code, answer.json()["disabled"]) == (200, None)
            raised = await raise_alert(parts, "after")
            mail = (await box.until(2))[1]
            assert mail.message["Message-ID"] == f"<{raised}@watch.example>"
            assert f"{PUBLIC_URL}/mail/{LAB}/soc/{code}/unsubscribe" in mail.message["List-Unsubscribe"]
            assert await until_settled(client, "soc") == {"pending": 0, "delivered": 1, "failed": 0}
            assert [(one["alert"], one["status"]) for one in await log_of(client, "soc")] == [(raised, 250)]
            assert parts.registry.get_sample_value("alerts_delivered_total", {"channel": "email"}) == 1
            stored = (await client.get(f"/labs/{LAB}/endpoints")).text
            assert code not in stored

    asyncio.run(run())


def test_links_confirm_and_unsubscribe_by_a_button_and_not_by_being_opened(sqlite_url: str) -> None:
    async def run() -> None:
        async with mailing(sqlite_url) as (_, client, box), receiver() as hook:
            await put(client, "hook", hook.url)
            await make(client, "soc", kind="email", address=TO)
            code = code_in((await box.until(1))[0])

            async def disabled() -> Any:
                return (await client.get(f"/labs/{LAB}/endpoints/soc")).json()["disabled"]

            path = f"/mail/{LAB}/soc/{code}"
            assert "<form method='post'>" in (await client.get(f"{path}/confirm")).text
            assert await disabled() is not None
            assert (await client.post(f"{path}/confirm")).status_code == 200
            assert await disabled() is None
            assert (await client.get(f"{path}/unsubscribe")).status_code == 200
            assert await disabled() is None
            one_click = await client.post(f"{path}/unsubscribe", data={"List-Unsubscribe": "One-Click"})
            assert one_click.status_code == 200
            assert await disabled() == "its recipient unsubscribed"
            [notice] = await hook.until(1)
            assert json.loads(notice.body)["data"]["reason"] == "its recipient unsubscribed"
            assert (await client.post(f"{path}/confirm")).status_code == 404
            assert (await client.post(f"/labs/{LAB}/endpoints/soc/enabled")).status_code == 409
            unknown = [await client.post(f"/mail/{lab}/soc/{'a' * 32}/confirm") for lab in (LAB, "nobody")]
            assert [one.status_code for one in unknown] == [404, 404]
            assert unknown[0].text == unknown[1].text
            assert (await client.post(f"/labs/{LAB}/endpoints/soc/confirmation")).json()["status"] == 250
            assert code_in((await box.until(2))[1]) != code

    asyncio.run(run())


def test_nobodys_address_is_flooded_with_confirmations(sqlite_url: str) -> None:
    async def run() -> None:
        async with mailing(sqlite_url) as (_, client, box):
            answers = []
            for _ in range(7):
                answers.append(
                    (await client.put(f"/labs/{LAB}/endpoints/soc", json={"kind": "email", "address": TO})).status_code
                )
                await client.delete(f"/labs/{LAB}/endpoints/soc")
            assert answers == [201] * 5 + [429] * 2
            assert len(box.mails) == 5

    asyncio.run(run())


def test_another_address_is_asked_anew_and_other_terms_are_not(sqlite_url: str) -> None:
    async def run() -> None:
        async with mailing(sqlite_url) as (_, client, box):
            await confirm(client, box)
            assert (await make(client, "soc", kind="email", address=TO, description="x"))["disabled"] is None
            changed = await make(client, "soc", kind="email", address="other@lab.example")
            assert changed["disabled"] == "its address is not confirmed yet"
            assert [one.recipients for one in await box.until(1)] == [["other@lab.example"]]
            other_kind = await client.put(f"/labs/{LAB}/endpoints/soc", json={"url": "https://example.com/"})
            assert (other_kind.status_code, other_kind.json()["type"].split(":")[-1]) == (409, "other-kind")

    asyncio.run(run())


def test_a_mail_is_tried_again_until_the_relay_takes_it_and_ends_where_there_is_no_such_address(sqlite_url: str) -> None:
    async def run() -> None:
        async with mailing(sqlite_url) as (parts, client, box), receiver() as hook:
            await put(client, "hook", hook.url)
            await confirm(client, box)
            box.replies += ["rcpt 450 4.2.0 later", "451 4.3.0 later"]
            raised = await raise_alert(parts)
            [mail] = await box.until(1)
            assert raised in mail.message["Message-ID"]
            await until_settled(client, "soc")
            assert [one["status"] for one in await log_of(client, "soc")] == [250, 451, 450]
            await hook.until(1)
            box.replies.append("rcpt 550 5.1.1 no such user")
            await raise_alert(parts, version=2)
            told = (await hook.until(3))[1:]
            [notice] = [body for one in told if (body := json.loads(one.body))["type"] == "watch.neutrality.endpoint-disabled.v1"]
            assert (notice["data"]["endpoint"], notice["data"]["reason"]) == ("soc", "there is no such address")

    asyncio.run(run())


def test_a_group_of_alerts_is_one_message_to_people_and_one_each_to_a_webhook(database_url: str) -> None:
    async def run() -> None:
        async with mailing(database_url) as (parts, client, box), receiver() as hook, receiver() as chat:
            await put(client, "hook", hook.url)
            await confirm(client, box)
            await make(client, "chat", kind="apprise", url=chat.url.replace("http:", "json:"))
            together = [alert(1, group="g"), alert(1, vendor="turing", group="g"), alert(2, group="g")]
            alone = alert(3)
            await raise_group(parts, *together, alone)
            first, second = await box.until(2)
            assert first.message["Subject"] == "3 alerts: Scale Ai, Turing"
            places = [first.text.index(one.id) for one in together]
            assert places == sorted(places)
            assert second.message["Message-ID"] == f"<{alone.id}@watch.example>"
            assert [json.loads(one.body)["title"][:8] for one in await chat.until(2)] == ["3 alerts", "Scale Ai"]
            assert len(await hook.until(4)) == 4
            for name in ("soc", "chat", "hook"):
                assert (await until_settled(client, name))["delivered"] == 4
            again = await client.post(f"/labs/{LAB}/endpoints/soc/replay", json={"first": together[0].id, "last": together[2].id})
            assert again.json() == {"alerts": 3}
            assert (await box.until(3))[2].message["Message-ID"] == first.message["Message-ID"]

    asyncio.run(run())


def test_a_digest_is_one_mail_with_all_that_waited_for_it(database_url: str) -> None:
    async def run() -> None:
        async with mailing(database_url) as (parts, client, box), receiver() as hook:
            await put(client, "hook", hook.url)
            await confirm(client, box)
            digest = Subscription(lab=LAB, name="desk", conditions=(GradeChange(),), schedule=Schedule(deliver="hourly"))
            await parts.intake.put_subscription(digest)
            await parts.at(NOW + timedelta(minutes=10))
            for vendor in ("scale-ai", "turing", "mercor"):
                await parts.take_in(assessment(1, score(20.0, grade="N5"), vendor=vendor))
            assert (box.mails, hook.received) == ([], [])
            await parts.at(NOW + timedelta(minutes=61))
            [mail] = await box.until(1)
            assert mail.message["Subject"] == "3 alerts: Scale Ai, Turing, Mercor"
            assert len(await hook.until(3)) == 3
            assert await until_settled(client, "soc") == {"pending": 0, "delivered": 3, "failed": 0}
            assert len(box.mails) == 1

    asyncio.run(run())


def test_a_message_that_fails_holds_up_its_vendors_and_no_others(sqlite_url: str) -> None:
    async def run() -> None:
        async with mailing(sqlite_url) as (parts, client, box):
            await confirm(client, box)
            parts.worker._schedule_s = (0.5,)
            box.replies.append("451 4.3.0 later")
            raised = [alert(1), alert(2), alert(1, vendor="turing")]
            await raise_group(parts, *raised)
            mails = [mail.message["Message-ID"][1:].partition("@")[0] for mail in await box.until(3)]
            assert mails.index(raised[0].id) < mails.index(raised[1].id)
            assert mails[0] == raised[2].id

    asyncio.run(run())


def test_an_apprise_url_is_kept_secret_and_stays_when_what_is_shown_is_written_back(sqlite_url: str, tmp_path: Any) -> None:
    async def run() -> None:
        async with mailing(sqlite_url) as (parts, client, _), receiver() as chat:
            url = chat.url.replace("http://", "json://user:hunter2-hunter2@")
            made = await make(client, "chat", kind="apprise", url=url)
            assert (made["kind"], "hunter2" in json.dumps(made), made["disabled"]) == ("apprise", False, None)
            shown = (await client.get(f"/labs/{LAB}/endpoints/chat")).json()
            terms = {"kind": "apprise", "url": shown["url"], "description": "changed"}
            assert (await make(client, "chat", **terms))["description"] == "changed"
            assert (await client.post(f"/labs/{LAB}/endpoints/chat/test")).json()["succeeded"]
            await raise_alert(parts)
            assert "authorization" in (await chat.until(2))[1].headers
            stored = b"".join(path.read_bytes() for path in tmp_path.glob("alerts.db*"))
            assert b"hunter2" not in stored
            chat.then = status("403 X")
            assert (await client.post(f"/labs/{LAB}/endpoints/chat/test")).json()["status"] == 403
            assert (await client.post(f"/labs/{LAB}/endpoints/chat/secret")).status_code == 409

    asyncio.run(run())


def test_the_lab_is_told_on_its_other_channels_when_an_endpoint_is_disabled(database_url: str) -> None:
    async def run() -> None:
        async with mailing(database_url) as (parts, client, box), receiver(then=status("410 Gone")) as gone, receiver() as hook:
            await confirm(client, box)
            await put(client, "gone", gone.url)
            secret = await put(client, "hook", hook.url)
            await put(client, "theirs", hook.url, lab="openai")
            await raise_alert(parts)
            told = {one.verified(secret)["type"]: one.verified(secret)["data"] for one in await hook.until(2)}
            notice = told["watch.neutrality.endpoint-disabled.v1"]
            assert (notice["lab"], notice["endpoint"], notice["kind"]) == (LAB, "gone", "webhook")
            assert notice["reason"] == "it answered 410 Gone"
            subjects = {str(mail.message["Subject"]) for mail in await box.until(2)}
            assert f"{LAB}: the endpoint gone (webhook) is disabled" in subjects
            await asyncio.sleep(0.2)
            assert len(hook.received) == 2  # and not openai's
            [_, event] = await listen(client, LAB, 2, query="?from=beginning")
            assert event.event == "endpoint-disabled"
            assert json.loads(event.data) == {"endpoint": "gone", "kind": "webhook", "reason": "it answered 410 Gone"}
            assert len(gone.received) == 1

    asyncio.run(run())


@pytest.mark.parametrize(
    ("terms", "pointer", "told"),
    [
        ({"kind": "email", "address": "no"}, "/address", "@-sign"),
        ({"kind": "email", "address": "a@b.example\r\nBcc: c@d.example"}, "/address", "invalid characters"),
        ({"kind": "email", "address": "a@b.example, c@d.example"}, "/address", "invalid characters"),
        ({"kind": "email", "address": "\u00e9@b.example"}, "/address", "ASCII"),
        ({"kind": "email"}, "/address", "required"),
        ({"kind": "apprise", "url": "ftp://example.com"}, "/url", "none of the services"),
        ({"kind": "apprise", "url": "slack://"}, "/url", "no complete URL"),
        ({"kind": "pigeon"}, "", "webhook, email or apprise"),
        ({"kind": "email", "address": "a@b.example", "url": "https://x.example/"}, "/url", "not permitted"),
    ],
)
def test_a_wrong_endpoint_is_refused_with_its_field(sqlite_url: str, terms: dict[str, Any], pointer: str, told: str) -> None:
    async def run() -> httpx.Response:
        async with served(sqlite_url) as (_, client):
            return await client.put(f"/labs/{LAB}/endpoints/soc", json=terms)

    answer = asyncio.run(run())
    assert answer.status_code == 422
    [error] = answer.json()["errors"]
    assert error["pointer"] == pointer
    assert told in error["detail"]


def test_without_a_relay_no_address_is_taken(sqlite_url: str) -> None:
    async def run() -> httpx.Response:
        async with served(sqlite_url) as (_, client):
            return await client.put(f"/labs/{LAB}/endpoints/soc", json={"kind": "email", "address": TO})

    answer = asyncio.run(run())
    assert (answer.status_code, "ALERTS_SMTP_HOST" in answer.json()["detail"]) == (409, True)
