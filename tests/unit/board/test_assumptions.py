"""Changes as a reader puts them are links, and the events that they would be."""

from typing import Any

import pytest

from neutrality.events.assessment import Assessment
from neutrality.events.cloudevent import Event, event_to_json
from neutrality.scenario import load_scenario
from services.board.domain.assumptions import WrongChange, change_from, change_of, changes_from, events_of
from services.board.domain.replaying import what_if
from tests.support.events import AT, event, lab, vendor

DEAL = list(load_scenario("scale-ai-2025").events())


def assess(texts: list[str], known: list[Event] = DEAL, vendor_id: str = "scale-ai") -> Assessment:
    assumed = events_of(changes_from(texts), lambda entity: [one for one in known if one.data.subject == entity], AT)
    told = [(event_to_json(one), 0) for one in known]
    return what_if(told, [event_to_json(one) for one in assumed], AT).after[vendor_id]


@pytest.mark.parametrize(
    "text",
    [
        "stake~meta~scale-ai~equity~51.0~completed",
        "stake~meta~scale-ai~votes~12.5~announced",
        "leaves~google~scale-ai",
        "spends~google~scale-ai~150.0~2025",
        "seat~meta~scale-ai",
    ],
)
def test_a_change_is_read_from_its_own_link(text: str) -> None:
    assert change_from(text).text == text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"kind": "war"}, "no such change"),
        ({"kind": "stake", "party": "Meta!", "subject": "scale-ai", "aspect": "votes", "percent": "5"}, "party: an entity's id"),
        ({"kind": "stake", "party": "meta", "subject": "scale-ai", "aspect": "votes", "percent": "101"}, "percent:"),
        ({"kind": "stake", "party": "meta", "subject": "meta", "aspect": "votes", "percent": "10"}, "the subject itself"),
        ({"kind": "stake", "party": "meta", "subject": "scale-ai", "aspect": "votes", "percent": "nan"}, "percent:"),
        ({"kind": "spends", "party": "meta", "subject": "scale-ai", "millions": "1"}, "year:"),
        ({"kind": "leaves", "party": "", "subject": "scale-ai"}, "party:"),
    ],
)
def test_a_wrong_change_is_told_by_its_field(fields: dict[str, Any], told: str) -> None:
    with pytest.raises(WrongChange, match=told.replace("(", r"\(")):
        change_of(fields)


@pytest.mark.parametrize("text", ["", "stake", "stake~a~b", "leaves~a~b~c", "leaves~A~b", "stake~a~b~gold~1~completed"])
def test_a_broken_link_is_refused(text: str) -> None:
    with pytest.raises(WrongChange):
        change_from(text)


def test_a_share_replaces_the_one_that_is_held() -> None:
    assert assess([]).score_for("google").confirmed == pytest.approx(38.9, abs=0.05)
    assert assess(["stake~meta~scale-ai~equity~49~completed"]).score_for("google").confirmed == pytest.approx(38.9, abs=0.05)
    more = assess(["stake~meta~scale-ai~votes~51~completed"]).score_for("google")
    assert more.confirmed == pytest.approx(0.0, abs=0.05)


def test_a_share_of_nothing_ends_it() -> None:
    none = assess(["stake~meta~scale-ai~equity~0~completed"]).score_for("google").confirmed
    assert none == pytest.approx(100 * 0.64, abs=0.05)  # the governance ties stay


def test_several_holdings_of_one_party_become_one() -> None:
    known = [lab("meta"), vendor("works")]
    known += [
        event(
            "interest",
            subject="works",
            interested_party="meta",
            interest_type="shareholding",
            share={"exact": 0.2},
            claim_id=claim,
        )
        for claim in ("first", "second")
    ]
    assert assess([], known, "works").headline.confirmed == pytest.approx(100 * (1 - 0.8 * 0.4))
    assert assess(["stake~meta~works~equity~10~completed"], known, "works").headline.confirmed == pytest.approx(92.0)


def test_who_leaves_sways_no_more() -> None:
    assert assess([]).score_for("openai").confirmed == pytest.approx(35.6, abs=0.05)
    assert assess(["leaves~google~scale-ai"]).score_for("openai").confirmed == pytest.approx(38.9, abs=0.05)


def test_an_announced_share_moves_the_projected_score_alone() -> None:
    known = [lab("meta"), vendor("works")]
    known.append(event("interest", subject="works", interested_party="fund", interest_type="shareholding", share={"exact": 0.2}))
    found = assess(["stake~meta~works~equity~49~announced"], known, "works").headline
    assert found.confirmed == 100.0
    assert found.projected < 70.0


def test_a_seat_and_spending_count() -> None:
    found = assess(["seat~google~scale-ai", "spends~google~scale-ai~435~2024"]).score_for("openai")
    assert found.confirmed < 35.6 * 0.85
