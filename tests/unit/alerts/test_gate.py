"""A lab's key lets in as far as its scopes go, for as long as it holds. What it reaches: `test_isolation`."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from neutrality.api_keys import token_of
from services.alerts.settings import AlertsSettings
from tests.support.tenants import LABS, TOKENS, key, of, routes, tenancy, write
from tests.unit.alerts.test_http import listen, served

READER = token_of(b"r" * 32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    all_labs = {lab: (key(token),) for lab, token in TOKENS.items()}
    return write(tmp_path / "labs.json", **all_labs | {"google": (key(TOKENS["google"]), key(READER, ("read",)))})


def test_a_stream_holds_a_labs_own_alerts_alone_and_ends_with_its_key(
    sqlite_url: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.alerts.http._LOOK_S", 0.05)
    monkeypatch.setattr("neutrality.key_file.LOOK_S", 0.05)

    async def run() -> None:
        async with tenancy(sqlite_url, file) as there:
            for lab in LABS:
                there.client.headers = httpx.Headers(of(TOKENS[lab]))
                [one] = await listen(there.client, lab, 1, query="?from=beginning")
                assert one.id == there.raised[lab][0].id
            following = asyncio.create_task(there.parts.gates[-1].follow())
            ending = asyncio.create_task(listen(there.client, "openai", 3, query="?from=beginning"))
            await asyncio.sleep(0.2)
            write(file, google=(key(TOKENS["google"]),))
            assert len(await asyncio.wait_for(ending, 5.0)) == 1
            assert (await there.client.get("/labs/openai/alerts")).status_code == 401
            following.cancel()

    asyncio.run(run())


def test_a_key_does_what_its_scopes_say(sqlite_url: str, file: Path) -> None:
    async def run() -> None:
        async with tenancy(sqlite_url, file) as there:
            assert (await there.client.get("/labs/google/subscriptions", headers=of(READER))).status_code == 200
            assert (await there.client.get("/vendors/v?for=google", headers=of(READER))).status_code == 200
            for method, path in (
                ("PUT", "/labs/google/subscriptions/x"),
                ("DELETE", "/labs/google/subscriptions/of-google"),
                ("POST", "/labs/google/endpoints/of-google/secret"),
                ("POST", "/labs/google/endpoints/of-google/test"),
            ):
                answer = await there.client.request(method, path, headers=of(READER), json={})
                assert (answer.status_code, answer.json()["type"].split(":")[-1]) == (403, "out-of-scope")
            assert there.parts.registry.get_sample_value("alerts_requests_refused_total", {"reason": "out-of-scope"}) == 4

    asyncio.run(run())


WITHOUT_KEY = [None, "Bearer", "Basic x", f"Bearer {token_of(b'x' * 32)}", f"Bearer {TOKENS['google'][4:]}"]


def test_without_a_key_only_health_metrics_and_documents_answer(sqlite_url: str, file: Path) -> None:
    async def run() -> None:
        async with tenancy(sqlite_url, file) as there:
            for header in WITHOUT_KEY:
                headers = {} if header is None else {"authorization": header}
                for method, path in routes((await there.client.get("/openapi.json")).json()):
                    asked = there.filled(path, "google")
                    answer = await there.client.request(method, asked, headers=headers, json={})
                    if path.startswith(("/health", "/metrics")):
                        assert answer.status_code == 200
                    elif path.startswith("/mail/"):
                        assert answer.status_code == (200 if method == "GET" else 404)
                    else:
                        assert (answer.status_code, answer.headers.get("www-authenticate")) == (401, "Bearer"), path
                assert (await there.client.get("/docs", headers=headers)).status_code == 200
                assert (await there.client.get("/nowhere", headers=headers)).status_code == 404

    asyncio.run(run())


def test_keys_have_their_time(sqlite_url: str, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    old, new = key(TOKENS["google"], expires=now), key(TOKENS["openai"], not_before=now + timedelta(hours=1))

    async def run() -> list[int]:
        async with served(sqlite_url, write(tmp_path / "labs.json", google=(old, new))) as (_, client):
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
