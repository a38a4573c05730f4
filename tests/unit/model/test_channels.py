"""Known answers from the literature, with the numbers worked out by hand beside them."""

import pytest

from neutrality.events.assessment import Assessment, Channel
from neutrality.events.cloudevent import Event
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.model.ownership import Stake, allot, integrated
from neutrality.model.votes import power
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


def test_integrated_ownership_of_a_graph_with_a_ring() -> None:
    # S1 = .8 + .1 S2, S2 = .6 (nobody but S0), so S1 = .86; S3 = .1 + .4 x .86 + .2 x .6 = .564
    runner = run(
        lab("s0"),
        stake("s0", "s1", 0.8),
        stake("s0", "s2", 0.6),
        stake("s0", "s3", 0.1),
        stake("s1", "s3", 0.4),
        stake("s2", "s1", 0.1),
        stake("s2", "s3", 0.2),
    )
    assert [owned(runner, "s0", name) for name in ("s1", "s2", "s3")] == pytest.approx([0.86, 0.60, 0.564])


def test_cross_holding_brioschi_buzzacchi_colombo() -> None:
    # two firms own half of each other, each has an outside owner with the other half: (1/2)(I - C)^-1 = [[2/3, 1/3], [1/3, 2/3]]
    runner = run(lab("r"), lab("q"), stake("r", "a", 0.5), stake("b", "a", 0.5), stake("q", "b", 0.5), stake("a", "b", 0.5))
    assert [owned(runner, lab_id, firm) for lab_id in ("r", "q") for firm in ("a", "b")] == pytest.approx(
        [2 / 3, 1 / 3, 1 / 3, 2 / 3], abs=1e-6
    )


def test_a_labs_own_cycle_is_not_counted_twice() -> None:
    runner = run(lab("r"), stake("r", "v", 0.5), stake("v", "r", 0.5))
    assert owned(runner, "r", "v") == 0.5


def test_company_control_through_chains() -> None:
    # Ceri, Gottlob & Tanca: c1 controls c2 (60), with it c3 (20 + 35), with it c4 (51); c3 alone controls c4
    def controls(first: str) -> set[str]:
        runner = run(
            lab(first),
            *[
                stake(party, subject, share, of="votingRights")
                for party, subject, share in (("c1", "c2", 0.60), ("c1", "c3", 0.20), ("c2", "c3", 0.35), ("c3", "c4", 0.51))
            ],
        )
        return {
            name
            for name, state in runner.vertices.items()
            if state.profile.value is not None and state.profile.value.exposure(first, "confirmed").control is not None
        }

    assert controls("c1") == {"c1", "c2", "c3", "c4"}
    assert controls("c3") == {"c3", "c4"}


def test_a_ring_without_a_majority_controls_nothing() -> None:
    runner = run(
        lab("c1"),
        *[stake(party, subject, 0.3, of="votingRights") for party, subject in (("c1", "c2"), ("c2", "c3"), ("c3", "c1"))],
    )
    profile = runner.vertices["c2"].profile.value
    assert profile is not None
    assert profile.exposure("c1", "confirmed").control is None


@pytest.mark.parametrize(
    ("cast", "expected"),
    [
        ({"a": 0.50, "b": 0.49, "c": 0.01}, {"a": 2 / 3, "b": 1 / 6, "c": 1 / 6}),
        ({"a": 0.49, "b": 0.26, "c": 0.25}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
        ({"a": 0.49}, {"a": 0.49 / 0.51}),
        ({"a": 0.51, "b": 0.49}, {"a": 1.0, "b": 0.0}),
        # Milnor & Shapley 1978, two blocks and an ocean a = 1 - .4 - .3: int over t in [1/3, 1] of (1 - t) + int over [0, 2/3] of t
        ({"a": 0.4, "b": 0.3}, {"a": 2 / 9 + 2 / 9}),
    ],
)
def test_shapley_shubik_power_with_an_ocean(cast: dict[str, float], expected: dict[str, float]) -> None:
    assert {name: power(name, cast) for name in expected} == pytest.approx(expected)


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
