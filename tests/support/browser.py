"""A real Chromium for the tests of the board: the distribution's, one a file.

While it is open, Playwright keeps an event loop running in this thread, and nothing else could run one.

Without Chromium these tests skip, but fail where CI is set: there `.ci/run` installs it.
"""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser."""
    if CHROMIUM is None:
        why = "no Chromium here; on Debian and Ubuntu: apt install chromium"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


def sign_in(page: Page, url: str, lab: str, key: str | None = None, then: str = "/") -> None:
    """Sign in as a lab, and go to a page."""
    page.goto(f"{url}/sign-in?next={then}")
    page.get_by_label("Lab").fill(lab)
    if key is not None:
        page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in" if key is not None else "Go on").click()
    page.wait_for_url(f"{url}{then}")
