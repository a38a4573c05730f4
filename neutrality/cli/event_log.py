"""All events so far: from the two input topics, or from files when there is no broker."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from neutrality.broker.access import Where
from neutrality.broker.errors import BrokerError
from neutrality.broker.kafka import KafkaReader
from neutrality.cli.event_files import open_events, tell_problems
from neutrality.cli.exits import Exit, end, errors
from neutrality.cli.reading import Bad, Good, read_events
from neutrality.events.cloudevent import Event
from neutrality.identity.references import read_document
from neutrality.model.local import TimedEvent
from neutrality.topics import CONTRACTS, OWNERSHIP
from neutrality.verification.log import EventLog

INPUTS = (OWNERSHIP.name, CONTRACTS.name)

LogFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--log", metavar="FILE", help="Take the events so far from this file (several times: from all) instead of Kafka."
    ),
]


@dataclass(frozen=True, slots=True)
class LoadedLog:
    """Valid events, each with the time at which Kafka took it (for files: at which it was recorded), and how many are not valid."""

    events: tuple[TimedEvent, ...]
    rejected: int


def load_log(bootstrap_servers: Where, files: Sequence[str] | None) -> LoadedLog:
    """Everything so far. Ends the command if a file or Kafka cannot be read."""
    if files:
        found = [item for file in files for item in _read(file)]
        events = [read_document(item.document) for item in found if isinstance(item, Good)]
        log = LoadedLog(tuple((event, recorded_ms(event)) for event in events), sum(isinstance(item, Bad) for item in found))
    else:
        log = _from_kafka(bootstrap_servers)
    if log.rejected:
        errors().print(f"{log.rejected} records of the log are no events that count, and were passed over", style="yellow")
    return log


def _read(file: str) -> list[Good | Bad]:
    with open_events(file) as stream:
        return list(read_events(stream))


def _from_kafka(bootstrap_servers: Where) -> LoadedLog:
    try:
        inputs = EventLog(KafkaReader(bootstrap_servers, INPUTS, client_id="neutrality-cli"))
        try:
            events = inputs.read_new()
        finally:
            inputs.close()
    except BrokerError as error:
        end(f"Kafka at {bootstrap_servers} cannot be read: {error}; is `neutrality up` running?", Exit.UNREACHABLE)
    return LoadedLog(tuple(events), sum(inputs.rejected.values()))


def read_assumptions(file: str) -> tuple[Event, ...]:
    """The events of a file, all of which must be valid. Ends the command if one is not."""
    found = _read(file)
    bad = [item for item in found if isinstance(item, Bad)]
    for refused in bad:
        tell_problems(refused)
    if bad:
        end(f"{len(bad)} of {len(found)} are no events", Exit.FAILED)
    return tuple(read_document(item.document) for item in found if isinstance(item, Good))


def recorded_ms(event: Event) -> int:
    """When the event's source recorded it, ms since 1970."""
    return int(event.time.timestamp() * 1000)


def parse_instant(text: str) -> datetime:
    """RFC 3339 with an offset or Z, or a date (its beginning in UTC). Raises typer.BadParameter."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time; use for example 2025-06-12 or 2025-06-12T09:30:00Z") from error
    if found.tzinfo is None:
        if len(text) > len("2025-06-12"):
            raise typer.BadParameter(f"{text!r} does not say in which time zone; end it with Z for UTC")
        return found.replace(tzinfo=UTC)
    return found
