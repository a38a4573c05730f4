"""`neutrality keys`: the file that ingest reads, and events signed with what it makes."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from neutrality.api_keys import digest_of
from neutrality.broker.memory import MemoryBroker
from neutrality.cli.exits import Exit
from neutrality.cli.main import app
from neutrality.events.cloudevent import event_from_kafka
from neutrality.publishers import Publishers
from services.ingest.entrypoints.openapi import EXAMPLES
from tests.support.ingest import served_ingest


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "publishers.json"


def keys(file: Path, *arguments: object) -> Result:
    return CliRunner().invoke(app, ["keys", *map(str, arguments), "--file", str(file)], env={"COLUMNS": "200"})


def made(result: Result) -> dict[str, Any]:
    assert result.exit_code == Exit.OK, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def known(file: Path) -> Publishers:
    return Publishers.model_validate_json(file.read_bytes())


def test_a_key_is_shown_once_and_kept_as_its_digest(file: Path) -> None:
    first = made(
        keys(file, "create", "desk", "--source", "https://example.com/desk", "--type", "interest", "--rate", "5", "--json")
    )
    assert first["token"] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [key] = known(file).publishers["desk"].keys
    assert (key.id, key.sha256) == (first["id"], digest_of(first["token"]))
    listed = keys(file, "list")
    assert "desk" in listed.output
    assert digest_of(first["token"])[:10] not in listed.output


def test_another_key_keeps_what_was_told_of_the_publisher(file: Path) -> None:
    made(keys(file, "create", "desk", "--source", "https://example.com/desk", "--type", "interest", "--json"))
    made(keys(file, "create", "desk", "--days", "30", "--json"))
    desk = known(file).publishers["desk"]
    assert (desk.sources, desk.types, len(desk.keys)) == (("https://example.com/desk",), ("interest",), 2)
    assert [key.expires is None for key in desk.keys] == [True, False]


def test_rotation_lets_the_old_keys_expire_and_revocation_takes_one_away(file: Path) -> None:
    old = made(keys(file, "create", "desk", "--source", "urn:desk", "--json"))
    new = made(keys(file, "rotate", "desk", "--grace-hours", "1", "--json"))
    assert [(key.id, key.expires is None) for key in known(file).publishers["desk"].keys] == [
        (old["id"], False),
        (new["id"], True),
    ]
    assert keys(file, "revoke", "desk", old["id"]).exit_code == Exit.OK
    assert [key.id for key in known(file).publishers["desk"].keys] == [new["id"]]
    assert keys(file, "revoke", "desk", old["id"]).exit_code == Exit.FAILED


def test_wrong_usage_changes_nothing(file: Path) -> None:
    assert keys(file, "create", "desk").exit_code == Exit.USAGE
    assert keys(file, "create", "desk", "--source", "urn:a", "--type", "club").exit_code == Exit.USAGE
    assert keys(file, "create", "Desk 1", "--source", "urn:a").exit_code == Exit.USAGE
    assert keys(file, "rotate", "nobody").exit_code == Exit.FAILED
    assert not file.exists()
    file.write_text("{")
    assert keys(file, "list").exit_code == Exit.USAGE


def test_events_are_signed_with_the_key_that_was_made(file: Path, tmp_path: Path) -> None:
    made(keys(file, "create", "desk", "--source", "https://example.org/newsroom", "--json"))
    private = tmp_path / "desk.key"
    assert keys(file, "signing-key", "desk", "-o", private, "--require").exit_code == Exit.OK
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert known(file).publishers["desk"].require_signature
    events = tmp_path / "events.json"
    events.write_text(json.dumps(EXAMPLES["interest"]))
    broker = MemoryBroker()
    with served_ingest(broker) as url:
        arguments = ["publish", str(events), "--sign-with", str(private), "--ingest-url", url]
        assert CliRunner().invoke(app, arguments).exit_code == Exit.OK
        assert CliRunner().invoke(app, [*arguments[:-3], str(events), *arguments[-2:]]).exit_code == Exit.USAGE
    [record] = broker.records("neutrality.ownership")
    assert event_from_kafka(record.headers, record.value).signature is not None
    assert private.read_text() not in str(record)
