"""`neutrality rejected`: inputs that could not be used, listed, shown, corrected and sent again.

A rejection is named by its place on `neutrality.rejected`: partition/offset. Once it was sent again a record with `RESOLVES_HEADER` says so there,
and it is no longer listed.
"""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from neutrality.broker.access import Where
from neutrality.broker.errors import BrokerError
from neutrality.broker.kafka import KafkaPublisher, KafkaReader
from neutrality.broker.port import OutgoingRecord
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
from neutrality.cli.event_files import open_events, tell_problems
from neutrality.cli.event_log import parse_instant
from neutrality.cli.exits import EPILOG, Exit, end, errors
from neutrality.cli.reading import Bad, Good, read_events
from neutrality.client import Client, IngestError, Rejected
from neutrality.events.cloudevent import InvalidEvent
from neutrality.events.rejected import RESOLVES_HEADER, Rejection, rejection_from
from neutrality.identity.references import read_document
from neutrality.topics import REJECTED
from neutrality.verification.log import read_to_end

rejected = typer.Typer(
    help="Inputs that could not be used: list, show, correct and send again.", no_args_is_help=True, epilog=EPILOG
)
Place = Annotated[str, typer.Argument(metavar="ID", help="As listed: partition/offset.")]


@dataclass(frozen=True, slots=True)
class _Found:
    place: str
    rejection: Rejection

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.rejection.timestamp_ms / 1000, UTC)


@rejected.command(name="list", epilog=EPILOG)
def list_(
    since: Annotated[
        datetime | None, typer.Option(parser=parse_instant, metavar="TIME", help="Received at or after this.")
    ] = None,
    reason: Annotated[str | None, typer.Option(help="With this reason alone.")] = None,
    service: Annotated[str | None, typer.Option(help="ingest or scoring.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 100,
    with_resolved: Annotated[bool, typer.Option("--all", help="Those that were sent again too.")] = False,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
    as_json: AsJson = False,
) -> None:
    """List what could not be used, the newest last. Ingest keeps what it rejects if INGEST_KEEP_REJECTED is set, scoring always.

    Example: neutrality rejected list --reason invalid_event
    """
    found, resolved = _read(bootstrap_servers)
    chosen = [
        one
        for one in found.values()
        if (with_resolved or one.place not in resolved)
        and reason in (None, one.rejection.reason)
        and service in (None, one.rejection.service)
        and (since is None or one.at >= since)
    ]
    chosen = sorted(chosen, key=lambda one: (one.at, one.place))[-limit:]
    if as_json:
        for one in chosen:
            print_json({"id": one.place, "resolved": one.place in resolved, **one.rejection.model_dump(exclude={"value_base64"})})
        return
    table = Table("id", "received", "by", "reason", "first problem")
    for one in chosen:
        first = one.rejection.errors[0] if one.rejection.errors else None
        problem = "-" if first is None else f"{first.pointer or '(event)'}: {first.detail}"
        row = one.place, f"{one.at:%Y-%m-%d %H:%M:%S}", one.rejection.service, one.rejection.reason, problem[:200]
        table.add_row(*map(escape, row))
    console = Console(highlight=False)
    if chosen:
        console.print(table)
    console.print(f"{len(chosen)} rejected")


@rejected.command(epilog=EPILOG)
def show(place: Place, bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP, as_json: AsJson = False) -> None:
    """Show one: what was received, what is wrong with it, and how to send it again.

    Example: neutrality rejected show 3/128
    """
    found, resolved = _read(bootstrap_servers)
    one = _one(found, place)
    content = (one.rejection.value or b"").decode(errors="replace")
    if as_json:
        print_json(
            {"id": place, "resolved": place in resolved, **one.rejection.model_dump(exclude={"value_base64"}), "content": content}
        )
        return
    console = Console(highlight=False, soft_wrap=True)
    lies = one.rejection.topic and f", lies in {one.rejection.topic}/{one.rejection.partition}/{one.rejection.offset}"
    console.print(f"{place}: {one.rejection.reason}, received {one.at:%Y-%m-%d %H:%M:%S} by {one.rejection.service}{lies or ''}")
    for error in one.rejection.errors:
        console.print(f"  [red]{escape(error.pointer or '(event)')}[/]: {escape(error.detail)}")
    console.print(escape(_pretty(content)))
    if not one.rejection.is_whole:
        console.print("only its head is kept")
    console.print(f"correct it and send it again: neutrality rejected resend {place} --edit")


@rejected.command(epilog=EPILOG)
def resend(
    place: Place,
    file: Annotated[
        str | None, typer.Option("--file", help="Send this instead: the corrected event or events; - is standard input.")
    ] = None,
    edit: Annotated[bool, typer.Option("--edit", help="Correct it in $EDITOR first.")] = False,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
    ingest_url: IngestUrl = DEFAULT_INGEST_URL,
    api_key_file: ApiKeyFile = None,
    as_json: AsJson = False,
) -> None:
    """Send one again, corrected (--file, --edit) or as it was. Once ingest has all of it, it is no longer listed.

    Sending it twice is harmless: an event counts once by its source and id.

    Example: neutrality rejected resend 3/128 --edit
    """
    found, _ = _read(bootstrap_servers)
    documents = _corrected(_one(found, place).rejection, file, edit=edit)
    problems = [
        Bad(number, f"event {number}", wrong) for number, document in enumerate(documents, 1) if (wrong := _wrong(document))
    ]
    for bad in problems:
        tell_problems(bad)
    if problems:
        end(f"{len(problems)} of {len(documents)} events are still wrong; nothing was sent", Exit.FAILED)
    try:
        with Client(ingest_url, api_key=read_key(api_key_file), patience=AT_THE_TERMINAL) as client:
            results = list(client.publish_all(documents))
    except IngestError as error:
        end(str(error), Exit.UNREACHABLE if error.unreachable else Exit.FAILED)
    refused = [Bad(result.place, f"event {result.place}", result.problems) for result in results if isinstance(result, Rejected)]
    for bad in refused:
        tell_problems(bad)
    if refused:
        end(f"{len(refused)} of {len(documents)} events were rejected again; the others are accepted", Exit.FAILED)
    _resolve(bootstrap_servers, place)
    if as_json:
        print_json({"id": place, "accepted": len(results)})
    else:
        Console(highlight=False).print(f"{place}: {len(results)} accepted")


def _corrected(rejection: Rejection, file: str | None, *, edit: bool) -> list[dict[str, Any]]:
    if file is not None:
        with open_events(file) as stream:
            items = list(read_events(stream))
        for item in items:
            if isinstance(item, Bad):
                tell_problems(item)
        return [item.document for item in items if isinstance(item, Good)] or end(f"{file} holds no event to send", Exit.FAILED)
    try:
        documents = rejection.documents()
        text = orjson.dumps(documents[0] if len(documents) == 1 else documents, option=orjson.OPT_INDENT_2)
    except ValueError as error:
        text = rejection.value or b""
        if not edit:
            end(f"it cannot be sent as it was: {error}; use --edit or --file", Exit.FAILED)
    if edit:
        text = _edited(text)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        end(f"still not JSON: {error}; nothing was sent", Exit.FAILED)
    return found if isinstance(found, list) else [found]


def _edited(text: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "event.json"
        path.write_bytes(text)
        editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
        if subprocess.run([*editor.split(), str(path)], check=False).returncode:
            end(f"{editor} failed; nothing was sent", Exit.FAILED)
        return path.read_bytes()


def _wrong(document: object) -> tuple[Any, ...]:
    try:
        read_document(document)
    except InvalidEvent as error:
        return error.problems
    return ()


def _one(found: dict[str, _Found], place: str) -> _Found:
    if place not in found:
        end(f"no rejection {place}; `neutrality rejected list` shows them", Exit.FAILED)
    return found[place]


def _read(bootstrap_servers: Where) -> tuple[dict[str, _Found], set[str]]:
    """All rejections by place, and the places of those that were sent again. Ends the command if Kafka cannot be read."""
    found: dict[str, _Found] = {}
    resolved: set[str] = set()
    try:
        reader = KafkaReader(bootstrap_servers, (REJECTED.name,), client_id="neutrality-cli")
        try:
            for record in read_to_end(reader):
                resolves = [value.decode() for name, value in record.headers if name == RESOLVES_HEADER and value]
                resolved.update(resolves)
                if not resolves:
                    found |= {one.place: one for one in _rejection(f"{record.partition}/{record.offset}", record.value)}
        finally:
            reader.close()
    except BrokerError as error:
        end(f"Kafka at {bootstrap_servers} cannot be read: {error}; is `neutrality up` running?", Exit.UNREACHABLE)
    return found, resolved


def _rejection(place: str, value: bytes | None) -> Iterator[_Found]:
    try:
        yield _Found(place, rejection_from(value or b""))
    except ValueError:
        errors().print(f"{place} on {REJECTED.name} is no rejection, and was passed over", style="yellow")


def _resolve(bootstrap_servers: Where, place: str) -> None:
    record = OutgoingRecord(
        REJECTED.name, place.encode(), orjson.dumps({"resolves": place}), ((RESOLVES_HEADER, place.encode()),)
    )

    async def write() -> None:
        publisher = KafkaPublisher(
            bootstrap_servers,
            client_id="neutrality-cli",
            deadline=timedelta(seconds=10),
            max_in_flight=10,
            max_in_flight_bytes=2**20,
        )
        try:
            await publisher.publish(record)
        finally:
            await publisher.close()

    try:
        asyncio.run(write())
    except BrokerError as error:
        end(f"it was sent, but that could not be noted: {error}; sending it again is harmless", Exit.UNREACHABLE)


def _pretty(content: str) -> str:
    try:
        return orjson.dumps(orjson.loads(content), option=orjson.OPT_INDENT_2).decode()
    except orjson.JSONDecodeError:
        return content
