"""Digests and quiet hours by the clock on the wall, also on the days when it is set."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from neutrality.events.alert import Severity
from services.alerts.domain.schedule import Schedule, release_time

BERLIN = {"time_zone": "Europe/Berlin"}
DAILY = {"deliver": "daily", **BERLIN}
WEEKEND = {"start": "00:00", "end": "24:00", "days": ["sat", "sun"]}
NIGHT = {"start": "22:00", "end": "07:00"}


def released(raised: str, severity: Severity = "warning", **terms: Any) -> str:
    """Minutes in UTC."""
    found = release_time(datetime.fromisoformat(raised + "Z"), severity, Schedule.model_validate(terms))
    assert found.utcoffset() == UTC.utcoffset(None)
    return found.strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("rule_in_words", "raised", "expected", "terms"),
    [
        ("without terms at once", "2025-06-12T03:17", "2025-06-12T03:17", {}),
        ("hourly on the hour", "2025-06-12T03:17", "2025-06-12T04:00", {"deliver": "hourly"}),
        ("on the hour itself at once", "2025-06-12T03:00", "2025-06-12T03:00", {"deliver": "hourly"}),
        ("hourly by the wall, half an hour off", "2025-06-12T03:17", "2025-06-12T03:30", {"deliver": "hourly", "time_zone": "Asia/Kolkata"}),
        ("over a change by half an hour", "2025-04-05T14:45", "2025-04-05T15:30", {"deliver": "hourly", "time_zone": "Australia/Lord_Howe"}),
        ("daily today", "2025-06-12T03:17", "2025-06-12T07:00", DAILY),
        ("daily tomorrow", "2025-06-12T07:01", "2025-06-13T07:00", DAILY),
        ("daily keeps its wall time over the change to summer", "2025-03-29T12:00", "2025-03-30T07:00", DAILY),
        ("and over the change back", "2025-10-25T12:00", "2025-10-26T08:00", DAILY),
        ("a daily time that the clocks skip is the one as much later", "2025-03-29T12:00", "2025-03-30T01:30", {**DAILY, "daily_at": "02:30"}),
        ("a daily time that comes twice is the first", "2025-10-25T12:00", "2025-10-26T00:30", {**DAILY, "daily_at": "02:30"}),
        ("after the first of two it is tomorrow", "2025-10-26T00:31", "2025-10-27T01:30", {**DAILY, "daily_at": "02:30"}),
        ("quiet hours hold until their end", "2025-06-12T23:00", "2025-06-13T07:00", {"quiet_hours": [NIGHT]}),
        ("after midnight too", "2025-06-12T06:59", "2025-06-12T07:00", {"quiet_hours": [NIGHT]}),
        ("at their end they are over", "2025-06-12T07:00", "2025-06-12T07:00", {"quiet_hours": [NIGHT]}),
        ("by day they are not", "2025-06-12T12:00", "2025-06-12T12:00", {"quiet_hours": [NIGHT]}),
        ("only on their days", "2025-06-12T23:00", "2025-06-12T23:00", {"quiet_hours": [NIGHT | {"days": ["fri"]}]}),
        ("a day's hours reach into the next", "2025-06-14T03:00", "2025-06-14T07:00", {"quiet_hours": [NIGHT | {"days": ["fri"]}]}),
        ("one after another", "2025-06-13T23:00", "2025-06-16T07:00", {"quiet_hours": [NIGHT, WEEKEND]}),
        ("the night is an hour shorter when clocks go forward", "2025-03-29T22:00", "2025-03-30T05:00", {"quiet_hours": [NIGHT], **BERLIN}),
        ("and longer when they go back", "2025-10-25T22:00", "2025-10-26T06:00", {"quiet_hours": [NIGHT], **BERLIN}),
        ("a digest in quiet hours goes at their end", "2025-06-12T22:30", "2025-06-13T07:00", {"deliver": "hourly", "quiet_hours": [NIGHT]}),
        ("another zone, another night", "2025-06-12T06:00", "2025-06-12T14:00", {"quiet_hours": [NIGHT], "time_zone": "America/Los_Angeles"}),
    ],
)  # fmt: skip
def test_when_an_alert_goes_out(rule_in_words: str, raised: str, expected: str, terms: dict[str, Any]) -> None:
    assert released(raised, **_tuples(terms)) == expected, rule_in_words


def test_what_is_urgent_enough_breaks_through() -> None:
    terms = _tuples({"deliver": "daily", "quiet_hours": [NIGHT], "break_through": "warning"})
    assert [released("2025-06-12T23:00", severity, **terms) for severity in ("info", "warning", "critical")] == [
        "2025-06-13T09:00",
        "2025-06-12T23:00",
        "2025-06-12T23:00",
    ]


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ({"time_zone": "Mars/Olympus"}, "IANA time zone"),
        ({"time_zone": "../../etc/passwd"}, "IANA time zone"),
        ({"quiet_hours": [{"start": "25:00", "end": "07:00"}]}, "match pattern"),
        ({"quiet_hours": [{"start": "08:00", "end": "08:00"}]}, "no minute of the week"),
        ({"quiet_hours": [{"start": "00:00", "end": "12:00"}, {"start": "12:00", "end": "24:00"}]}, "no minute of the week"),
        ({"deliver": "weekly"}, "at_once"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(terms: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Schedule.model_validate(_tuples(terms))


def _tuples(terms: dict[str, Any]) -> dict[str, Any]:
    """As JSON is read: arrays are tuples."""
    if "quiet_hours" not in terms:
        return terms
    hours = tuple(
        {name: tuple(value) if isinstance(value, list) else value for name, value in one.items()} for one in terms["quiet_hours"]
    )
    return {**terms, "quiet_hours": hours}
