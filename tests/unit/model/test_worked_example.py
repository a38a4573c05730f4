"""The worked example of the methodology: Scale AI before and after rows 10 and 11 of the reference scenario."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from neutrality.events.assessment import Assessment, assessment_to_bytes, attribute, parse_assessment
from neutrality.events.cloudevent import Event
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.model.stored import vertex_from_bytes, vertex_to_bytes
from tests.support.events import AT, event, lab, stake, vendor

ANONYMOUS = ("anonymous_source", 2)
BEFORE = [
    *[lab(name, name=name.title()) for name in ("google", "meta", "openai")],
    vendor("scale-ai", name="Scale AI"),
    stake("accel", "scale-ai", None),
    event("revenue", by=ANONYMOUS, subject="scale-ai", fiscal_year=2024, amount={"amount": "870000000"}),
    event("revenue", by=ANONYMOUS, subject="scale-ai", customer="google", fiscal_year=2024, amount={"amount": "150000000"}),
    event("role", claim_id="ceo", subject="scale-ai", person="wang", role_type="executive"),
    event("role", claim_id="board", subject="scale-ai", person="wang", role_type="board_member"),
]
STAKE = "meta-shareholding"


def deal(status: str, day: int) -> list[Event]:
    return [
        stake("meta", "scale-ai", 0.49, status=status, day=day),
        stake("meta", "scale-ai", 0.0, of="votingRights", status=status, day=day),
        event(
            "role",
            claim_id="ceo",
            status="terminated" if status == "completed" else status,
            day=day,
            subject="scale-ai",
            person="wang",
            role_type="executive",
            left_for="meta",
        ),
        event("role", claim_id="at-meta", status=status, day=day, subject="meta", person="wang", role_type="executive"),
    ]


ANNOUNCED, COMPLETED = deal("announced", 100), deal("completed", 101)


def assessed(*events: Event, at: datetime = AT) -> Assessment:
    runner = LocalRunner(load_methodology(), at)
    runner.apply(events)
    return runner.assessments["scale-ai"]


def test_before_the_deal_google_sees_full_neutrality_and_the_others_googles_share_of_revenue() -> None:
    before = assessed(*BEFORE)
    assert before.score_for("google").confirmed == 100.0
    assert before.headline.confirmed == pytest.approx(100 * (1 - 0.5 * 150 / 870))
    assert before.score_for("openai") == before.headline
    assert (before.headline.grade, before.headline.outlook, before.headline.watch) == ("N1", "stable", None)


def test_an_announced_deal_moves_only_the_projected_score_the_outlook_and_the_watch() -> None:
    before, announced = assessed(*BEFORE), assessed(*BEFORE, *ANNOUNCED)
    for name in ("google", "openai"):
        score = announced.score_for(name)
        assert score.confirmed == before.score_for(name).confirmed
        assert score.projected < score.confirmed - 25
        assert (score.outlook, score.watch) == ("negative", "down")
    assert announced.score_for("meta").watch is None


def test_the_completed_deal_gives_the_published_scores() -> None:
    after = assessed(*BEFORE, *ANNOUNCED, *COMPLETED)
    assert after.score_for("google").confirmed == pytest.approx(100 * (1 - 0.8 * 0.49) * (1 - 0.6 * 0.6))
    assert [round(after.score_for(name).confirmed, 1) for name in ("google", "openai", "meta")] == [38.9, 35.6, 91.4]
    assert [after.score_for(name).grade for name in ("google", "openai", "meta")] == ["N4", "N4", "N1"]


def test_attributions_add_up_to_the_points_lost_with_ownership_first_and_no_votes() -> None:
    after = assessed(*BEFORE, *COMPLETED)
    rows = attribute(after, "openai")
    assert math.fsum(row.points for row in rows) == pytest.approx(100 - after.score_for("openai").confirmed, abs=1e-9)
    by_channel: dict[str, float] = {}
    for row in rows:
        by_channel[row.channel] = by_channel.get(row.channel, 0.0) + row.points
    assert sorted(by_channel, key=lambda channel: -by_channel[channel]) == ["ownership", "governance", "revenue"]
    note = after.claim(STAKE)
    assert note is not None
    assert note.summary == "Meta holds 49 % of the equity of Scale AI"


def test_retracting_the_deal_restores_the_earlier_scores_exactly() -> None:
    back = [
        event(
            "correction",
            day=120,
            subject=done.data.subject,
            retracts_event={"source": done.source, "id": done.id},
            reason="a test",
        )
        for done in (*ANNOUNCED, *COMPLETED)
    ]
    before, after = assessed(*BEFORE), assessed(*BEFORE, *ANNOUNCED, *COMPLETED, *back)
    assert (after.headline, after.labs) == (before.headline, before.labs)


def test_the_departed_executive_cools_off_after_24_months_without_an_event() -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([*BEFORE, *COMPLETED])
    departed = datetime(2025, 4, 12, tzinfo=UTC)
    runner.pass_time(departed.replace(year=2027) - timedelta(seconds=1))
    assert round(runner.assessments["scale-ai"].score_for("google").confirmed, 1) == 38.9
    runner.pass_time(departed.replace(year=2027))
    assert runner.assessments["scale-ai"].score_for("google").confirmed == pytest.approx(100 * 0.608 * (1 - 0.6 * 0.2))


def test_a_future_effective_date_becomes_effective_when_its_time_comes() -> None:
    closing = stake("meta", "scale-ai", 0.49, effective_time="2025-09-01T00:00:00Z", day=90)
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([*BEFORE, closing])
    assert runner.assessments["scale-ai"].score_for("google").confirmed == 100.0
    runner.pass_time(datetime(2025, 9, 1, tzinfo=UTC))
    assert runner.assessments["scale-ai"].score_for("google").confirmed == pytest.approx(60.8)


def test_a_watch_lapses_after_90_days_unless_reaffirmed() -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([*BEFORE, *ANNOUNCED])
    runner.pass_time(AT + timedelta(days=89))
    assert runner.assessments["scale-ai"].score_for("google").watch == "down"
    runner.pass_time(AT + timedelta(days=90))
    assert runner.assessments["scale-ai"].score_for("google").watch is None


HOLDING = [lab("meta"), lab("google"), vendor("scale-ai"), stake("fund", "holding", 0.9), stake("holding", "scale-ai", 0.8)]
FUND_SELLS = stake("meta", "holding", 0.9, status="announced", day=160, claim_id="meta-buys")


def test_a_deal_announced_further_up_puts_the_vendor_on_watch_until_it_is_called_off() -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([*HOLDING, FUND_SELLS])
    score = runner.assessments["scale-ai"].score_for("google")
    assert (score.grade, score.outlook, score.watch) == ("N1", "negative", "down")
    assert runner.assessments["scale-ai"].score_for("meta").watch is None
    runner.apply([event("correction", subject="holding", retracts_claim="meta-buys", reason="called off", day=161)])
    score = runner.assessments["scale-ai"].score_for("google")
    assert (score.outlook, score.watch) == ("stable", None)


def test_a_watch_for_what_happens_further_up_lapses_as_any_other() -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([*HOLDING, FUND_SELLS])
    runner.pass_time(AT + timedelta(days=89))
    assert runner.assessments["scale-ai"].score_for("google").watch == "down"
    runner.pass_time(AT + timedelta(days=90))
    score = runner.assessments["scale-ai"].score_for("google")
    assert (score.outlook, score.watch) == ("negative", None)


def test_a_deal_announced_in_a_ring_of_owners_leaves_no_echo_once_it_is_called_off() -> None:
    ring = [stake("a", "b", 0.9), stake("b", "c", 0.9), stake("c", "a", 0.4), stake("c", "scale-ai", 0.9)]
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([lab("meta"), lab("google"), vendor("scale-ai"), *ring])
    calm = runner.vertices["scale-ai"].profile.value, runner.assessments["scale-ai"].unversioned()
    runner.apply([stake("meta", "a", 0.6, status="announced", day=160, claim_id="meta-buys")])
    assert runner.assessments["scale-ai"].score_for("google").watch == "down"
    runner.apply([event("correction", subject="a", retracts_claim="meta-buys", reason="called off", day=161)])
    assert (runner.vertices["scale-ai"].profile.value, runner.assessments["scale-ai"].unversioned()) == calm


def test_state_and_assessment_survive_their_wire_form() -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([*BEFORE, *ANNOUNCED, *COMPLETED])
    for state in runner.vertices.values():
        assert vertex_from_bytes(vertex_to_bytes(state)) == state
    found = runner.assessments["scale-ai"]
    assert parse_assessment(assessment_to_bytes(found)) == found


def test_nothing_known_is_not_neutral() -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([vendor("turing")])
    assert runner.assessments["turing"].headline.grade == "NR"
    assert runner.assessments["turing"].coverage == {"ownership": False, "votes": False, "governance": False, "revenue": False}
