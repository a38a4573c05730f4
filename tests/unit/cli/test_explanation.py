"""`neutrality explain`: the parts add up, the path is named, and what is not known is said."""

from datetime import UTC, datetime

import pytest

from neutrality.cli.documents import explanation_document
from neutrality.cli.explanation import explain
from neutrality.events.assessment import Assessment
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.scenario import load_scenario


@pytest.fixture(scope="module")
def assessments() -> dict[str, Assessment]:
    runner = LocalRunner(load_methodology(), datetime(2025, 6, 13, 12, tzinfo=UTC))
    runner.apply(load_scenario("scale-ai-2025").events())
    return runner.assessments


@pytest.mark.parametrize("lab", ["google", "openai", "meta", None])
def test_the_parts_add_up_to_the_points_lost(assessments: dict[str, Assessment], lab: str | None) -> None:
    explanation = explain(assessments["scale-ai"], lab)
    assert sum(line.points for line in explanation.lines) == pytest.approx(explanation.points_lost)


def test_paths_run_from_the_lab_to_the_vendor(assessments: dict[str, Assessment]) -> None:
    paths = {line.path for line in explain(assessments["scale-ai"], "openai").lines}
    assert paths == {
        "meta → 49 % → Scale AI",
        "meta → alexandr-wang → Scale AI",
        "google → 17.2 % of revenue → Scale AI",
    }


def test_what_is_not_known_is_said(assessments: dict[str, Assessment]) -> None:
    assert "ownership: nobody has said who owns it" in explain(assessments["turing"], None).unknown


def test_claims_that_cost_nothing_are_listed_too(assessments: dict[str, Assessment]) -> None:
    aside = {note.claim_id for note in explain(assessments["scale-ai"], "google").aside}
    assert {"meta-votes", "openai-pullback", "openai-continues"} <= aside


def test_the_document_has_the_same_parts(assessments: dict[str, Assessment]) -> None:
    document = explanation_document(explain(assessments["scale-ai"], "google"))
    assert sum(part["points"] for part in document["parts"]) == pytest.approx(document["points_lost"])
    assert document["rated"] is True
