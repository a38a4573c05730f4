"""What `--json` prints: plain documents with stable names, one a line."""

from typing import Any

import orjson
import typer

from neutrality.cli.explanation import Explanation
from neutrality.events.assessment import Assessment


def print_json(document: object) -> None:
    """One JSON document on one line of standard output; dataclasses are objects."""
    typer.echo(orjson.dumps(document).decode())


def score_document(assessment: Assessment, lab: str | None) -> dict[str, Any]:
    """A vendor's score towards a lab, or its headline."""
    return {
        "vendor": assessment.vendor,
        "name": assessment.name,
        "lab": lab,
        "version": assessment.version,
        "methodology": assessment.methodology,
        "rated": assessment.score_for(lab).grade != "NR",
        "score": assessment.score_for(lab),
        "coverage": assessment.coverage,
        "categories": assessment.categories,
        "flags": assessment.flags,
    }


def explanation_document(explanation: Explanation) -> dict[str, Any]:
    """An explanation: the score, what it was, the parts that add up to the points lost, and all claims as they stand."""
    before = explanation.assessment.before
    return {
        **score_document(explanation.assessment, explanation.lab),
        "before": None if before is None else {"version": before.version, "score": before.score_for(explanation.lab)},
        "moves": explanation.moves,
        "points_lost": explanation.points_lost,
        "parts": [
            {
                "lab": line.lab,
                "channel": line.channel,
                "points": line.points,
                "path": line.path,
                "claim": line.claim,
            }
            for line in explanation.lines
        ],
        "claims": explanation.assessment.claims,
        "unknown": explanation.unknown,
    }
