"""What a lab may ask for, in the present version and for short; what cannot be is refused with the place and the fix."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from services.alerts.domain.conditions import GradeChange, LevelCrossed, ScoreDrop, condition_key
from services.alerts.domain.subscription import Subscription, SubscriptionTerms, TermsDocument


def read(**document: Any) -> SubscriptionTerms:
    return TermsDocument.model_validate_json(orjson.dumps(document)).terms()


def keys(terms: SubscriptionTerms) -> list[str]:
    return [condition_key(condition) for condition in terms.conditions]


def test_without_more_the_usual_conditions_on_every_vendor_at_once() -> None:
    terms = read()
    assert keys(terms) == ["score_drop", "grade", "outlook", "watch", "correction"]
    assert terms.watches_everything
    assert terms == SubscriptionTerms()
    assert terms.settling_s == 0


def test_terms_of_version_1_are_read_as_they_were_meant() -> None:
    kept = {"vendors": None, "rules": ["score_drop", "grade", "outlook", "watch"], "drop_points": 7.5}
    terms = read(**kept)
    assert keys(terms) == ["score_drop", "grade", "outlook", "watch"]
    assert terms.conditions[0] == ScoreDrop(points=7.5)
    assert terms.version == 2


def test_points_for_short_go_with_the_usual_conditions() -> None:
    assert read(vendors=["scale-ai"], drop_points=3.0).conditions[0] == ScoreDrop(points=3.0)
    assert keys(read(rules=["grade", "coverage", "grade"])) == ["grade", "coverage"]


def test_what_is_kept_is_read_back_the_same() -> None:
    terms = read(
        categories=["data-labelling"],
        portfolio=True,
        conditions=[
            {"rule": "level", "at": 50.0, "view": "projected"},
            {"rule": "influence", "channel": "ownership", "above": 0.25, "rivals": ["meta"]},
        ],
        minimum_severity="warning",
        settling_s=300,
        schedule={
            "deliver": "daily",
            "time_zone": "Europe/Berlin",
            "quiet_hours": [{"start": "22:00", "end": "07:00", "days": ["sat"]}],
        },
        endpoints=["desk"],
        remind_every_s=3600,
        escalation={"after_s": 7200, "endpoints": ["boss"]},
    )
    assert keys(terms) == ["level:50:projected", "influence:ownership:0.25"]
    assert TermsDocument.model_validate_json(terms.model_dump_json()).terms() == terms
    assert Subscription.of("google", "desk", terms).terms() == terms


def test_several_of_one_rule_are_told_apart() -> None:
    levels = [{"rule": "level", "at": at} for at in (75.0, 50.0)]
    assert keys(read(conditions=levels)) == ["level:75", "level:50"]
    assert keys(read(conditions=[{"rule": "grade"}, {"rule": "grade", "view": "projected"}])) == ["grade", "grade:projected"]
    assert condition_key(GradeChange()) == "grade"
    assert condition_key(LevelCrossed(at=0.5)) == "level:0.5"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"conditions": [{"rule": "level", "at": 50.0}, {"rule": "level", "at": 50.0}]}, "two conditions are level:50"),
        ({"conditions": [{"rule": "grade"}], "drop_points": 3.0}, "not both"),
        ({"conditions": []}, "at least 1 item"),
        ({"conditions": [{"rule": "gossip"}]}, "does not match any of the expected tags"),
        ({"conditions": [{"rule": "level"}]}, "Field required"),
        ({"conditions": [{"rule": "outlook", "view": "projected"}]}, "Extra inputs"),
        ({"rules": ["level"]}, "Input should be"),
        ({"settling_s": -1}, "greater than or equal to 0"),
        ({"remind_every_s": 5}, "greater than or equal to 60"),
        ({"escalation": {"after_s": 60, "endpoints": []}}, "at least 1 item"),
        ({"minimum_severity": "fatal"}, "'info', 'warning' or 'critical'"),
        ({"version": 3}, "Input should be 1 or 2"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_what_cannot_be_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        read(**document)


@pytest.mark.parametrize(
    ("rule_in_words", "terms", "reached"),
    [
        ("all endpoints, if none are named", {}, {"desk", "boss"}),
        ("those named alone", {"endpoints": ["desk"]}, {"desk"}),
        ("those of the escalation not at first", {"escalation": {"after_s": 60, "endpoints": ["boss"]}}, {"desk"}),
        ("unless they are named too", {"endpoints": ["desk", "boss"], "escalation": {"after_s": 60, "endpoints": ["boss"]}}, {"desk", "boss"}),
    ],
)  # fmt: skip
def test_which_endpoints_get_alerts_at_first(rule_in_words: str, terms: dict[str, Any], reached: set[str]) -> None:
    assert {name for name in ("desk", "boss") if read(**terms).reaches(name)} == reached, rule_in_words
