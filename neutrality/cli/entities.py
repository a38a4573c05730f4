"""`neutrality entities`: who is who. What no event explains, whom it may mean, and that two are one."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neutrality.broker.access import Where
from neutrality.cli.addresses import (
    AT_THE_TERMINAL,
    DEFAULT_BOOTSTRAP,
    DEFAULT_INGEST_URL,
    ApiKeyFile,
    AsJson,
    BootstrapServers,
    IngestUrl,
    read_key,
)
from neutrality.cli.documents import print_json
from neutrality.cli.event_log import LogFiles, load_log
from neutrality.cli.exits import EPILOG, Exit, end
from neutrality.client import Client, EventRejected, IngestError
from neutrality.events.claims import Entity
from neutrality.events.cloudevent import EntityEvent, Event
from neutrality.events.vocabulary import Evidence, EvidenceKind, Status
from neutrality.identity.directory import Directory
from neutrality.identity.names import name_id
from neutrality.identity.survey import Suggestion, directory_of, suggestions
from neutrality.identity.survey import unresolved as find_unresolved
from neutrality.model.methodology import load_methodology

entities = typer.Typer(help="Who is who: unresolved names, near matches, mergers.", no_args_is_help=True, epilog=EPILOG)


@entities.command(epilog=EPILOG)
def unresolved(log: LogFiles = None, bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP, as_json: AsJson = False) -> None:
    """List the names and identifiers that events use and no event explains, with near matches.

    Nothing is merged because names are alike: say it with `neutrality entities merge`, or publish an entity event with the name
    among its `aliases`.

    Example: neutrality entities unresolved
    """
    events, directory = _load(bootstrap_servers, log)
    found = find_unresolved(events, directory)
    if as_json:
        for one in found:
            print_json(one._asdict() | {"suggestions": [suggestion._asdict() for suggestion in one.suggestions]})
        return
    table = Table("named", "events", "newest", "may be")
    for one in found:
        table.add_row(escape(one.entity), str(one.events), f"{one.newest:%Y-%m-%d}", _may_be(one.ambiguous, one.suggestions))
    console = Console(highlight=False)
    if found:
        console.print(table)
    console.print(f"{len(found)} unresolved")


@entities.command(epilog=EPILOG)
def show(
    entity: Annotated[str, typer.Argument(metavar="ID|NAME", help="An entity's id, or any of its names.")],
    log: LogFiles = None,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
    as_json: AsJson = False,
) -> None:
    """Show who is meant by an id or a name, what the entity is known by, and near matches.

    Example: neutrality entities show "Meta Platforms, Inc."
    """
    _, directory = _load(bootstrap_servers, log)
    meant = directory.canonical(entity) if entity in directory or ":" in entity else _by_name(entity, directory)
    known = directory.identity(meant)
    merged = sorted(one for one in directory.mergers if directory.canonical(one) == meant and one != meant)
    like = tuple(one for name in known.names or (entity,) for one in suggestions(name, directory) if one.entity != meant)
    document: dict[str, Any] = {
        "entity": meant,
        "known": meant in directory,
        "names": known.names,
        "identifiers": [{"scheme": one.scheme, "id": one.id} for one in known.identifiers],
        "merged": merged,
        "like": [one._asdict() for one in like],
    }
    if as_json:
        print_json(document)
    else:
        console = Console(highlight=False)
        for label in ("entity", "names", "merged"):
            console.print(f"{label:<12}{escape(_join(document[label]))}")
        console.print(f"{'identifiers':<12}{escape(', '.join(f'{one.scheme} {one.id}' for one in known.identifiers) or '-')}")
        console.print(f"{'like':<12}{_may_be((), like)}")
    if meant not in directory:
        raise typer.Exit(Exit.FAILED)


@entities.command(epilog=EPILOG)
def merge(
    entity: Annotated[str, typer.Argument(help="The id that is given up.")],
    into: Annotated[str, typer.Argument(help="The id under which all is kept from now on.")],
    publisher: Annotated[str, typer.Option(help="On whose word; it is kept as the evidence.")],
    source: Annotated[str, typer.Option(help="The CloudEvents source of the event.")] = "urn:neutrality-watch:desk",
    url: Annotated[str | None, typer.Option(help="Where it can be read.")] = None,
    ingest_url: IngestUrl = DEFAULT_INGEST_URL,
    api_key_file: ApiKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Say that two entities are one: the claims of the first are moved to the second, whenever they came.

    Refused if they bear different identifiers where an entity has one (LEI, CIK, company number). A correction of the event
    that is published undoes it.

    Example: neutrality entities merge name:meta-platforms meta --publisher "our desk"
    """
    now = datetime.now(UTC).replace(microsecond=0)
    event = EntityEvent(
        id=f"merger/{entity}/{into}/{now:%Y%m%dT%H%M%SZ}",
        source=source,
        time=now,
        data=Entity(
            subject=entity,
            claim_id="merger",
            status=Status.COMPLETED,
            effective_time=now,
            merged_into=into,
            evidence=(Evidence(kind=EvidenceKind.OFFICIAL_STATEMENT, publisher=publisher, url=url),),
        ),
    )
    try:
        with Client(ingest_url, api_key=read_key(api_key_file), patience=AT_THE_TERMINAL) as client:
            client.publish(event)
    except EventRejected as error:
        end(f"not merged: {error}", Exit.FAILED)
    except IngestError as error:
        end(str(error), Exit.UNREACHABLE if error.unreachable else Exit.FAILED)
    if as_json:
        print_json({"source": event.source, "id": event.id, "entity": entity, "into": into})
    else:
        Console(highlight=False).print(f"{escape(entity)} is {escape(into)} from now on (event {escape(event.id)})")


def _load(bootstrap_servers: Where, log: list[str] | None) -> tuple[list[Event], Directory]:
    events = [event for event, _ in load_log(bootstrap_servers, log).events]
    return events, directory_of(events, load_methodology())


def _by_name(name: str, directory: Directory) -> str:
    try:
        return directory.canonical(name_id(name))
    except ValueError as error:
        end(str(error), Exit.USAGE)


def _may_be(ambiguous: tuple[str, ...], like: tuple[Suggestion, ...]) -> str:
    several = [f"one of {', '.join(ambiguous)}: each bears it"] if len(ambiguous) > 1 else []
    lines = [f"{one.entity} ({one.name}, {one.likeness:g})" + (f": no, {one.against}" if one.against else "") for one in like]
    return escape("\n".join([*several, *lines])) or "-"


def _join(value: object) -> str:
    return value if isinstance(value, str) else ", ".join(value) or "-" if isinstance(value, list | tuple) else str(value)
