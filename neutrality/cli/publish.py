"""`neutrality publish`: events from a file, a pipe or a shipped scenario, into ingest."""

import io
import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Self

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from neutrality.cli.addresses import DEFAULT_INGEST_URL, ApiKeyFile, AsJson, IngestUrl, read_key
from neutrality.cli.documents import print_json
from neutrality.cli.event_files import Position, open_events, tell_problems
from neutrality.cli.exits import Exit, end, errors
from neutrality.cli.keys import signer
from neutrality.cli.reading import Bad, read_events
from neutrality.client import Client, IngestError, Rejected, Result
from neutrality.events.cloudevent import short_type
from neutrality.scenario import UnknownScenario, load_scenario

MAX_TOLD = 1_000  # refused events that `--json` lists


@dataclass
class _Tally:
    """What became of the events so far."""

    accepted: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    refused: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)

    def take(self, result: Result, number: int, place: str) -> None:
        """Count what became of an event; a refusal is told."""
        if isinstance(result, Rejected):
            self.refuse(Bad(number, place, result.problems))
        elif result.duplicate:
            self.duplicates += 1
        else:
            self.accepted[short_type(result.type)] += 1

    def refuse(self, refused: Bad) -> None:
        """Tell what cannot be published."""
        tell_problems(refused)
        self.refused += 1
        if len(self.told) < MAX_TOLD:
            self.told.append({"place": refused.place, "problems": refused.problems})


def publish(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE|-", help="JSON lines, a JSON array or one object; - is standard input.")
    ] = None,
    scenario: Annotated[
        str | None, typer.Option(help="A scenario that ships with the product, instead of a file: scale-ai-2025.")
    ] = None,
    show: Annotated[bool, typer.Option("--print", help="Print the events as JSON lines instead of publishing them.")] = False,
    from_start: Annotated[
        bool, typer.Option("--from-start", help="Begin at the beginning of a file that was published in part.")
    ] = False,
    sign_with: Annotated[
        Path | None, typer.Option("--sign-with", help="Sign every event with this key (see `neutrality keys signing-key`).")
    ] = None,
    ingest_url: IngestUrl = DEFAULT_INGEST_URL,
    api_key_file: ApiKeyFile = None,
    patience_s: Annotated[
        float, typer.Option("--patience", min=0.0, help="Seconds to keep trying while Kafka or ingest is away.")
    ] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Publish events (CloudEvents 1.0 in JSON), and end when Kafka has them.

    A file of lines may be of any length; if publishing it is interrupted, the same command goes on where it ended. Publishing a
    file again is harmless: an event counts once per source and id. Events that are none are shown with the line, a pointer to the
    field and what is wrong with it; the others are published, and the exit code is 1.

    Example: neutrality publish --scenario scale-ai-2025 --print | neutrality publish -
    """
    if (file is None) == (scenario is None):
        end("give either FILE (or - for standard input) or --scenario", Exit.USAGE)
    tally = _Tally()
    with _open(file, scenario) as stream:
        if show:
            for item in read_events(stream):
                if isinstance(item, Bad):
                    tally.refuse(item)
                else:
                    print_json(item.document)
        else:
            position = _position(stream, file, ingest_url, from_start=from_start)
            sign = _no_signature if sign_with is None else signer(sign_with)
            with Client(ingest_url, api_key=read_key(api_key_file), patience=timedelta(seconds=patience_s)) as client:
                _publish(stream, position, client, tally, sign)
    if not show:
        _tell(tally, as_json=as_json)
    if tally.refused:
        raise typer.Exit(Exit.FAILED)


def _position(stream: BinaryIO, file: str | None, url: str, *, from_start: bool) -> Position:
    position = Position(None, "") if file is None or file == "-" else Position.of(stream, file, url, from_start=from_start)
    if position.number:
        errors().print(f"going on after {position.number:,}, where the last run ended (--from-start begins anew)")
    return position


def _no_signature(document: dict[str, Any]) -> dict[str, Any]:
    return document


def _publish(
    stream: BinaryIO, position: Position, client: Client, tally: _Tally, sign: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    sent: deque[tuple[int, str]] = deque()

    def documents() -> Iterator[dict[str, Any]]:
        for item in read_events(stream):
            if item.number <= position.number:
                continue
            if isinstance(item, Bad):
                tally.refuse(item)
                continue
            sent.append((item.number, item.place))
            yield sign(item.document)

    try:
        with _progress(stream) as advance:
            for result in client.publish_all(documents()):
                number, place = sent.popleft()
                tally.take(result, number, place)
                position.passed(number)
                advance(tally.accepted.total() + tally.duplicates)
    except IngestError as error:
        position.save()
        end(f"{error}{_how_to_go_on(position)}", Exit.UNREACHABLE if error.unreachable else Exit.FAILED)
    except KeyboardInterrupt:
        position.save()
        end(f"interrupted{_how_to_go_on(position)}", Exit.FAILED)
    position.forget()


def _how_to_go_on(position: Position) -> str:
    return f"\n  {position.number:,} are done; the same command goes on after them" if position.number else ""


class _Bar:
    """A progress bar on standard error, by how much of a file is read."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        columns = (
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[accepted]:,} accepted, {task.fields[rate]:,.0f}/s"),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=errors(), transient=True)
        self._task = self._progress.add_task("", total=size, accepted=0, rate=0.0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, accepted: int) -> None:
        rate = accepted / (self._progress.tasks[0].elapsed or 1.0)
        self._progress.update(self._task, completed=self._stream.tell(), accepted=accepted, rate=rate)


def _progress(stream: BinaryIO) -> Any:
    """What is called with the number of accepted events: a bar, where somebody sees it and the file's size is known."""
    if errors().is_terminal and not isinstance(stream, io.BytesIO):
        status = os.fstat(stream.fileno())
        if stat.S_ISREG(status.st_mode):
            return _Bar(stream, status.st_size)
    return nullcontext(lambda _accepted: None)


def _open(file: str | None, scenario: str | None) -> BinaryIO:
    if scenario is not None:
        try:
            return io.BytesIO(b"\n".join(orjson.dumps(document) for document in load_scenario(scenario).documents()))
        except UnknownScenario as error:
            end(str(error), Exit.USAGE)
    return open_events(file or "-")


def _tell(tally: _Tally, *, as_json: bool) -> None:
    accepted = tally.accepted.total()
    if as_json:
        print_json(
            {
                "accepted": accepted,
                "by_type": dict(tally.accepted),
                "duplicates": tally.duplicates,
                "refused": tally.refused,
                "rejected": tally.told,
            }
        )
    else:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(tally.accepted.items()))
        known = f", {tally.duplicates} known already" if tally.duplicates else ""
        Console(highlight=False).print(f"{accepted} accepted{f' ({kinds})' if kinds else ''}{known}, {tally.refused} refused")
