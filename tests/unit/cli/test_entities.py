"""`neutrality entities` over a file of events."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neutrality.cli.exits import Exit
from neutrality.cli.main import app
from neutrality.events.cloudevent import event_to_json
from tests.support.events import event, stake


@pytest.fixture
def log(tmp_path: Path) -> str:
    file = tmp_path / "events.jsonl"
    events = [
        event("entity", subject="meta", name="Meta Platforms, Inc.", identifiers=[{"scheme": "CIK", "id": "0001326801"}]),
        event("entity", subject="fb", merged_into="meta"),
        stake("name:meta-platforms", "scale-ai", 0.49),
    ]
    file.write_bytes(b"\n".join(map(event_to_json, events)))
    return str(file)


def test_unresolved_names_are_listed_with_whom_they_may_mean(log: str) -> None:
    result = CliRunner().invoke(app, ["entities", "unresolved", "--log", log, "--json"])
    [found] = [json.loads(line) for line in result.output.splitlines()]
    assert (found["entity"], found["events"], found["suggestions"][0]["entity"]) == ("name:meta-platforms", 1, "meta")
    text = CliRunner().invoke(app, ["entities", "unresolved", "--log", log], env={"COLUMNS": "160"}).output
    assert "name:meta-platforms" in text
    assert "Meta Platforms, Inc." in text
    assert text.splitlines()[-1] == "1 unresolved"


@pytest.mark.parametrize("asked", ["meta", "fb", "META PLATFORMS INC", "cik:1326801"])
def test_an_entity_is_shown_by_any_of_its_names(log: str, asked: str) -> None:
    result = CliRunner().invoke(app, ["entities", "show", asked, "--log", log, "--json"])
    assert result.exit_code == Exit.OK
    found = json.loads(result.output)
    assert (found["entity"], found["names"], found["merged"]) == ("meta", ["Meta Platforms, Inc."], ["fb"])
    assert found["identifiers"] == [{"scheme": "cik", "id": "1326801"}]


def test_one_that_is_not_known_is_said_to_be_so(log: str) -> None:
    result = CliRunner().invoke(app, ["entities", "show", "Meta Platform", "--log", log])
    assert result.exit_code == Exit.FAILED
    assert "name:meta-platform" in result.output
    assert "meta (Meta Platforms, Inc." in result.output
    assert CliRunner().invoke(app, ["entities", "show", "?!", "--log", log]).exit_code == Exit.USAGE


def test_a_merger_needs_ingest() -> None:
    result = CliRunner().invoke(
        app,
        ["entities", "merge", "fb", "meta", "--publisher", "a test", "--ingest-url", "http://127.0.0.1:9"],
        env={"COLUMNS": "200"},
    )
    assert result.exit_code == Exit.UNREACHABLE
