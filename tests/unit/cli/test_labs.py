"""`neutrality labs`: the file of labs' keys."""

import json
import stat
from pathlib import Path

from typer.testing import CliRunner, Result

from neutrality.api_keys import digest_of
from neutrality.cli.exits import Exit
from neutrality.cli.main import app
from neutrality.labs import Labs


def labs(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["labs", *arguments, "--file", str(file)], env={"COLUMNS": "200"})


def test_keys_are_made_shown_once_rotated_and_revoked(tmp_path: Path) -> None:
    file = tmp_path / "labs.json"
    first = json.loads(labs(file, "create", "google", "--scope", "read", "--days", "90", "--json").stdout)
    assert first["token"] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [key] = Labs.model_validate_json(file.read_bytes()).labs["google"]
    assert (key.id, key.sha256, key.scopes) == (first["id"], digest_of(first["token"]), ("read",))
    second = json.loads(labs(file, "rotate", "google", "--grace-hours", "1", "--json").stdout)
    old, new = Labs.model_validate_json(file.read_bytes()).labs["google"]
    assert (new.id, new.scopes, new.expires) == (second["id"], ("read", "manage"), None)
    assert old.expires is not None
    assert old.expires < (key.expires or old.expires)
    listed = labs(file, "list")
    assert first["id"] in listed.stdout
    assert digest_of(first["token"])[:10] not in listed.stdout
    assert labs(file, "revoke", "google", first["id"]).exit_code == Exit.OK
    assert [one.id for one in Labs.model_validate_json(file.read_bytes()).labs["google"]] == [second["id"]]


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    file = tmp_path / "labs.json"
    assert "no scope write; there are read, manage" in labs(file, "create", "google", "--scope", "write").stderr
    assert labs(file, "create", "Go ogle").exit_code == Exit.USAGE
    assert "no lab 'google' has a key" in labs(file, "revoke", "google", "x").stderr
    labs(file, "create", "google")
    assert "google has no key x" in labs(file, "revoke", "google", "x").stderr
    file.write_text("{")
    assert labs(file, "list").exit_code == Exit.USAGE
