"""From the last release's volumes to this version: what was known is known, what was subscribed is, and all of it goes on. `make containers`.

The last release is the newest tag `v*`; as long as there is none, the commit in which compose came.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from neutrality.cli.up import DEMO_CLOCK
from tests.support.compose import ROOT, Compose, require_engine

pytestmark = pytest.mark.timeout(1200)
PROJECT = "neutrality-upgrade"
AT = DEMO_CLOCK.isoformat()


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def last_release() -> str:
    """A commit."""
    return _git("describe", "--tags", "--abbrev=0", "--match", "v*") or _git(
        "log", "--diff-filter=A", "--format=%H", "--max-count=1", "--", "deploy/docker-compose.yml"
    )


@pytest.fixture
def released(tmp_path: Path) -> Iterator[Path]:
    """The tree of the last release."""
    release = last_release()
    assert release, "the history does not reach back to the last release: fetch it whole"
    tree = tmp_path / "released"
    subprocess.run(["git", "worktree", "add", "--detach", tree, release], cwd=ROOT, check=True, capture_output=True)
    yield tree
    subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True, capture_output=True)


def test_the_last_releases_volumes_are_taken_over(released: Path) -> None:
    require_engine()
    old = Compose(PROJECT, more={"IMAGE_PREFIX": "neutrality-released"}, folder=released / "deploy")
    new = Compose(PROJECT)
    try:
        old.up()
        old.neutrality("play", "--strict", "--timeout", "60")
        scores = old.neutrality("scores", "--for", "google", "--json")
        alerts = _alerts(old)
        assert alerts
        old.run("down", "--timeout", "30")

        new.up()
        assert new.neutrality("scores", "--for", "google", "--json") == scores
        assert _alerts(new)[: len(alerts)] == alerts
        kept = httpx.get(f"{new.alerts_url}/labs/google/subscriptions").json()["subscriptions"]
        assert [item["name"] for item in kept] == ["scenario"]
        assert "nothing was counted twice" in new.neutrality("play")
        assert json.loads(new.neutrality("verify", "--wait", "60", "--at", AT, "--json"))["differences"] == []
    finally:
        new.down()


def _alerts(stack: Compose) -> list[str]:
    found = httpx.get(f"{stack.alerts_url}/labs/google/alerts", params={"limit": 500}).raise_for_status().json()["alerts"]
    return [alert["id"] for alert in found]
