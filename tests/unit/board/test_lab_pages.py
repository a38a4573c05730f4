"""What is a lab's own, on the board over the real alerts: inbox, silences, subscriptions, endpoints. Without a browser; see tests/e2e for one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from neutrality.events.alert import Alert
from services.alerts.domain.subscription import Subscription
from services.board.alerts_api import AlertsApi
from services.board.pages.endpoints import EndpointPages
from services.board.pages.inbox import InboxPages
from services.board.pages.subscriptions import Subscriptions
from services.board.pages.web import Web
from services.board.sessions import COOKIE
from tests.support.alerts import NOW, AlertsParts
from tests.support.assessments import assessment, score
from tests.unit.alerts.test_http import served
from tests.unit.board.test_pages import GOOGLE, app_of, web_of

OWN = {"sec-fetch-site": "same-origin"}


@asynccontextmanager
async def board(sqlite_url: str, folder: Path) -> AsyncIterator[tuple[AlertsParts, httpx.AsyncClient, tuple[Alert, ...]]]:
    """The board, signed in as Google, over an alerts that has raised some for it."""
    async with served(sqlite_url) as (parts, alerts):
        await parts.intake.put_subscription(Subscription(lab="google", name="desk"))
        await parts.take_in(assessment(1, score(100.0)))
        raised = await parts.take_in(assessment(2, score(38.9, grade="N4"), losses={"meta-equity": 0.9}))
        web: Web = web_of(folder, [])
        web.alerts = AlertsApi(str(alerts.base_url), 10.0)
        web.wall = parts.now
        app = app_of(web)
        for pages in (InboxPages(web), Subscriptions(web), EndpointPages(web)):
            pages.add_to(app)
        headers = OWN | {"cookie": f"{COOKIE}={web.sessions._fernet.encrypt(GOOGLE).decode()}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://board.example.com", headers=headers) as client:
            yield parts, client, raised
        await web.alerts.close()


async def send(client: httpx.AsyncClient, path: str, **fields: Any) -> httpx.Response:
    return await client.post(path, data=fields)


def test_an_alert_is_shown_with_its_reasons_and_acknowledged_by_somebody(sqlite_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with board(sqlite_url, tmp_path) as (_, client, raised):
            inbox = (await client.get("/alerts")).text
            assert all(f'id="{alert.id}"' in inbox for alert in raised)
            assert "Meta holds 49 % of the equity of Scale AI" in inbox
            done = await send(client, f"/alerts/{raised[0].id}/acknowledge", by="Ada", note="moved the <b>contract</b>")
            assert (done.status_code, done.headers["location"]) == (303, "/alerts")
            assert f'id="{raised[0].id}"' not in (await client.get("/alerts")).text
            acknowledged = (await client.get("/alerts?box=acknowledged")).text
            assert "Acknowledged by Ada" in acknowledged
            assert "moved the &lt;b&gt;contract&lt;/b&gt;" in acknowledged
            nobody = await send(client, f"/alerts/{raised[1].id}/acknowledge", by=" ")
            assert nobody.status_code == 422
            assert "/by" in nobody.text

    asyncio.run(run())


def test_a_silence_mutes_until_it_is_ended(sqlite_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with board(sqlite_url, tmp_path) as (parts, client, _):
            terms = {"vendor": "scale-ai", "reason": "known since Monday", "hours": "48", "by": "Ada"}
            assert (await send(client, "/silences", **terms)).status_code == 303
            listed = (await client.get("/silences")).text
            assert "vendor is scale-ai" in listed
            assert (NOW + timedelta(hours=48)).isoformat() in listed
            assert await parts.take_in(assessment(3, score(10.0, grade="N5"), losses={"meta-equity": 2.3})) == ()
            assert "N5" in (await client.get("/alerts?box=silenced")).text
            identity = listed.partition('action="/silences/')[2].partition("/end")[0]
            assert (await send(client, f"/silences/{identity}/end")).status_code == 303
            assert "; ended;" in (await client.get("/silences")).text
            refused = await send(client, "/silences", reason="all of it", hours="1", by="Ada")
            assert refused.status_code == 422
            assert "/matchers" in refused.text

    asyncio.run(run())


def test_subscriptions_are_made_changed_and_ended(sqlite_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with board(sqlite_url, tmp_path) as (_, client, _):
            assert (
                await send(client, "/subscriptions", name="night", vendors="scale-ai, turing", drop_points="2.5")
            ).status_code == 303
            shown = (await client.get("/subscriptions")).text
            assert "score drop from 2.5 points" in shown
            assert (await send(client, "/subscriptions/night", terms='{"categories": ["evaluation"]}')).status_code == 303
            assert "Vendors of evaluation" in (await client.get("/subscriptions")).text
            for terms, told in (("{", "not JSON"), ("[]", "not a JSON object"), ('{"vendors": ["No Id"]}', "/vendors/0")):
                wrong = await send(client, "/subscriptions/night", terms=terms)
                assert wrong.status_code == 422
                assert told in wrong.text
            assert (await send(client, "/subscriptions/night/end")).status_code == 303
            assert "night" not in (await client.get("/subscriptions")).text

    asyncio.run(run())


def test_an_endpoint_tells_its_secret_once_and_what_came_of_a_test(sqlite_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with board(sqlite_url, tmp_path) as (parts, client, _), parts.working():
            made = await send(
                client, "/endpoints", name="soc", kind="webhook", target="http://127.0.0.1:9/hook", subscriptions="desk"
            )
            assert "whsec_" in made.text
            assert "whsec_" not in (await client.get("/endpoints/soc")).text
            tested = (await send(client, "/endpoints/soc/test")).text
            assert "did not arrive: not connected" in " ".join(tested.split())
            assert "<td>test</td>" in tested
            assert "whsec_" in (await send(client, "/endpoints/soc/secret")).text
            inside = await send(client, "/endpoints", name="inside", kind="webhook", target="http://10.0.0.1/")
            assert (inside.status_code, "/url" in inside.text) == (422, True)
            assert (await send(client, "/endpoints/soc/remove")).status_code == 303
            assert "None yet." in (await client.get("/endpoints")).text

    asyncio.run(run())


def test_the_name_of_another_thing_in_a_path_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with board(sqlite_url, tmp_path) as (_, client, _):
            for path in ("/endpoints/%2e%2e/test", "/subscriptions/..%2fx/end", "/alerts/al_x/acknowledge", "/silences/x/end"):
                assert (await send(client, path, by="Ada")).status_code in (404, 405, 422)

    asyncio.run(run())
