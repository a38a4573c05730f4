"""A lab's key reaches what is the lab's, as far as its scopes go: every route, stream, metric and log line, as each of three labs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from neutrality.api_keys import digest_of, token_of
from neutrality.labs import SCOPES, LabKey, Labs, Scope
from services.alerts.domain.conditions import GradeChange
from services.alerts.domain.subscription import Subscription
from services.alerts.settings import AlertsSettings
from tests.support.alerts import AlertsParts
from tests.support.assessments import assessment, score
from tests.support.receiver import receiver
from tests.unit.alerts.test_http import listen, served

LABS = ("anthropic", "google", "openai")
TOKENS = {lab: token_of(str(number).encode() * 32) for number, lab in enumerate(LABS)}
READER = token_of(b"r" * 32)


def key(token: str, scopes: tuple[Scope, ...] = SCOPES, **fields: Any) -> LabKey:
    since = datetime.now(UTC) - timedelta(days=1)
    return LabKey(**{"id": token[4:12], "sha256": digest_of(token), "not_before": since, "scopes": scopes, **fields})


def write(path: Path, **labs: tuple[LabKey, ...]) -> Path:
    path.write_text(Labs(labs=labs).model_dump_json())
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    all_labs = {lab: (key(token),) for lab, token in TOKENS.items()}
    return write(tmp_path / "labs.json", **all_labs | {"google": (key(TOKENS["google"]), key(READER, ("read",)))})


def of(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@asynccontextmanager
async def peopled(url: str, file: Path) -> AsyncIterator[tuple[AlertsParts, httpx.AsyncClient, dict[str, str]]]:
    """Every lab has a subscription and an endpoint whose names tell whose they are, and an alert."""
    async with served(url, file) as (parts, client), receiver() as there:
        for lab in LABS:
            await parts.intake.put_subscription(Subscription(lab=lab, name=f"of-{lab}", conditions=(GradeChange(),)))
            terms = {"url": f"{there.url}/{lab}", "description": f"secret of {lab}"}
            made = await client.put(f"/labs/{lab}/endpoints/at-{lab}", json=terms, headers=of(TOKENS[lab]))
            assert made.status_code == 201
            bought = {"buys": f"secret of {lab}", "categories": [f"of-{lab}"]}
            assert (await client.put(f"/labs/{lab}/portfolio/v", json=bought, headers=of(TOKENS[lab]))).status_code == 201
            silence = {"matchers": [{"field": "vendor", "values": ["w"]}], "ends": "2999-01-01T00:00:00Z", "reason": f"of-{lab}"}
            silence |= {"by": f"secret of {lab}", "starts": "2998-12-01T00:00:00Z"}
            assert (await client.post(f"/labs/{lab}/silences", json=silence, headers=of(TOKENS[lab]))).status_code == 201
        raised = {alert.lab: alert.id for alert in await take(parts)}
        assert sorted(raised) == sorted(LABS)
        yield parts, client, raised


async def take(parts: AlertsParts) -> Any:
    return await parts.take_in(assessment(1, score(20.0, grade="N5"), vendor="v"))


def routes(document: dict[str, Any]) -> list[tuple[str, str]]:
    return [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]


def filled(path: str, lab: str, raised: dict[str, str]) -> str:
    name = f"at-{lab}" if "/endpoints/" in path else f"of-{lab}"
    values = {"lab": lab, "name": name, "vendor": "v", "code": "a" * 32, "what": "unsubscribe"}
    values |= {"alert": raised[lab], "silence": "si_" + "0" * 24}
    return path.format(**values)  # KeyError: a new parameter needs a value here


def test_every_route_of_another_lab_is_refused_and_tells_nothing_of_it(database_url: str, file: Path) -> None:
    async def run() -> None:
        async with peopled(database_url, file) as (_, client, raised):
            walked = 0
            for method, path in routes((await client.get("/openapi.json")).json()):
                if "{lab}" not in path or path.startswith("/mail/"):
                    continue
                for me in LABS:
                    for other in set(LABS) - {me}:
                        answer = await client.request(method, filled(path, other, raised), headers=of(TOKENS[me]), json={})
                        assert answer.status_code == 403, (method, path)
                        assert answer.json()["type"].endswith("other-lab")
                        for secret in (f"of-{other}", f"at-{other}", raised[other], TOKENS[other][4:]):
                            assert secret not in answer.text
                        walked += 1
            assert walked >= 15 * 6

    asyncio.run(run())


def test_what_is_a_labs_own_and_what_is_everybodys_names_no_other_lab(database_url: str, file: Path) -> None:
    async def run() -> None:
        with capture_logs() as logs:
            async with peopled(database_url, file) as (_, client, raised):
                for method, path in routes((await client.get("/openapi.json")).json()):
                    if method != "GET" or path.endswith("/stream") or path.startswith("/mail/"):
                        continue
                    for me in LABS:
                        answer = await client.get(filled(path, me, raised), headers=of(TOKENS[me]))
                        assert answer.status_code in (200, 503), path
                        for other in set(LABS) - {me}:
                            for secret in (f"of-{other}", f"at-{other}", f"secret of {other}", raised[other], TOKENS[other][4:]):
                                assert secret not in answer.text, (path, secret)
        for lab in LABS:
            assert f"at-{lab}" not in str(logs)
            assert f"of-{lab}" not in str(logs)

    asyncio.run(run())


def test_a_stream_holds_a_labs_own_alerts_alone_and_ends_with_its_key(
    database_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.alerts.http._LOOK_S", 0.05)
    monkeypatch.setattr("neutrality.key_file.LOOK_S", 0.05)

    async def run() -> None:
        async with peopled(database_url, file) as (parts, client, raised):
            for lab in LABS:
                client.headers = httpx.Headers(of(TOKENS[lab]))
                [one] = await listen(client, lab, 1, query="?from=beginning")
                assert one.id == raised[lab]
            following = asyncio.create_task(parts.gates[-1].follow())
            ending = asyncio.create_task(listen(client, "openai", 3, query="?from=beginning"))
            await asyncio.sleep(0.2)
            write(file, google=(key(TOKENS["google"]),))
            assert len(await asyncio.wait_for(ending, 5.0)) == 1
            assert (await client.get("/labs/openai/alerts")).status_code == 401
            following.cancel()

    asyncio.run(run())


def test_a_key_does_what_its_scopes_say(database_url: str, file: Path) -> None:
    async def run() -> None:
        async with peopled(database_url, file) as (parts, client, _):
            assert (await client.get("/labs/google/subscriptions", headers=of(READER))).status_code == 200
            assert (await client.get("/vendors/v?for=google", headers=of(READER))).status_code == 200
            for method, path in (
                ("PUT", "/labs/google/subscriptions/x"),
                ("DELETE", "/labs/google/subscriptions/of-google"),
                ("POST", "/labs/google/endpoints/at-google/secret"),
                ("POST", "/labs/google/endpoints/at-google/test"),
            ):
                answer = await client.request(method, path, headers=of(READER), json={})
                assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (403, "out-of-scope")
            assert parts.registry.get_sample_value("alerts_requests_refused_total", {"reason": "out-of-scope"}) == 4

    asyncio.run(run())


@pytest.mark.parametrize("header", [None, "Bearer", "Basic x", f"Bearer {token_of(b'x' * 32)}", f"Bearer {TOKENS['google'][4:]}"])
def test_without_a_key_only_health_metrics_and_documents_answer(database_url: str, file: Path, header: str | None) -> None:
    async def run() -> None:
        async with peopled(database_url, file) as (_, client, raised):
            headers = {} if header is None else {"authorization": header}
            for method, path in routes((await client.get("/openapi.json")).json()):
                answer = await client.request(method, filled(path, "google", raised), headers=headers, json={})
                if path.startswith(("/health", "/metrics")):
                    assert answer.status_code == 200
                elif path.startswith("/mail/"):
                    assert answer.status_code == (200 if method == "GET" else 404)
                else:
                    assert (answer.status_code, answer.headers.get("www-authenticate")) == (401, "Bearer"), path
            assert (await client.get("/docs", headers=headers)).status_code == 200
            assert (await client.get("/nowhere", headers=headers)).status_code == 404

    asyncio.run(run())


def test_keys_have_their_time(database_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    old, new = key(TOKENS["google"], expires=now), key(TOKENS["openai"], not_before=now + timedelta(hours=1))

    async def run() -> list[int]:
        async with served(database_url, write(tmp_path / "labs.json", google=(old, new))) as (_, client):
            return [
                (await client.get("/labs/google/alerts", headers=of(token))).status_code
                for token in (TOKENS["google"], TOKENS["openai"])
            ]

    assert asyncio.run(run()) == [401, 401]


def test_without_keys_alerts_listens_on_loopback_alone(file: Path) -> None:
    assert AlertsSettings(host="127.0.0.1").api_keys_file is None
    with pytest.raises(ValidationError, match="api_keys_file"):
        AlertsSettings(host="0.0.0.0")  # noqa: S104 - refused
    assert AlertsSettings(host="0.0.0.0", api_keys_file=file).api_keys_file == file  # noqa: S104
    assert AlertsSettings(host="0.0.0.0", allow_anonymous=True).allow_anonymous  # noqa: S104 - that is what is tested
