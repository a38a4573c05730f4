"""`neutrality explain`: the parts add up, the path is named, and what is not known is said."""

from datetime import UTC, datetime

import pytest

from neutrality.events.assessment import Assessment
from neutrality.explanation import LEAST_MOVE, explain, explanation_document
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.scenario import load_scenario
from tests.support.events import AT, event, lab, stake, vendor


@pytest.fixture(scope="module")
def assessments() -> dict[str, Assessment]:
    runner = LocalRunner(load_methodology(), datetime(2025, 6, 13, 12, tzinfo=UTC))
    runner.apply(load_scenario("scale-ai-2025").events())
    return runner.assessments


@pytest.mark.parametrize("lab_id", ["google", "openai", "meta", None])
def test_the_parts_add_up_to_the_points_lost(assessments: dict[str, Assessment], lab_id: str | None) -> None:
    explanation = explain(assessments["scale-ai"], lab_id)
    assert sum(line.points for line in explanation.lines) == pytest.approx(explanation.points_lost)


def test_paths_run_from_the_lab_to_the_vendor(assessments: dict[str, Assessment]) -> None:
    paths = {line.path for line in explain(assessments["scale-ai"], "openai").lines}
    assert paths == {
        "meta → 49 % → Scale AI",
        "meta → Alexandr Wang → Scale AI",
        "google → 17.2 % of revenue → Scale AI",
    }


def test_a_path_through_others_names_each_of_them_with_what_is_held() -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply(
        [
            lab("r"),
            vendor("v", name="Vendor"),
            event("entity", subject="h1", name="Holding One"),
            event("entity", subject="h2", name="Holding Two"),
            stake("r", "h1", 0.6),
            stake("h1", "h2", 0.5),
            stake("h2", "v", 0.25),
        ]
    )
    paths = [line.path for line in explain(runner.assessments["v"], None).lines]
    assert paths == ["r → 60 % → Holding One → 50 % → Holding Two → 25 % → Vendor"]


def test_moves_since_the_version_before_add_up_to_the_change(assessments: dict[str, Assessment]) -> None:
    assessment = assessments["scale-ai"]
    assert assessment.before is not None
    assert assessment.before.version == assessment.version - 1
    for lab_id in (None, "google", "openai", "meta"):
        moves = explain(assessment, lab_id).moves
        change = assessment.score_for(lab_id).confirmed - assessment.before.score_for(lab_id).confirmed
        assert sum(move.points for move in moves) == pytest.approx(change, abs=LEAST_MOVE * 4)


def test_the_claim_that_moved_a_score_is_named() -> None:
    runner = LocalRunner(load_methodology(), AT)
    runner.apply([lab("r"), vendor("v"), stake("r", "v", 0.1), stake("r", "v", 0.3, day=1)])
    (move,) = explain(runner.assessments["v"], None).moves
    assert move.path == "r → 30 % → v"
    assert move.points == pytest.approx(-16.0)


def test_what_is_not_known_is_said(assessments: dict[str, Assessment]) -> None:
    assert "ownership: nobody has said who owns it" in explain(assessments["turing"], None).unknown


def test_claims_that_cost_nothing_are_listed_too(assessments: dict[str, Assessment]) -> None:
    aside = {note.claim_id for note in explain(assessments["scale-ai"], "google").aside}
    assert {"meta-votes", "openai-pullback", "openai-continues"} <= aside


def test_the_document_has_the_same_parts(assessments: dict[str, Assessment]) -> None:
    document = explanation_document(explain(assessments["scale-ai"], "google"))
    assert sum(part["points"] for part in document["parts"]) == pytest.approx(document["points_lost"])
    assert document["rated"] is True
