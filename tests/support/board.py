"""The board for the end-to-end tests: the scenario played among entities of other names, and pages on which everything is written down."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Dialog, Page, Request

from neutrality.cli.alert_stream import put_subscription
from neutrality.cli.stack import Stack
from neutrality.client import Client
from neutrality.scenario import load_scenario
from tests.support.browser import sign_in
from tests.support.stack import Scores, World, in_process, substance

BOARD = World("board")
GOOGLE, VENDOR = BOARD.entity("google"), BOARD.entity("scale-ai")
VIEWS = ("", "/history", "/ownership", "/contracts", "/alternatives", "/report")
HOSTILE = "<img src=x onerror=alert(1)>\"'</script>{{7*7}}"


@pytest.fixture(scope="session")
def played(stack: Stack) -> list[dict[str, Any]]:
    """The scenario has been played, and a vendor with a hostile name is in the market."""
    documents = BOARD.documents(load_scenario("scale-ai-2025").documents())
    said = {
        "claim_id": "what",
        "is_lab": None,
        "is_vendor": True,
        "name": HOSTILE,
        "categories": ["data-labelling"],
        "note": HOSTILE,
    }
    hostile = {"subject": BOARD.entity("hostile"), "id": "board/hostile"}
    data = {**documents[0]["data"], **said, "subject": hostile["subject"]}
    documents.append({**documents[0], **hostile, "data": data})
    put_subscription(stack.alerts_url, GOOGLE, "desk")
    with Client(stack.ingest_url) as client:
        for document in documents:
            client.send([document])
    wanted = substance(in_process(documents)[VENDOR])
    scores = Scores(stack)
    try:
        scores.wait_for(VENDOR, lambda found: substance(found) == wanted)
        scores.wait_for(hostile["subject"], lambda found: found.name == HOSTILE)
    finally:
        scores.close()
    return documents


class Visit:
    """A page whose every request and complaint is written down."""

    def __init__(self, page: Page, url: str) -> None:
        self.page, self.url = page, url
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dismiss)
        page.on("request", lambda request: self.requests.append(request))  # noqa: PLW0108 - playwright marks the function

    def go(self, path: str) -> Page:
        self.page.goto(self.url + path)
        return self.page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def check(self) -> None:
        """Nothing was refused by the policy, nothing was thrown, and no other site was asked."""
        assert self.complaints == []
        assert [request.url for request in self.requests if not request.url.startswith(self.url)] == []


@pytest.fixture(scope="module")
def signed_in(stack: Stack, chromium: Browser, played: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The cookie of a reader of Google's."""
    context = chromium.new_context()
    sign_in(context.new_page(), stack.board_url, GOOGLE)
    yield {"storage_state": context.storage_state()}
    context.close()


@pytest.fixture
def visit(stack: Stack, chromium: Browser, signed_in: dict[str, Any]) -> Iterator[Visit]:
    context = chromium.new_context(**signed_in, timezone_id="Asia/Kolkata")
    found = Visit(context.new_page(), stack.board_url)
    yield found
    found.check()
    context.close()


def row(page: Page, vendor: str) -> Any:
    return page.locator(f'tr[data-vendor="{vendor}"]')


def stake(vendor: str, percent: int, number: int) -> dict[str, Any]:
    """Meta holds so much of a vendor, on its own word."""
    time_ = f"2025-06-13T00:00:{number:02}Z"
    return {
        "specversion": "1.0",
        "id": f"board-live/{vendor}/{number}",
        "source": "urn:test:board",
        "type": "watch.neutrality.interest.v1",
        "time": time_,
        "data": {
            "subject": vendor,
            "interested_party": BOARD.entity("meta"),
            "interest_type": "shareholding",
            "share": {"exact": percent / 100},
            "claim_id": "live-stake",
            "status": "completed",
            "effective_time": time_,
            "evidence": [{"kind": "official_statement", "publisher": "Meta"}],
        },
    }
