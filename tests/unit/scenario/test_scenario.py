"""The shipped scenario says what the table of the Meta-Scale AI deal says, and the model makes of it what the table calls for."""

import random
from datetime import UTC, datetime

import pytest

from neutrality.events.assessment import Assessment
from neutrality.events.claims import Contract, Entity, Interest, Revenue, Role
from neutrality.events.cloudevent import Event, event_from_document
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.scenario import ExpectedAlert, UnknownScenario, load_expectations, load_scenario

NAME = "scale-ai-2025"
AT = datetime(2025, 6, 13, 12, tzinfo=UTC)
SCENARIO = load_scenario(NAME)
EXPECTED = load_expectations(NAME)


def run(events: list[Event]) -> dict[str, Assessment]:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply(events)
    return runner.assessments


def without_versions(assessments: dict[str, Assessment]) -> object:
    return {vendor: (a.headline, a.labs, a.confirmed, a.projected, a.claims, a.coverage) for vendor, a in assessments.items()}


def test_every_row_of_the_table_has_an_event_with_evidence() -> None:
    events = SCENARIO.events()
    assert {step.row for step in SCENARIO.steps} == set(range(1, 21))
    assert all(event.data.evidence for event in events)
    assert {type(event.data) for event in events} == {Entity, Interest, Role, Contract, Revenue}


def test_event_ids_are_deterministic_and_unique() -> None:
    identities = [(event.source, event.id) for event in SCENARIO.events()]
    assert len(set(identities)) == len(identities)
    assert all(source == "urn:neutrality-watch:scenario:scale-ai-2025" for source, _ in identities)
    assert all(name.startswith("scale-ai-2025/") for _, name in identities)


def test_a_step_is_titled_by_its_row() -> None:
    assert SCENARIO.step("10a").title == "Row 10: Meta takes 49 % of Scale AI (announced)"
    with pytest.raises(KeyError):
        SCENARIO.step("21")


def test_an_unknown_scenario_names_those_there_are() -> None:
    with pytest.raises(UnknownScenario, match="scale-ai-2025"):
        load_scenario("other")


@pytest.mark.parametrize("expected", EXPECTED.scores, ids=lambda expected: expected.after)
def test_the_model_makes_of_each_step_what_is_expected(expected: object) -> None:
    runner = LocalRunner(load_methodology(), AT)
    for step in SCENARIO.steps:
        runner.apply([event_from_document(document) for document in step.documents])
        for wanted in EXPECTED.scores_after(step.key):
            if wanted is expected:
                assert wanted.unmet(runner.assessments.get(wanted.vendor)) == ()


def test_a_score_that_is_not_as_expected_is_told() -> None:
    wanted = EXPECTED.scores_after("11b")[0]
    assert wanted.unmet(None) == ("scale-ai has no score yet",)
    early = run([event for event in SCENARIO.events() if not event.id.startswith(("scale-ai-2025/10b", "scale-ai-2025/11b"))])
    unmet = wanted.unmet(early["scale-ai"])
    assert "scale-ai for google is 100.0, not 38.9" in unmet
    assert "watch of scale-ai for google is down, not none" in unmet


@pytest.mark.parametrize("seed", range(5))
def test_any_order_with_repeats_ends_in_the_same_scores(seed: int) -> None:
    told = list(SCENARIO.events())
    shuffled = told + told[::3]
    random.Random(seed).shuffle(shuffled)
    assert without_versions(run(shuffled)) == without_versions(run(told))


def test_an_unknown_rival_is_not_rated_rather_than_neutral() -> None:
    assessments = run(list(SCENARIO.events()))
    for rival in ("turing", "labelbox", "handshake", "mercor"):
        assert assessments[rival].headline.grade == "NR"
        assert assessments[rival].coverage["ownership"] is False


def test_googles_plan_to_leave_lowers_only_its_projected_sway() -> None:
    before = run([e for e in SCENARIO.events() if not e.id.startswith("scale-ai-2025/13")])["scale-ai"]
    after = run(list(SCENARIO.events()))["scale-ai"]
    assert after.confirmed == before.confirmed
    assert after.score_for("openai").projected > before.score_for("openai").projected


def test_both_sides_of_a_dispute_stay_visible_and_the_official_one_weighs_more() -> None:
    assessment = run(list(SCENARIO.events()))["scale-ai"]
    pullback, continues = assessment.claim("openai-pullback"), assessment.claim("openai-continues")
    assert pullback is not None
    assert continues is not None
    assert pullback.contradicted_by == ("openai-continues",)
    assert continues.credibility > pullback.credibility


def test_an_alert_must_name_the_claim_in_words_and_its_publisher() -> None:
    wanted: ExpectedAlert = EXPECTED.alerts_after("10a")[0]
    assert wanted.missing([]) == ("google", "openai", "microsoft", "xai")
    assert "Meta takes 49 %" in wanted.describe("google")
