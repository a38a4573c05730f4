"""Every command of docs/runbook.md is run as it stands there, against a stack on which the scenario was played. `make containers`."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.compose import DEPLOY, ROOT, Compose, running

pytestmark = pytest.mark.timeout(900)
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
SECTIONS = {
    heading: re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    for heading, text in zip(*[iter(re.split(r"^## (.+)$", RUNBOOK, flags=re.MULTILINE)[1:])] * 2, strict=True)
}
COMMANDS = [
    (heading, line.split("  #")[0].strip())
    for heading, blocks in SECTIONS.items()
    for block in blocks
    for line in block.splitlines()
    if line.strip()
]
# on a healthy stack there is nothing to find, and nobody answers at the endpoint that we made up
MAY_FIND_NOTHING = re.compile(r"grep|endpoints (test|enable|log)")


@pytest.fixture(scope="module")
def stack() -> Iterator[Compose]:
    for stack in running("neutrality-runbook"):
        stack.neutrality("play", "--strict", "--timeout", "60")
        stack.neutrality("endpoints", "set", "desk", "https://hooks.example.com/neutrality", "--lab", "google")
        yield stack


@pytest.fixture(scope="module")
def alerts(stack: Compose) -> list[str]:
    found = httpx.get(f"{stack.alerts_url}/labs/google/alerts").raise_for_status().json()["alerts"]
    return [alert["id"] for alert in found]


@pytest.mark.parametrize(("heading", "command"), COMMANDS)
def test_a_command_of_the_runbook_works(stack: Compose, alerts: list[str], tmp_path: Path, heading: str, command: str) -> None:
    # from deploy/, with the files that it writes elsewhere, and on this project's ports
    named = command.replace("NAME", "desk").replace("LAB", "google").replace("FIRST", alerts[0]).replace("LAST", alerts[1])
    named = re.sub(r" > (\w+\.\w+)$", rf" > {tmp_path}/\1", named.replace("http://127.0.0.1:8801", stack.ingest_url))
    done = subprocess.run(
        ["bash", "-c", named],
        cwd=DEPLOY,
        env={
            **os.environ,
            **stack.environment,
            "PATH": f"{ROOT / '.venv/bin'}:{os.environ['PATH']}",
            "COMPOSE_PROJECT_NAME": stack.project,
            "NEUTRALITY_BOOTSTRAP_SERVERS": stack.kafka,
            "NEUTRALITY_INGEST_URL": stack.ingest_url,
            "NEUTRALITY_ALERTS_URL": stack.alerts_url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    said = f"{heading}: {named}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    assert done.returncode in ((0, 1) if MAY_FIND_NOTHING.search(command) else (0,)), said
    assert "No such" not in done.stderr, said


def test_most_sections_say_what_to_run() -> None:
    assert len(COMMANDS) > 20
    assert sum(bool(blocks) for blocks in SECTIONS.values()) > len(SECTIONS) / 2
