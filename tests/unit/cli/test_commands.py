"""The command line: usage, exit codes and JSON that scripts can rely on."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from neutrality.cli.exits import Exit
from neutrality.cli.main import app

NOBODY = "http://127.0.0.1:9"
COMMANDS = (
    "up",
    "broker",
    "publish",
    "import",
    "watch",
    "validate",
    "scores",
    "explain",
    "subscribe",
    "whatif",
    "replay",
    "verify",
)


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == Exit.OK
    assert result.output.startswith("neutrality 0.")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_json_and_the_exit_codes(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == Exit.OK
    assert "Example: neutrality" in result.output
    assert "--json" in result.output
    assert "Exit codes: 0 done" in result.output


def test_a_scenario_can_be_printed_as_events_that_publish_takes(tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["publish", "--scenario", "scale-ai-2025", "--print"])
    assert printed.exit_code == Exit.OK
    lines = printed.output.splitlines()
    assert json.loads(lines[0])["specversion"] == "1.0"
    file = tmp_path / "events.jsonl"
    file.write_text(printed.output)
    assert CliRunner().invoke(app, ["publish", str(file), "--print"]).output == printed.output


def test_an_event_that_is_none_is_told_with_line_pointer_and_detail(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text('{"specversion":"1.0","type":"watch.neutrality.gossip.v1"}\n')
    result = CliRunner().invoke(app, ["publish", str(file), "--ingest-url", NOBODY])
    assert result.exit_code == Exit.FAILED
    assert "line 1  /type: unknown type 'watch.neutrality.gossip.v1'" in result.stderr
    assert "0 accepted, 1 refused" in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish"],
        ["publish", "a-file", "--scenario", "scale-ai-2025"],
        ["publish", "--scenario", "no-such"],
        ["publish", "/no/such/file"],
        ["subscribe", "--lab", "google", "--rule", "no-such"],
        ["up", "--kafka-port", "0"],
    ],
    ids=" ".join,
)
def test_wrong_usage_ends_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == Exit.USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ["publish", "--scenario", "scale-ai-2025", "--ingest-url", NOBODY, "--patience", "0"],
        ["subscribe", "--lab", "google", "--no-follow", "--alerts-url", NOBODY],
    ],
    ids=lambda arguments: str(arguments[0]),
)
def test_a_service_that_does_not_answer_ends_with_3(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == Exit.UNREACHABLE
    assert "does not answer" in result.stderr
