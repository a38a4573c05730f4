"""What `import` and `watch` share: files of a register opened, converted and published, and what became of every record."""

import gzip
import zipfile
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, cast

import orjson
import typer

from neutrality.cli.exits import Exit, end
from neutrality.cli.reading import Bad
from neutrality.client import Client, Rejected
from neutrality.events.cloudevent import Event, short_type
from neutrality.registers.catalogue import CONNECTORS, new_connector
from neutrality.registers.connector import Connector, Conversion

Schema = Annotated[
    Path | None,
    typer.Option(
        envvar="NEUTRALITY_BODS_SCHEMA",
        help="bods: the standard's own schema, to which statements are held too: the folder `schema` of its repository, tag 0.4.0.",
    ),
]
MAX_PLACES: Final = 5  # told of each reason; the file of refusals has all


@dataclass
class Imported:
    """What became of the records so far. A refusal is a part of a record that became no event."""

    records: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    rejected: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[str]] = field(default_factory=dict)

    def convert(self, conversions: Iterable[Conversion], told: BinaryIO | None) -> Iterator[tuple[str, Event]]:
        """The events of some records, each with its record's place; refusals are counted, and written to `told` as lines."""
        for conversion in conversions:
            self.records += 1
            for refusal in conversion.refusals:
                self.refusals[refusal.reason] += 1
                places = self.places.setdefault(refusal.reason, [])
                if len(places) < MAX_PLACES:
                    places.append(f"{conversion.place}: {refusal.detail}")
                if told is not None:
                    told.write(orjson.dumps({"place": conversion.place, **asdict(refusal)}) + b"\n")
            for event in conversion.events:
                yield conversion.place, event

    def publish(self, client: Client, events: Iterable[tuple[str, Event]]) -> Iterator[Bad | None]:
        """Publish them, and count what became of each; one that ingest rejects is given. Raises IngestError."""
        sent: deque[str] = deque()

        def documents() -> Iterator[Event]:
            for place, event in events:
                sent.append(place)
                yield event

        for result in client.publish_all(documents()):
            place = sent.popleft()
            if isinstance(result, Rejected):
                self.rejected += 1
                yield Bad(result.place, place, result.problems)
                continue
            if result.duplicate:
                self.duplicates += 1
            else:
                self.accepted[short_type(result.type)] += 1
            yield None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "records": self.records,
            "accepted": self.accepted.total(),
            "by_type": dict(self.accepted),
            "duplicates": self.duplicates,
            "rejected": self.rejected,
            "refusals": dict(self.refusals),
            "places": self.places,
        }

    def words(self) -> list[str]:
        """In lines of text."""
        events = (
            f"{self.accepted.total():,} events accepted, {self.duplicates:,} known already, {self.rejected:,} rejected by ingest"
        )
        lines = [f"{self.records:,} records: {events}"]
        for reason, count in self.refusals.most_common():
            lines.append(f"  {count:,} not represented, {reason}: {self.places[reason][0]}")
        return lines


def connector_named(name: str, schema: Path | None = None) -> Connector:
    """A connector for one file. Ends the command if there is none, or it cannot use the schema."""
    try:
        return new_connector(name, schema)
    except KeyError:
        end(f"no connector {name!r}; there are {', '.join(sorted(CONNECTORS))}", Exit.USAGE)
    except ValueError as error:
        end(str(error), Exit.USAGE)
    except ImportError as error:
        end(f"the connectors need the extra `registers`: pip install 'neutrality-watch[registers]' ({error})", Exit.USAGE)


def opened(path: Path) -> Iterator[tuple[str, BinaryIO]]:
    """A file, or the members of a .zip, unpacked while they are read; each with its name. Raises OSError, zipfile.BadZipFile."""
    with ExitStack() as stack:
        if path.suffix == ".zip":
            archive = stack.enter_context(zipfile.ZipFile(path))
            for member in archive.infolist():
                if not member.is_dir():
                    with archive.open(member) as stream:
                        yield f"{path.name}/{member.filename}", cast("BinaryIO", stream)
        elif path.suffix == ".gz":
            yield str(path), cast("BinaryIO", stack.enter_context(gzip.open(path)))
        else:
            yield str(path), stack.enter_context(path.open("rb"))
