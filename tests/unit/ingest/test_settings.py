"""Settings are checked at start."""

import pytest
from pydantic import ValidationError

from services.ingest.settings import IngestSettings


def test_defaults_stay_on_this_machine() -> None:
    settings = IngestSettings()
    assert (settings.host, settings.port, settings.max_body_bytes) == ("127.0.0.1", 8801, 1048576)


@pytest.mark.parametrize(
    ("name", "value"), [("INGEST_PORT", "70000"), ("INGEST_BOOTSTRAP_SERVERS", "nowhere"), ("INGEST_PORTT", "1")]
)
def test_a_wrong_or_misspelt_variable_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        IngestSettings()
