"""How long a scoring worker takes from its start until it is ready, and how much memory: `python -m benchmarks.recovery`.

The changelog is that of a graph whose entities were all taken in: each entity's state is made by `react` from its own events and from the
profiles of its parties, and written with the headers of a real worker. Half of the entities are written twice, as in a log whose tail is
not compacted yet.
The worker is the real process on the embedded Kafka. Cold: the folder is empty, all is replayed; warm: it was stopped and starts again. Each must
hold all entities in the end.

Time counts from the start of the process (so with the interpreter, the imports and the joining of the group) to `scoring_ready` of 1 on
its /metrics; memory is the highest resident set that was seen by then, and once it is ready.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.kafka import Written, load
from benchmarks.report import Report, machine, markdown_table, parser_of, publish
from benchmarks.scoring_worker import ScoringWorker
from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import ensure_topics
from neutrality.events.cloudevent import Event, event_from_document
from neutrality.model.messages import Message
from neutrality.model.methodology import load_methodology
from neutrality.model.stored import core_to_bytes, reports_to_bytes
from neutrality.model.vertex import Input, Origin, Vertex, react
from neutrality.topics import DEFAULT_PARTITIONS, MESSAGES, OWNERSHIP
from services.scoring.fencing import claim_record, state_headers
from services.scoring.partitions import partition_of
from services.scoring.pieces import piece_key
from services.scoring.settings import ScoringSettings
from services.scoring.topics import changelog_topic

GROUP: Final = "bench-recovery"
CHANGELOG: Final = ScoringSettings(group=GROUP).changelog
LABS: Final = 20
AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE_S: Final = 900.0
SAMPLE_S: Final = 0.1
COLUMNS: Final = ("store", "until ready, s", "of it processor, s", "peak MiB", "vertices")
STARTS: Final = (("memory", "memory"), ("RocksDB, cold", "rocksdb"), ("RocksDB, warm", "rocksdb"))


@dataclass(frozen=True)
class Size:
    """What was written to the changelog."""

    records: int
    value_bytes: int


@dataclass(frozen=True)
class Start:
    """One start of a worker."""

    name: str
    ready_s: float
    cpu_s: float
    peak_bytes: int
    vertices: int


def a_claim(random: Random, number: int, subject: str, party: str, claim: int) -> Event:
    """An interest, a role or a contract of a subject; one in ten ends some day."""
    day = number % 700
    time_ = (datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=day)).isoformat()
    data = {
        "subject": subject,
        "claim_id": f"claim-{claim}",
        "status": "completed",
        "effective_time": time_,
        "interested_party": party,
        "interest_type": random.choice(("shareholding", "votingRights")),
        "share": {"exact": random.randint(1, 900) / 10_000},
        "evidence": [{"kind": "filing", "publisher": "Companies Registry", "url": f"https://example.org/filings/{number}"}],
    }
    if random.random() < 0.1:
        data["end_time"] = "2027-06-30T00:00:00+00:00"
    return event_from_document(
        {
            "specversion": "1.0",
            "id": f"event-{number}",
            "source": "urn:bench:registry",
            "type": "watch.neutrality.interest.v1",
            "time": time_,
            "data": data,
        }
    )


def states(random: Random, entities: int, claims: int) -> Iterator[tuple[bytes, Vertex]]:
    """Vertices of all entities, with their share of the claims; their parties are labs and other entities."""
    methodology, number = load_methodology(), 0
    profiles: list[Message] = []
    for index in range(entities):
        subject = f"entity-{index:06}"
        inputs = []
        parties = set()
        for claim in range(claims * (index + 1) // entities - claims * index // entities):
            party = f"lab-{random.randrange(LABS)}" if random.random() < 0.3 else f"entity-{random.randrange(entities):06}"
            if party == subject:
                continue
            parties.add(party)
            inputs.append(
                Input(
                    Origin(OWNERSHIP.name, 0, number, 1_700_000_000_000 + number), a_claim(random, number, subject, party, claim)
                )
            )
            number += 1
        known = [
            Message("profile", party, subject, 1, profile=random.choice(profiles).profile)
            for party in sorted(parties)
            if profiles
        ]
        inputs += [Input(Origin(MESSAGES.name, 0, index * 100 + place, 1_700_000_000_000), it) for place, it in enumerate(known)]
        reaction = react(None, subject, inputs, at=AT, methodology=methodology)
        if len(profiles) < 1000:
            profiles += [message for message in reaction.messages if message.kind == "profile"][:1]
        yield subject.encode(), reaction.vertex


def changelog_records(entities: int, claims: int) -> Iterator[Written]:
    """The changelog, from each partition's claim on: each report a piece of its own, as if it had come alone; every other core stands twice."""
    home = partition_of(DEFAULT_PARTITIONS)
    for partition in range(DEFAULT_PARTITIONS):
        claim = claim_record(CHANGELOG, partition, 1)
        yield Written(CHANGELOG, partition, claim.key, claim.value, claim.headers)
    for number, (key, vertex) in enumerate(states(Random(1), entities, claims)):
        for name, report in vertex.reports.items():
            piece = reports_to_bytes({name: report})
            yield Written(CHANGELOG, home(key), piece_key(key, piece), piece, state_headers(1, None))
        record = Written(CHANGELOG, home(key), key, core_to_bytes(vertex), state_headers(1, vertex.next_change))
        yield from [record] * (1 + number % 2)


async def write_changelog(servers: str, entities: int, claims: int) -> Size:
    """Fill the changelog."""
    records = value_bytes = 0

    def counted() -> Iterator[Written]:
        nonlocal records, value_bytes
        for record in changelog_records(entities, claims):
            records, value_bytes = records + 1, value_bytes + len(record.value or b"")
            yield record

    async with load(servers) as to:
        await to.send(to.pack(counted()))
    return Size(records, value_bytes)


def start_worker(name: str, store: str, servers: str, folder: Path) -> Start:
    """Start a worker, wait until it is ready, stop it. Both starts with RocksDB have the same data folder."""
    settings = {"BOOTSTRAP_SERVERS": servers, "GROUP": GROUP, "STORE": store, "DATA_DIR": folder / "data"}
    peak_bytes = 0
    with ScoringWorker(folder, name.replace(" ", "-").replace(",", ""), settings) as worker:
        while time.time() - worker.started_s < PATIENCE_S:
            found = worker.metrics()
            peak_bytes = max(peak_bytes, worker.resident_bytes())
            if found.get("scoring_ready") == 1.0:
                return Start(name, time.time() - worker.started_s, worker.cpu_s(), peak_bytes, int(found["scoring_vertices"]))
            time.sleep(SAMPLE_S)
    raise TimeoutError(f"{name}: not ready within {PATIENCE_S:g} s")


def text(claims: int, entities: int, size: Size, starts: Sequence[Start]) -> str:
    """The whole text in Markdown."""
    rows = [
        [it.name, f"{it.ready_s:.1f}", f"{it.cpu_s:.1f}", f"{it.peak_bytes / 2**20:,.0f}", f"{it.vertices:,}"] for it in starts
    ]
    return (
        "## Recovery: from a worker's start to its being ready\n\n"
        f"{claims:,} claims of {entities:,} entities: a changelog of {size.records:,} records with {size.value_bytes / 2**20:,.0f} MiB of "
        f"values in {DEFAULT_PARTITIONS} partitions, each claim by itself, half of the cores twice; {machine()}.\n\n{markdown_table(COLUMNS, rows)}\n"
    )


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = parser_of(__doc__ or "")
    options.add_argument("--claims", type=int, help="1,000,000; quick: 20,000")
    options.add_argument("--entities", type=int, help="100,000; quick: 2,000")
    return options


def run(options: argparse.Namespace) -> Report:
    """Write the changelog, and start a worker on it three times."""
    claims = options.claims or (20_000 if options.quick else 1_000_000)
    entities = options.entities or (2_000 if options.quick else 100_000)
    with tempfile.TemporaryDirectory(prefix="neutrality-bench-") as found:
        folder = Path(found)
        with EmbeddedKafka(data_dir=folder / "kafka", port=0) as kafka:
            ensure_topics(kafka.bootstrap_servers, [changelog_topic(CHANGELOG)])
            size = asyncio.run(write_changelog(kafka.bootstrap_servers, entities, claims))
            starts = [start_worker(name, store, kafka.bootstrap_servers, folder) for name, store in STARTS]
    return Report(text(claims, entities, size, starts), all(it.vertices == entities for it in starts))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; 0 if every start found all vertices."""
    options = parser().parse_args(arguments)
    return publish(run(options), options.output)


if __name__ == "__main__":
    sys.exit(main())
