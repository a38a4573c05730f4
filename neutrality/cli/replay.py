"""`neutrality replay`: scores as they stood at some time."""

from datetime import datetime
from typing import Annotated

import typer
from rich.console import Console

from neutrality.cli import words
from neutrality.cli.addresses import DEFAULT_BOOTSTRAP, AsJson, BootstrapServers
from neutrality.cli.documents import print_json
from neutrality.cli.event_log import LogFiles, load_log, parse_instant, recorded_ms
from neutrality.cli.exits import Exit, end
from neutrality.events.vocabulary import iso
from neutrality.explanation import score_document
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology


def replay(
    as_of: Annotated[
        datetime, typer.Option("--as-of", parser=parse_instant, metavar="TIME", help="By what was in force at this time.")
    ],
    recorded_by: Annotated[
        datetime | None,
        typer.Option(parser=parse_instant, metavar="TIME", help="And recorded by this time; as of the same time if left out."),
    ] = None,
    vendor: Annotated[str | None, typer.Option(help="A vendor's entity id; all vendors if it is left out.")] = None,
    lab: Annotated[str | None, typer.Option("--for", metavar="LAB", help="Towards this lab; the headline if left out.")] = None,
    log: LogFiles = None,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
    as_json: AsJson = False,
) -> None:
    """Show the scores as they stood, from the events that had been recorded by then.

    With a later --recorded-by: what we know today about that time. Both times are the events' own: `time` is when the
    source recorded it, `effective_time` when it began to hold.

    Example: neutrality replay --as-of 2025-06-11 --for google
    """
    known_by = as_of if recorded_by is None else recorded_by
    recorded = [event for event, _ in load_log(bootstrap_servers, log).events if event.time <= known_by]
    runner = LocalRunner(load_methodology(), as_of)
    runner.apply_together((event, recorded_ms(event)) for event in recorded)
    known = runner.standing_assessments()
    chosen = [known[name] for name in sorted(known) if vendor in (None, name)]
    if vendor is not None and not chosen:
        end(f"no score of {vendor!r} at {iso(as_of)}; known: {', '.join(sorted(known)) or 'none yet'}", Exit.FAILED)
    if as_json:
        for assessment in chosen:
            document = score_document(assessment, lab)
            del document["version"]  # the stream's; nothing was published here
            print_json({**document, "as_of": as_of, "recorded_by": known_by})
        return
    if not chosen:
        end(f"no vendor was known at {iso(as_of)} by what was recorded until {iso(known_by)}", Exit.FAILED)
    console = Console(highlight=False)
    console.print(words.scores_table(chosen, lab))
    console.print(f"[dim]as of {iso(as_of)}, from {len(recorded)} events recorded by {iso(known_by)}[/]")
