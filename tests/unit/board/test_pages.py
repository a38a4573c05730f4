"""Pages without a browser: how large they are, what is in their headers, and who is let in."""

import asyncio
import gzip
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from neutrality.events.assessment import Assessment
from services.board.alerts_api import AlertsApi
from services.board.domain.overview import Filter
from services.board.feed import Batch
from services.board.knowledge import Knowledge
from services.board.live import Hub
from services.board.metrics import BoardMetrics
from services.board.pages.guarding import CONTENT_SECURITY_POLICY, Guard
from services.board.pages.overview import Overview
from services.board.pages.signing import SignIn
from services.board.pages.web import STATIC, Web
from services.board.sessions import COOKIE, Session, Sessions
from services.board.settings import BoardSettings
from services.board.workers import Workers
from tests.support.assessments import assessment, score

NOW = datetime(2026, 11, 25, 9, tzinfo=UTC)
GRADES = ("N1", "N2", "N3", "N4", "N5", "NR")
GOOGLE = b'{"lab":"google","key":null,"person":null}'
LABS = [f"lab-{number}" for number in range(20)]


def web_of(folder: Path, vendors: list[Assessment]) -> Web:
    metrics = BoardMetrics(CollectorRegistry())
    knowledge = Knowledge(metrics, clock=lambda: NOW, changed=lambda _: None)
    knowledge.take(Batch(assessments=[(found, 0) for found in vendors]))
    settings = BoardSettings(secrets_key_file=folder / "key")
    sessions = Sessions([Fernet.generate_key().decode()], lasts=timedelta(hours=1), secure=False)
    away = AlertsApi("http://127.0.0.1:1", 1.0)  # nothing listens there
    hub = Hub(knowledge.market, frame_s=0.1)
    workers = Workers(metrics, timeout_s=10.0)
    return Web(settings, knowledge, workers, hub, sessions, away, metrics, clock=lambda: NOW, wall=lambda: NOW)


def app_of(web: Web) -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_middleware(Guard, public_url="https://board.example.com", secure=True)
    web.add_error_pages(app)
    web.add_assets(app)
    SignIn(web, None, {}).add_to(app)
    Overview(web).add_to(app)
    return app


class Visitor:
    """Asks the application as a browser that follows no redirect; `lab` signs in."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self._app = app_of(web)

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.ask("GET", path, **more)

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://board.example.com") as client:
                return await client.request(method, path, **more)

        return asyncio.run(ask())

    def as_google(self, path: str) -> httpx.Response:
        return self.get(path, headers={"cookie": f"{COOKIE}={self.web.sessions._fernet.encrypt(GOOGLE).decode()}"})


@pytest.fixture
def visitor(tmp_path: Path) -> Visitor:
    return Visitor(web_of(tmp_path, [assessment(1, score(38.9, grade="N4"))]))


def test_the_first_view_of_500_vendors_by_20_labs_is_small_and_soon_rendered(tmp_path: Path) -> None:
    def scores(vendor: int) -> dict[str, object]:
        return {lab: score((vendor * 7 + n * 13) % 101 - 0.3, grade=GRADES[(vendor + n) % 6]) for n, lab in enumerate(LABS)}

    vendors = [assessment(1, score(50.0), vendor=f"vendor-{number}", **scores(number)) for number in range(500)]  # type: ignore[arg-type]
    web = web_of(tmp_path, vendors)
    overview = Overview(web)
    overview._now(Session("lab-0", None), Filter(), "week")
    began_s = time.process_time()
    page = bytes(overview._now(Session("lab-0", None), Filter(), "week").body)
    took_s = time.process_time() - began_s
    assert page.count(b"<tr data-vendor") == 500
    assets = [STATIC / name.decode() for name in re.findall(rb"/static/[0-9a-f]{16}/([^\"]+)", page)]
    assert len(assets) >= 3
    size = sum(len(gzip.compress(content, 5)) for content in (page, *(path.read_bytes() for path in assets)))
    assert size < 300_000
    assert took_s < 0.6


def test_nobody_sees_a_page_without_signing_in_and_comes_back_to_it_then(visitor: Visitor) -> None:
    for path in ("/", "/as-of?at=2025-06-11", "/live"):
        answer = visitor.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?next=/")
    assert "next=/as-of%3Fat%3D2025-06-11" in visitor.get("/as-of?at=2025-06-11").headers["location"]
    assert "Scale Ai" not in visitor.get("/sign-in").text


@pytest.mark.parametrize(
    "target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "evil", "/a\r\nb"]
)
def test_signing_in_leads_to_no_other_site(visitor: Visitor, target: str) -> None:
    assert 'name="next" value="/"' in visitor.get("/sign-in", params={"next": target}).text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"sec-fetch-site": "same-origin"}, 303),
        ({"origin": "https://board.example.com"}, 303),
        ({"origin": "http://board.example.com"}, 303),
        ({"sec-fetch-site": "cross-site", "origin": "https://board.example.com"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_no_page_of_another_site_changes_anything(visitor: Visitor, headers: dict[str, str], status: int) -> None:
    assert visitor.ask("POST", "/sign-out", headers=headers).status_code == status


def test_every_answer_carries_the_policy_and_no_page_is_kept(visitor: Visitor) -> None:
    for path in ("/sign-in", "/", "/nowhere"):
        answer = visitor.get(path)
        assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert "unsafe-inline" not in CONTENT_SECURITY_POLICY
    assert visitor.get("/sign-in").headers["cache-control"] == "no-store"


def test_assets_may_be_kept_for_ever_and_are_asked_for_by_their_content(visitor: Visitor) -> None:
    address = re.findall(r'href="(/static/[^"]+board\.css)"', visitor.get("/sign-in").text)[0]
    answer = visitor.get(address)
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert visitor.get(address, headers={"if-none-match": answer.headers["etag"]}).status_code == 304


def test_a_session_is_read_by_its_own_keys_alone_and_ends(visitor: Visitor) -> None:
    own = visitor.web.sessions._fernet
    foreign = Fernet(Fernet.generate_key())
    old = own.encrypt_at_time(GOOGLE, int(time.time()) - 3601)
    for cookie, status in ((own.encrypt(GOOGLE), 200), (foreign.encrypt(GOOGLE), 303), (old, 303), (b"nonsense", 303)):
        answer = visitor.get("/", headers={"cookie": f"{COOKIE}={cookie.decode()}"})
        assert answer.status_code == status


def test_scores_are_shown_while_alerts_is_away(visitor: Visitor) -> None:
    assert "38.9" in visitor.as_google("/").text


@pytest.mark.parametrize("path", ["/?moved=year", "/?order=random", "/as-of?at=yesterday"])
def test_a_wrong_address_is_told_on_a_page(visitor: Visitor, path: str) -> None:
    answer = visitor.as_google(path)
    assert answer.status_code == 422
    assert "<h1>" in answer.text
