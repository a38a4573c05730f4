"""The channels one by one: what the model says beyond the literature (for that see `test_literature`)."""

import pytest

from neutrality.events.assessment import Assessment, Channel
from neutrality.events.cloudevent import Event
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.model.ownership import Stake, allot, integrated
from tests.support.events import AT, event, lab, stake, vendor


def run(*events: Event) -> LocalRunner:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply(events)
    return runner


def owned(runner: LocalRunner, lab_id: str, entity: str) -> float:
    profile = runner.vertices[entity].profile.value
    assert profile is not None
    return integrated(profile.exposure(lab_id, "confirmed").levels)


def influence(assessment: Assessment, lab_id: str, channel: Channel) -> float:
    return next((term.influence for term in assessment.confirmed if (term.lab, term.channel) == (lab_id, channel)), 0.0)


def test_stated_shares_over_one_are_scaled_down_in_proportion_and_flagged() -> None:
    runner = run(lab("r"), vendor("v"), stake("r", "v", 0.9), stake("fund", "v", 0.6))
    assessment = runner.assessments["v"]
    assert owned(runner, "r", "v") == pytest.approx(0.6)
    assert "shares_over_one" in assessment.flags


def test_an_unknown_share_never_takes_from_a_known_one() -> None:
    held = [Stake("m", "meta", 0.49, 0.49, 1.0), *[Stake(name, name, 0.0, None, 1.0) for name in "abc"]]
    allotted, over_one = allot(held, "most")
    assert not over_one
    assert allotted[0].share == 0.49
    assert sum(item.share for item in allotted) == pytest.approx(1.0)


def test_a_range_gives_the_middle_and_the_score_at_both_ends() -> None:
    held = event(
        "interest", subject="v", interested_party="r", interest_type="shareholding", share={"minimum": 0.25, "maximum": 0.5}
    )
    score = run(lab("r"), vendor("v"), held).assessments["v"].headline
    assert (score.confirmed, score.low, score.high) == pytest.approx((100 * (1 - 0.8 * 0.375), 60.0, 80.0))


def test_an_indirect_interest_yields_to_the_component_it_is_made_of() -> None:
    whole = stake("r", "v", 0.4, claim_id="whole", direct_or_indirect="indirect", component_claims=["fund-shareholding"])
    runner = run(lab("r"), vendor("v"), stake("r", "fund", 1.0), stake("fund", "v", 0.4), whole)
    assert owned(runner, "r", "v") == pytest.approx(0.4)
    assert owned(run(lab("r"), vendor("v"), whole), "r", "v") == pytest.approx(0.4)


def test_a_majority_of_votes_is_full_power_and_leaves_none_to_other_labs() -> None:
    runner = run(
        lab("r"), lab("q"), vendor("v"), stake("r", "v", 0.51, of="votingRights"), stake("q", "v", 0.3, of="votingRights")
    )
    assessment = runner.assessments["v"]
    assert (influence(assessment, "r", "votes"), influence(assessment, "q", "votes")) == (1.0, 0.0)
    assert assessment.headline.confirmed == pytest.approx(0.0, abs=1e-6)


def test_an_affiliate_is_no_rival_and_stops_to_be_one_when_that_is_retracted() -> None:
    bond = event("entity", id="bond", claim_id="bond", subject="microsoft", affiliates=["openai"])
    runner = run(lab("openai"), lab("microsoft"), vendor("v"), stake("openai", "v", 0.3), bond)
    assert runner.assessments["v"].score_for("microsoft").confirmed == 100.0
    assert runner.assessments["v"].headline.confirmed == pytest.approx(76.0)
    runner.apply(
        [event("correction", day=9, subject="microsoft", retracts_event={"source": "urn:test", "id": "bond"}, reason="a test")]
    )
    assert runner.assessments["v"].score_for("microsoft").confirmed == pytest.approx(76.0)


def test_a_members_spending_counts_for_its_group() -> None:
    runner = run(
        lab("google"),
        event("entity", subject="deepmind", group="google"),
        vendor("v"),
        event("revenue", subject="v", fiscal_year=2024, amount={"amount": "100"}),
        event("revenue", subject="v", customer="google", fiscal_year=2024, amount={"amount": "10"}),
        event("revenue", subject="v", customer="deepmind", fiscal_year=2024, amount={"amount": "20"}),
    )
    assert influence(runner.assessments["v"], "google", "revenue") == pytest.approx(0.3)


def test_revenue_is_unknown_not_zero_where_only_one_side_is_known() -> None:
    runner = run(
        lab("google"), vendor("v"), event("revenue", subject="v", customer="google", fiscal_year=2024, amount={"amount": "10"})
    )
    assert runner.assessments["v"].coverage["revenue"] is False


def test_seats_weigh_their_share_of_a_board_of_known_size() -> None:
    runner = run(
        lab("r"),
        vendor("v", board_size=4),
        *[event("role", subject="v", person=person, role_type="board_member", represents="r") for person in ("p", "q")],
    )
    assert influence(runner.assessments["v"], "r", "governance") == pytest.approx(0.5)


def test_an_official_denial_and_an_official_contradiction_weigh_the_claim_down() -> None:
    rumour = event(
        "contract",
        claim_id="leaves",
        status="announced",
        by=("anonymous_source", 2),
        subject="v",
        customer="openai",
        intent="end",
    )
    stays = event("contract", claim_id="stays", subject="v", customer="openai", contradicts=["leaves"])
    note = run(vendor("v"), rumour, stays).assessments["v"].claim("leaves")
    assert note is not None
    assert note.credibility == pytest.approx(0.75 * 0.3)
    assert note.contradicted_by == ("stays",)


def test_a_rumour_in_force_does_not_override_a_filing() -> None:
    filed = stake("r", "v", 0.3, day=1, by=("filing", 1))
    told = stake("r", "v", 0.6, day=2, by=("rumour", 1))
    runner = run(lab("r"), vendor("v"), filed, told)
    assert owned(runner, "r", "v") == pytest.approx(0.3)
    assert runner.assessments["v"].headline.projected < runner.assessments["v"].headline.confirmed


def projected(assessment: Assessment, lab_id: str, channel: Channel) -> float:
    return next((term.influence for term in assessment.projected if (term.lab, term.channel) == (lab_id, channel)), 0.0)


@pytest.mark.parametrize(
    ("held", "evidence", "power"),
    [
        ([("r", 0.51)], ("named_press", 1), 0.8),  # a majority that is 80 % likely, not the 0.69 of 40.8 % of the votes
        ([("r", 0.30)], ("anonymous_source", 1), 0.5 * 0.3 / 0.7),
        ([("r", 0.30), ("fund", 0.60)], ("anonymous_source", 1), 0.5 * 0.5 * 0.3 / 0.7),  # none where the fund decides
    ],
)
def test_projected_power_is_expected_over_what_may_come_not_the_power_of_expected_votes(
    held: list[tuple[str, float]], evidence: tuple[str, int], power: float
) -> None:
    plans = [stake(party, "v", share, of="votingRights", status="announced", by=evidence) for party, share in held]
    assessment = run(lab("r"), vendor("v"), *plans).assessments["v"]
    assert projected(assessment, "r", "votes") == pytest.approx(power)
    assert influence(assessment, "r", "votes") == 0.0


def test_a_right_to_appoint_that_may_come_is_power_as_likely_as_it_is() -> None:
    right = event(
        "interest",
        subject="v",
        interested_party="r",
        interest_type="appointmentOfBoard",
        claim_id="right",
        status="announced",
        by=("rumour", 1),
    )
    assessment = run(lab("r"), vendor("v"), right).assessments["v"]
    assert projected(assessment, "r", "votes") == pytest.approx(0.2)


@pytest.mark.parametrize(("evidence", "controls"), [("named_press", True), ("anonymous_source", False)])
def test_a_majority_that_is_likelier_than_not_is_foreseen_as_control_down_the_chain(evidence: str, controls: bool) -> None:
    chain = [
        stake("r", "holding", 0.60, of="votingRights", status="announced", by=(evidence, 1)),
        stake("holding", "v", 0.80, of="votingRights"),
    ]
    assessment = run(lab("r"), vendor("v"), *chain).assessments["v"]
    assert projected(assessment, "r", "votes") == (1.0 if controls else 0.0)
