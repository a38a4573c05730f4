"""Reminders and escalations follow what was lost, until it is acknowledged or no longer so."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from neutrality.events.alert import Alert
from neutrality.events.assessment import Score
from services.alerts.domain.following import (
    calls_for_acknowledgement,
    escalation_due,
    reminder_due,
    reminder_of,
    still_holds,
)
from services.alerts.domain.subscription import Subscription
from tests.support.assessments import assessment, score

NOW = datetime(2025, 6, 12, 21, 30, tzinfo=UTC)
DROP = Alert(
    "al_1", "google", "desk", "score_drop", "scale-ai", "Scale AI", 2, "fell", score(100.0), score(60.8, grade="N3"), (),
    "2025-06-12T21:30:00Z", severity="critical", points=39.2, group="gr_1",
)  # fmt: skip


def wanting(**terms: Any) -> Subscription:
    return Subscription.model_validate({"lab": "google", "name": "desk", **terms})


def test_who_asks_for_none_gets_none() -> None:
    assert reminder_due(wanting(), DROP, NOW) is None
    assert escalation_due(wanting(), DROP, NOW) is None


def test_reminders_come_at_their_interval_but_not_in_quiet_hours() -> None:
    assert reminder_due(wanting(remind_every_s=600), DROP, NOW) == NOW + timedelta(minutes=10)
    night = {"quiet_hours": ({"start": "22:00", "end": "07:00"},), "deliver": "daily"}
    assert reminder_due(wanting(remind_every_s=3600, schedule=night), DROP, NOW) == datetime(2025, 6, 13, 7, tzinfo=UTC)
    urgent = wanting(remind_every_s=3600, schedule={**night, "break_through": "critical"})
    assert reminder_due(urgent, DROP, NOW) == NOW + timedelta(hours=1)


def test_an_escalation_does_not_wait_for_the_morning() -> None:
    terms = {
        "escalation": {"after_s": 3600, "endpoints": ("boss",)},
        "schedule": {"quiet_hours": ({"start": "22:00", "end": "07:00"},)},
    }
    assert escalation_due(wanting(**terms), DROP, NOW) == NOW + timedelta(hours=1)


@pytest.mark.parametrize(
    ("rule_in_words", "changes", "calls"),
    [
        ("a loss does", {}, True),
        ("an improvement does not", {"points": 0.0}, False),
        ("a correction does", {"points": 0.0, "corrects": ("al_0",)}, True),
        ("a reminder does not itself", {"reminds": "al_0", "reminder": 1}, False),
    ],
)
def test_what_calls_for_acknowledgement(rule_in_words: str, changes: dict[str, Any], calls: bool) -> None:
    alert = replace(DROP, **changes)
    assert calls_for_acknowledgement(alert) is calls, rule_in_words
    assert (reminder_due(wanting(remind_every_s=60), alert, NOW) is not None) is calls


def test_a_reminder_is_the_same_under_an_id_and_a_group_of_its_own() -> None:
    first, second = reminder_of(DROP, 1, NOW), reminder_of(DROP, 2, NOW)
    assert (first.reminds, first.reminder, first.title, first.raised_at) == ("al_1", 1, "fell", "2025-06-12T21:30:00Z")
    assert len({DROP.id, first.id, second.id}) == len({DROP.group, first.group, second.group}) == 3
    assert reminder_of(DROP, 1, NOW) == first


@pytest.mark.parametrize(
    ("rule", "now", "holds"),
    [
        ("score_drop", score(60.8), True),
        ("score_drop", score(50.0), True),
        ("score_drop", score(70.0), False),
        ("level", score(55.0), True),
        ("level", score(70.0), False),
        ("grade", score(70.0, grade="N3"), True),
        ("grade", score(95.0), False),
        ("outlook", score(60.8, outlook="stable"), True),
        ("outlook", score(60.8, outlook="negative"), False),
        ("watch", score(60.8), True),
        ("watch", score(60.8, watch="up"), False),
        ("influence", score(95.0), True),
        ("coverage", score(95.0), True),
    ],
)
def test_whether_it_still_holds(rule: Any, now: Score, holds: bool) -> None:
    assert still_holds(replace(DROP, rule=rule), assessment(3, now)) is holds


def test_a_rise_holds_until_it_is_lost_again_and_a_projected_fall_by_the_projected_score() -> None:
    rise = replace(DROP, rule="score_rise", points=0.0)
    assert still_holds(rise, assessment(3, score(70.0)))
    assert not still_holds(rise, assessment(3, score(50.0)))
    projected = replace(DROP, view="projected")
    assert still_holds(projected, assessment(3, score(100.0, projected=60.0)))
    assert not still_holds(projected, assessment(3, score(60.0, projected=90.0)))
