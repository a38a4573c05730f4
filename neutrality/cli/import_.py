"""`neutrality import`: files of a register or standard, into ingest."""

import sys
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Annotated, BinaryIO, Self

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, TextColumn

from neutrality.cli.addresses import DEFAULT_INGEST_URL, ApiKeyFile, AsJson, IngestUrl, read_key
from neutrality.cli.documents import print_json
from neutrality.cli.event_files import tell_problems
from neutrality.cli.exits import Exit, end, errors
from neutrality.cli.importing import Imported, Schema, connector_named, opened
from neutrality.client import Client, IngestError
from neutrality.events.cloudevent import Event, short_type
from neutrality.registers.connector import NotThisFormat


def import_(
    connector: Annotated[str, typer.Argument(help="bods, gleif, psc or sec13.")],
    files: Annotated[list[str], typer.Argument(metavar="FILE...|-", help="Also .gz and .zip; - is standard input.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Convert and count, publish nothing; no server is needed.")] = False,
    refusals: Annotated[
        Path | None, typer.Option(help="Write everything that becomes no event here, as JSON lines with place and reason.")
    ] = None,
    schema: Schema = None,
    ingest_url: IngestUrl = DEFAULT_INGEST_URL,
    api_key_file: ApiKeyFile = None,
    patience_s: Annotated[
        float, typer.Option("--patience", min=0.0, help="Seconds to keep trying while Kafka or ingest is away.")
    ] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Import records of a register: every record becomes events, or a refusal that is counted with its reason, or both.

    Files may be of any length. Importing one again is harmless: an event counts once. What no event can represent is told, and is no
    failure; the exit code is 1 if ingest rejects an event or a file cannot be read, after all others were imported.

    Example: neutrality import bods statements.json
    """
    imported, unreadable = Imported(), 0
    with ExitStack() as stack:
        told = None if refusals is None else stack.enter_context(refusals.open("wb"))
        client = (
            None
            if dry_run
            else stack.enter_context(Client(ingest_url, api_key=read_key(api_key_file), patience=timedelta(seconds=patience_s)))
        )
        for file in files:
            unreadable += _import(connector, schema, file, client, imported, told)
    if as_json:
        print_json(imported.document() | {"unreadable": unreadable})
    else:
        Console(highlight=False, soft_wrap=True).print("\n".join(map(escape, imported.words())))
    if imported.rejected or unreadable:
        raise typer.Exit(Exit.FAILED)


def _import(
    connector: str, schema: Path | None, file: str, client: Client | None, imported: Imported, told: BinaryIO | None
) -> int:
    """One file; returns 1 if it, or what is left of it, cannot be read."""
    try:
        for name, stream in _streams(file):
            events = imported.convert(connector_named(connector, schema).convert(stream, name), told)
            with _progress() as advance:
                if client is None:
                    for _, event in events:
                        _count(imported, event)
                        advance(imported)
                else:
                    for rejected in imported.publish(client, events):
                        if rejected is not None:
                            tell_problems(rejected)
                        advance(imported)
    except NotThisFormat as error:
        errors().print(f"[red]{escape(file)}[/]: {escape(str(error))}")
        return 1
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        errors().print(f"[red]{escape(file)}[/] cannot be read: {escape(str(error))}")
        return 1
    except IngestError as error:
        end(
            f"{error}\n  the same command goes on: what is done counts once",
            Exit.UNREACHABLE if error.unreachable else Exit.FAILED,
        )
    return 0


def _count(imported: Imported, event: Event) -> None:
    imported.accepted[short_type(event.type)] += 1


def _streams(file: str) -> Iterator[tuple[str, BinaryIO]]:
    if file == "-":
        yield "-", sys.stdin.buffer
    else:
        yield from opened(Path(file))


class _progress:  # noqa: N801 - reads as a function
    """A line on a terminal with what was done so far, a few times a second."""

    def __enter__(self) -> Self:
        self._shown = errors().is_terminal
        self._bar = Progress(TextColumn("{task.description}"), console=errors(), transient=True, disable=not self._shown)
        self._task = self._bar.add_task("")
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, imported: Imported) -> None:
        if self._shown:
            done = imported.accepted.total() + imported.duplicates
            rate = done / (self._bar.tasks[0].elapsed or 1.0)
            self._bar.update(self._task, description=f"{imported.records:,} records, {done:,} events, {rate:,.0f}/s")
