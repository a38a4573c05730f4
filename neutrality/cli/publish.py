"""`neutrality publish`: events from a file, a pipe or a shipped scenario, into ingest."""

from collections import Counter
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.markup import escape

from neutrality.cli.addresses import DEFAULT_INGEST_URL, AsJson, IngestUrl
from neutrality.cli.documents import print_json
from neutrality.cli.event_log import content_of
from neutrality.cli.exits import Exit, end, errors
from neutrality.cli.intake import Intake, IntakeError
from neutrality.cli.reading import Bad, Good, read_events
from neutrality.events.cloudevent import short_type
from neutrality.scenario import UnknownScenario, load_scenario


def publish(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE|-", help="JSON lines, a JSON array or one object; - is standard input.")
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="A scenario that ships with the product, instead of a file: scale-ai-2025.")
    ] = None,
    show: Annotated[bool, typer.Option("--print", help="Print the events as JSON lines instead of publishing them.")] = False,
    ingest_url: IngestUrl = DEFAULT_INGEST_URL,
    patience_s: Annotated[
        float, typer.Option("--patience", min=0.0, help="Seconds to keep trying while Kafka or ingest is away.")
    ] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Publish events (CloudEvents 1.0 in JSON), and end when Kafka has them.

    Publishing a file again is harmless: an event counts once per source and id. Events that are none are shown with the
    line, a pointer to the field and what is wrong with it; the others are published, and the exit code is 1.

    Example: neutrality publish --scenario scale-ai-2025 --print | neutrality publish -
    """
    if (file is None) == (scenario is None):
        end("give either FILE (or - for standard input) or --scenario", Exit.USAGE)
    found = list(read_events(_content(file, scenario)))
    good, bad = [item for item in found if isinstance(item, Good)], [item for item in found if isinstance(item, Bad)]
    for refused in bad:
        for problem in refused.problems:
            errors().print(f"[red]{refused.place}[/]  {escape(problem.pointer or '(event)')}: {escape(problem.detail)}")
    if show:
        for item in good:
            print_json(item.document)
        raise typer.Exit(Exit.FAILED if bad else Exit.OK)
    if good:
        try:
            with Intake(ingest_url, patience_s=patience_s) as intake:
                intake.send(item.document for item in good)
        except IntakeError as error:
            end(str(error), Exit.UNREACHABLE if error.unreachable else Exit.FAILED)
    counts = Counter(short_type(item.document["type"]) for item in good)
    if as_json:
        rejected = [{"place": item.place, "problems": item.problems} for item in bad]
        print_json({"accepted": len(good), "by_type": dict(counts), "rejected": rejected})
    else:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        Console(highlight=False).print(f"{len(good)} accepted{f' ({kinds})' if kinds else ''}, {len(bad)} refused")
    if bad:
        raise typer.Exit(Exit.FAILED)


def _content(file: str | None, scenario: str | None) -> bytes:
    if scenario is not None:
        try:
            return b"\n".join(orjson.dumps(document) for document in load_scenario(scenario).documents())
        except UnknownScenario as error:
            end(str(error), Exit.USAGE)
    return content_of(file or "-")
