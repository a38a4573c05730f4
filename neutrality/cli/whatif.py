"""`neutrality whatif`: what events that have not happened would change."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from neutrality.cli import words
from neutrality.cli.addresses import DEFAULT_BOOTSTRAP, AsJson, BootstrapServers
from neutrality.cli.documents import print_json
from neutrality.cli.event_log import LoadedLog, LogFiles, load_log, parse_instant, read_assumptions
from neutrality.cli.exits import Exit, end
from neutrality.events.assessment import Score
from neutrality.events.cloudevent import Event
from neutrality.identity.moving import concerned, resolve
from neutrality.identity.naming import NamesItself
from neutrality.identity.survey import directory_of
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.model.whatif import Change, changes

_LEAST_POINTS = 0.05


def whatif(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines, a JSON array or one object; - is standard input.")],
    at: Annotated[
        datetime | None,
        typer.Option(parser=parse_instant, metavar="TIME", help="Reckon at this time; now if left out."),
    ] = None,
    log: LogFiles = None,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
    as_json: AsJson = False,
) -> None:
    """Show which scores some events would change, and through which claims. Nothing is published.

    All events so far are read and reckoned twice in process, without and with those of FILE. The points of the claims add up
    to the difference.

    Example: neutrality whatif plans.jsonl --at 2025-09-01
    """
    assumed = read_assumptions(file)
    known = load_log(bootstrap_servers, log)
    following = _with_what_follows(assumed, known)
    now = datetime.now(UTC) if at is None else at
    runner = LocalRunner(load_methodology(), now)
    runner.apply_together(known.events)
    before = runner.standing_assessments()
    runner.apply_together(following)
    found = changes(before, runner.standing_assessments())
    if as_json:
        print_json({"at": now, "assumed": len(assumed), "known": len(known.events), "rejected": known.rejected, "changes": found})
        return
    _show(found, Console(highlight=False, soft_wrap=True))


def _with_what_follows(assumed: Sequence[Event], known: LoadedLog) -> tuple[Event, ...]:
    """The assumptions under canonical ids, and what ingest would move because of them: the claims of an entity that is merged, say."""
    directory = directory_of((event for event, _ in known.events), load_methodology())
    affected = directory.learn(assumed)
    try:
        resolved = tuple(resolve(event, directory).event for event in assumed)
    except NamesItself as error:
        end(str(error), Exit.FAILED)
    moved = concerned(lambda: ((event, {}) for event, _ in known.events), affected).moves(directory)
    return (*resolved, *(one.event for one in moved))


def _show(found: Sequence[Change], console: Console) -> None:
    vendor = None
    for change in found:
        if change.vendor != vendor:
            vendor = change.vendor
            console.print(f"[bold]{escape(change.name)}[/]")
        towards = "a lab without ties" if change.lab is None else change.lab
        console.print(f"  towards {escape(towards)}: {_move(change.before, change.after)}")
        for mover in change.movers:
            if abs(mover.points) >= _LEAST_POINTS:
                colour = "red" if mover.points < 0.0 else "green"
                what = f"{escape(mover.summary)} [dim]({escape(mover.status)})[/]"
                console.print(f"    [{colour}]{mover.points:+6.1f}[/]  {mover.channel:<10}  {escape(mover.lab)}: {what}")
    vendors = len({change.vendor for change in found})
    console.print(f"{len(found)} scores of {vendors} vendors would change; nothing was published")


def _move(before: Score | None, after: Score | None) -> str:
    if after is None:
        return "no score any more"
    text = words.move(before, after)
    if before is not None and after.grade != "NR" and words.points(before.projected) != words.points(after.projected):
        text += f" [dim](projected was {words.points(before.projected)})[/]"
    return text
