"""Settings of the database: SQLite by default, PostgreSQL by URL, its password where it is not shown."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from services.alerts.settings import AlertsSettings

SERVER = "postgresql+asyncpg://alerts@db.example:5432/alerts"


def test_sqlite_is_the_default_with_its_keys_beside_it() -> None:
    settings = AlertsSettings()
    assert settings.is_sqlite
    assert settings.key_file == Path(".local/alerts.key")


@pytest.mark.parametrize("of", ["setting", "file", "url"])
def test_a_password_is_a_setting_a_file_or_in_the_url_and_never_shown(tmp_path: Path, of: str) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    all_given: dict[str, dict[str, Any]] = {
        "setting": {"database_url": SERVER, "database_password": SecretStr("hunter2")},
        "file": {"database_url": SERVER, "database_password_file": secret},
        "url": {"database_url": SERVER.replace("alerts@", "alerts:hunter2@")},
    }
    settings = AlertsSettings(secrets_key_file=tmp_path / "keys", **all_given[of])
    assert settings.database().password == secret.read_text().strip()
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings.database())


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"database_url": "mysql://x/y"}, "database_url"),
        ({"database_url": SERVER}, "`secrets_key_file` must be named"),
        ({"database_password": SecretStr("x")}, "a SQLite file has none"),
        (
            {"database_url": SERVER, "database_password": SecretStr("x"), "database_password_file": Path("y")},
            "not several",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_to_do(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        AlertsSettings(**given)
