"""`neutrality scores`: the newest score of every vendor."""

from collections.abc import Callable
from typing import Annotated

import typer
from rich.console import Console

from neutrality.cli import words
from neutrality.cli.addresses import DEFAULT_BOOTSTRAP, AsJson, BootstrapServers
from neutrality.cli.documents import print_json
from neutrality.cli.exits import Exit, end
from neutrality.cli.score_log import newest_assessments
from neutrality.events.assessment import Assessment
from neutrality.explanation import score_document


def scores(
    vendor: Annotated[str | None, typer.Argument(help="A vendor's entity id; all vendors if it is left out.")] = None,
    lab: Annotated[str | None, typer.Option("--for", metavar="LAB", help="Towards this lab; the headline if left out.")] = None,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
    as_json: AsJson = False,
) -> None:
    """Show how neutral vendors are: the newest scores in Kafka.

    The headline is the neutrality towards a lab that has no tie with the vendor. A vendor without any ownership claim is
    not rated: nothing known is not neutral.

    Example: neutrality scores scale-ai --for google
    """
    known = newest_assessments(bootstrap_servers)
    chosen = [known[name] for name in sorted(known) if vendor in (None, name)]
    if vendor is not None and not chosen:
        end(f"no score of {vendor!r}; known: {', '.join(sorted(known)) or 'none yet'}", Exit.FAILED)
    if as_json:
        for assessment in chosen:
            print_json(score_document(assessment, lab))
        return
    if not chosen:
        end("no scores yet; publish events first, for example: neutrality publish --scenario scale-ai-2025", Exit.FAILED)
    Console(highlight=False).print(words.scores_table(sorted(chosen, key=_by_neutrality(lab)), lab))


def _by_neutrality(lab: str | None) -> Callable[[Assessment], tuple[bool, float, str]]:
    """The most neutral first, those that are not rated last."""

    def rank(assessment: Assessment) -> tuple[bool, float, str]:
        score = assessment.score_for(lab)
        return score.grade == "NR", -score.confirmed, assessment.vendor

    return rank
