from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from services.scoring.main import EXIT_USAGE, main
from services.scoring.metrics import ScoringMetrics
from services.scoring.settings import ScoringSettings
from services.scoring.topics import changelog_topic


def test_a_misspelt_variable_stops_the_start_with_exit_code_2_and_the_name_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SCORING_BOOTSTRAP_SERVER", "localhost:9092")
    assert main() == EXIT_USAGE
    assert "SCORING_BOOTSTRAP_SERVERS" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SCORING_PARTITIONS", "0"),
        ("SCORING_BOOTSTRAP_SERVERS", "localhost"),
        ("SCORING_CLOCK_STARTS_AT", "2025-06-12T00:00:00"),
        ("SCORING_STORE", "paper"),
    ],
)
def test_a_value_out_of_range_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ValidationError):
        ScoringSettings()


def test_the_service_clock_starts_where_it_is_told_and_runs_at_wall_speed() -> None:
    begins, wall = datetime(2025, 6, 12, tzinfo=UTC), datetime(2026, 11, 23, 12, tzinfo=UTC)
    told = ScoringSettings(clock_starts_at=begins)
    assert told.service_time(wall, wall + timedelta(minutes=5)) == begins + timedelta(minutes=5)
    assert ScoringSettings().service_time(wall, wall + timedelta(minutes=5)) == wall + timedelta(minutes=5)


def test_the_changelog_is_compacted_and_named_as_faust_names_it() -> None:
    topic = changelog_topic(ScoringSettings().changelog)
    assert topic.name == "neutrality-scoring-vertices-changelog"
    assert topic.config["cleanup.policy"] == "compact"


def test_every_series_is_there_from_the_start() -> None:
    registry = CollectorRegistry()
    ScoringMetrics(registry)
    assert registry.get_sample_value("scoring_events_applied_total", {"type": "interest"}) == 0.0
    assert registry.get_sample_value("scoring_records_rejected_total", {"reason": "wrong_key"}) == 0.0
    assert registry.get_sample_value("scoring_event_to_score_seconds_bucket", {"le": "0.001"}) == 0.0
    assert registry.get_sample_value("scoring_ready") == 0.0
