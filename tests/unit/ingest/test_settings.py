"""Settings are checked at start."""

import sys

import pytest
from pydantic import ValidationError

from services.ingest.main import main
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


def test_a_producer_whose_extra_is_missing_ends_the_start_and_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INGEST_PRODUCER", "librdkafka")
    monkeypatch.delitem(sys.modules, "neutrality.broker.librdkafka", raising=False)
    monkeypatch.setitem(sys.modules, "confluent_kafka", None)
    monkeypatch.setattr(sys, "argv", ["ingest"])
    monkeypatch.setattr("services.ingest.main.configure_logs", lambda: None)
    assert main() == 2
    assert "INGEST_PRODUCER=librdkafka needs the extra `fast`" in capsys.readouterr().err
