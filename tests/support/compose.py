"""deploy/docker-compose.yml as a project of its own, on ports of its own. Without an engine its tests are skipped, but fail where `CI` is set."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx
import pytest

from neutrality.broker.embedded.ports import pick_free_port
from neutrality.cli.up import DEMO_CLOCK

ROOT: Final = Path(__file__).parents[2]
DEPLOY: Final = ROOT / "deploy"
BUILT: Final = ("ingest", "scoring", "alerts", "board", "tools")
IMAGES: Final = "neutrality-test"
T = TypeVar("T")


def require_engine() -> None:
    """Skip, or fail in CI, if `docker compose` does not answer."""
    found = subprocess.run(["docker", "compose", "version"], capture_output=True, text=True, check=False)
    engine = (
        subprocess.run(["docker", "version"], capture_output=True, text=True, check=False) if found.returncode == 0 else found
    )
    if engine.returncode != 0:
        message = f"no engine for containers answers: {engine.stderr.strip()}"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


def eventually(look: Callable[[], T | None], *, within_s: float, what: str) -> T:
    """The first answer that is none of None and False."""
    until = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            pytest.fail(f"not within {within_s:g} s: {what}")
        time.sleep(0.5)


@dataclass
class Compose:
    """One project. `files` come on top of the main file; `more` is more for its environment."""

    project: str
    files: Sequence[Path] = ()
    more: Mapping[str, str] = field(default_factory=dict)
    folder: Path = DEPLOY

    def __post_init__(self) -> None:
        names = ("KAFKA_PORT", "INGEST_PORT", "BOARD_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
        self.ports = {name: str(pick_free_port()) for name in names}
        alerts = pick_free_port()
        at = datetime.now(UTC)
        self.environment = {
            **os.environ,
            **self.ports,
            "ALERTS_PORTS": f"{alerts}-{alerts + 1}",
            "IMAGE_PREFIX": IMAGES,
            # what the scenario calls for holds half a day after its last row
            "SCORING_CLOCK_STARTS_AT": DEMO_CLOCK.isoformat(),
            "NEUTRALITY_VERIFY_AT": DEMO_CLOCK.isoformat(),
            "VERIFY_INTERVAL_S": "3",
            **self.more,
        }
        self.began = at

    def run(self, *arguments: str, check: bool = True, input_text: str | None = None) -> str:
        """`docker compose ARGUMENTS`; its output."""
        files = [part for file in (self.folder / "docker-compose.yml", *self.files) for part in ("--file", str(file))]
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, "--progress", "quiet", *files, *arguments],
            env=self.environment,
            input=input_text,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"docker compose {' '.join(arguments)}: {done.stderr[-4000:]}\n{self.logs()[-6000:]}")
        return done.stdout

    def up(self, *arguments: str) -> None:
        """Build, start, and wait until all is healthy."""
        self.run("up", "--build", "--wait", "--wait-timeout", "240", *arguments)

    def down(self) -> None:
        """Remove it all, but for the images."""
        self.run("--profile", "*", "down", "--volumes", "--timeout", "20", "--remove-orphans", check=False)

    def logs(self, *services: str) -> str:
        """What containers have said."""
        done = subprocess.run(
            ["docker", "compose", "--project-name", self.project, "logs", "--no-color", "--tail", "40", *services],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
        )
        return done.stdout

    def containers(self) -> list[dict[str, Any]]:
        """Every container as compose tells of it."""
        return [json.loads(line) for line in self.run("ps", "--all", "--format", "json").splitlines()]

    @property
    def kafka(self) -> str:
        return f"127.0.0.1:{self.environment['KAFKA_PORT']}"

    @property
    def ingest_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['INGEST_PORT']}"

    @property
    def alerts_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['ALERTS_PORTS'].split('-')[0]}"

    @property
    def prometheus_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['PROMETHEUS_PORT']}"

    @property
    def grafana_url(self) -> str:
        return f"http://127.0.0.1:{self.environment['GRAFANA_PORT']}"

    def neutrality(self, *arguments: str, check: bool = True, input_text: str | None = None) -> str:
        """The command, on this machine, against the published ports; what it printed."""
        done = subprocess.run(
            [ROOT / ".venv/bin/neutrality", *arguments],
            env={
                **os.environ,
                "NEUTRALITY_BOOTSTRAP_SERVERS": self.kafka,
                "NEUTRALITY_INGEST_URL": self.ingest_url,
                "NEUTRALITY_ALERTS_URL": self.alerts_url,
            },
            input=input_text,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"neutrality {' '.join(arguments)}: {done.stdout[-3000:]}{done.stderr[-3000:]}\n{self.logs()[-6000:]}")
        return done.stdout

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Prometheus' answer: series with their present values."""
        answer = httpx.get(f"{self.prometheus_url}/api/v1/query", params={"query": expression}, timeout=10.0).json()
        assert answer["status"] == "success", f"{expression}: {answer}"
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found


def running(project: str, *files: Path, more: Mapping[str, str] | None = None) -> Iterator[Compose]:
    """A project that is healthy, and removed in the end. For fixtures."""
    require_engine()
    stack = Compose(project, files, more or {})
    try:
        stack.up()
        yield stack
    finally:
        stack.down()
