"""`make screenshots`: plays the scenario into a fresh stack and takes pictures of the board with the machine's Chromium."""

import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

from neutrality.cli.alert_stream import put_subscription
from neutrality.cli.stack import Ports, Stack
from neutrality.client import Client
from neutrality.scenario import load_scenario
from tests.support.browser import CHROMIUM, FLAGS, sign_in

FOLDER = Path(__file__).parents[1] / "docs" / "images"
CLOCK = datetime(2025, 6, 13, 12, tzinfo=UTC)
PAGES = {
    "overview": "/",
    "vendor": "/vendors/scale-ai",
    "history": "/vendors/scale-ai/history",
    "ownership": "/vendors/scale-ai/ownership",
    "contracts": "/vendors/scale-ai/contracts",
    "alternatives": "/vendors/scale-ai/alternatives",
    "report": "/vendors/scale-ai/report",
    "as-of": "/as-of?at=2025-06-11",
    "what-if": "/what-if?c=stake~meta~scale-ai~votes~51~completed&c=leaves~google~scale-ai",
    "alerts": "/alerts",
    "silences": "/silences",
    "subscriptions": "/subscriptions",
    "endpoints": "/endpoints",
}
LOOKS: dict[str, tuple[int, int, Literal["light", "dark"]]] = {
    "light": (1280, 800, "light"),
    "dark": (1280, 800, "dark"),
    "phone": (390, 844, "light"),
}
KEPT = {("overview", "light"), ("vendor", "light"), ("ownership", "light"), ("overview", "phone"), ("history", "dark")}


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main(folder: Path, *, every: bool) -> int:
    """Take the pictures that the README shows, or with `--all` one of each page in each look."""
    if CHROMIUM is None:
        sys.stderr.write("no Chromium here; on Debian and Ubuntu: apt install chromium\n")
        return 1
    with tempfile.TemporaryDirectory() as data, Stack(Path(data), Ports.free(), _tell, clock_starts_at=CLOCK) as stack:
        for lab in ("google", "openai"):
            put_subscription(stack.alerts_url, lab, "desk")
        with Client(stack.ingest_url) as client:
            for step in load_scenario("scale-ai-2025").steps:
                client.send(step.documents)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            for look, (width, height, scheme) in LOOKS.items():
                context = browser.new_context(
                    viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="America/New_York"
                )
                page = context.new_page()
                page.on("console", lambda message: _tell(f"console: {message.text}"))
                page.on("pageerror", lambda error: _tell(f"error: {error}"))
                sign_in(page, stack.board_url, "google")
                page.wait_for_timeout(2500)
                for name, address in PAGES.items():
                    if every or (name, look) in KEPT:
                        page.goto(stack.board_url + address)
                        page.wait_for_timeout(700)
                        page.screenshot(path=folder / f"board-{name}-{look}.png", full_page=every)
            browser.close()
    return 0


if __name__ == "__main__":
    where = Path(sys.argv[2]) if len(sys.argv) > 2 else FOLDER
    raise SystemExit(main(where, every="--all" in sys.argv))
