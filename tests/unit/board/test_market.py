"""What moved is measured against what was published when the window began."""

from datetime import timedelta
from typing import Any

import pytest

from neutrality.events.cloudevent import event_to_json
from services.board.domain.market import Market, Past, Window
from services.board.domain.replaying import published
from tests.support.assessments import assessment, score
from tests.support.events import event, lab, vendor

DAY = int(timedelta(days=1) / timedelta(milliseconds=1))
NOW = 20_700 * DAY


def market(*published_at: tuple[int, float]) -> Market:
    found = Market()
    for version, (at_ms, points) in enumerate(published_at, start=1):
        found.take(assessment(version, score(points), google=score(points / 2)), at_ms)
    return found


@pytest.mark.parametrize(("window", "points"), [("day", -5.0), ("week", -15.0), ("quarter", -35.0)])
def test_a_move_is_the_difference_to_the_score_at_the_windows_beginning(window: Window, points: float) -> None:
    known = market((NOW - 200 * DAY, 100.0), (NOW - 60 * DAY, 80.0), (NOW - 3 * DAY, 70.0), (NOW - DAY // 2, 65.0))
    assert known.moved("scale-ai", None, window, NOW) == pytest.approx(points)
    assert known.moved("scale-ai", "google", window, NOW) == pytest.approx(points / 2)


def test_a_vendor_that_is_new_is_compared_with_its_first_rating() -> None:
    known = market((NOW - 5, 90.0), (NOW - 2, 40.0))
    assert known.moved("scale-ai", None, "week", NOW) == pytest.approx(-50.0)
    assert known.moved("nobody", None, "week", NOW) is None


def test_what_is_not_rated_has_not_moved() -> None:
    known = Market()
    known.take(assessment(1, score(100.0, grade="NR")), NOW - 5)
    assert known.moved("scale-ai", None, "day", NOW) is None
    known.take(assessment(2, score(60.0, grade="N3")), NOW - 1)
    assert known.moved("scale-ai", None, "day", NOW) == pytest.approx(0.0)


def test_an_older_version_changes_nothing() -> None:
    known = market((1, 90.0), (2, 40.0))
    assert not known.take(assessment(2, score(1.0)), 3)
    assert known.vendors["scale-ai"].headline.confirmed == 40.0
    assert known.sequence == 2


def test_what_was_published_before_the_start_comes_in_front_of_what_was_seen() -> None:
    known = market((NOW - DAY, 50.0))
    known.recall({"scale-ai": [Past(NOW - 100 * DAY, 90.0, {}), Past(NOW - DAY // 2, 10.0, {})]})
    assert known.moved("scale-ai", None, "quarter", NOW) == pytest.approx(-40.0)


def test_what_was_published_is_worked_out_from_the_log_by_when_kafka_took_the_events() -> None:
    stake: dict[str, Any] = {"interested_party": "meta", "interest_type": "shareholding", "claim_id": "stake"}
    told = [
        (lab("meta"), 0),
        (vendor("works"), 0),
        (event("interest", subject="works", share={"exact": 0.1}, **stake), NOW - 50 * DAY),
        (event("interest", subject="works", share={"exact": 0.5}, day=9, **stake), NOW - 2 * DAY),
    ]
    past = published([(event_to_json(one), ms) for one, ms in told], NOW - 91 * DAY, NOW)
    assert [round(one.headline or -1.0) for one in past["works"]] == [-1, 92, 60]
    assert past["works"][-1].at_ms == NOW - 2 * DAY
