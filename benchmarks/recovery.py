"""How long a scoring worker takes from its start until it is ready, and how much memory: `python -m benchmarks.recovery`.

The changelog is that of a graph whose entities were all taken in: each entity's state is made by `react` from its own events and from the
profiles of its parties, and written with the headers of a real worker. Half of the entities are written twice, as in a log whose tail is
not compacted yet.
The worker is the real process on the embedded Kafka. Cold: the folder is empty, all is replayed; warm: it was stopped and starts again.

Time counts from the start of the process (so with the interpreter, the imports and the joining of the group) to `scoring_ready` of 1 on
its /metrics; memory is the highest resident set that was seen by then, and once it is ready.
"""

import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

import psutil
from kafka import KafkaProducer

from neutrality.broker.embedded import EmbeddedKafka
from neutrality.broker.kafka import ensure_topics
from neutrality.events.cloudevent import Event, event_from_document
from neutrality.model.messages import Message
from neutrality.model.methodology import load_methodology
from neutrality.model.vertex import Input, Origin, Vertex, react, vertex_to_bytes
from neutrality.topics import MESSAGES, OWNERSHIP
from services.scoring.fencing import claim_record, state_headers
from services.scoring.partitions import partition_of
from services.scoring.settings import ScoringSettings
from services.scoring.topics import changelog_topic

GROUP: Final = "bench-recovery"
LABS: Final = 20
AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
PATIENCE_S: Final = 900.0


@dataclass(frozen=True)
class Start:
    """One start of a worker."""

    name: str
    ready_s: float
    peak_mib: float
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


def write_changelog(servers: str, topic: str, partitions: int, entities: int, claims: int) -> tuple[int, int]:
    """Fill the changelog; returns records and bytes of values."""
    home, random = partition_of(partitions), Random(1)
    producer = KafkaProducer(
        bootstrap_servers=servers, acks="all", linger_ms=20, batch_size=256 * 1024, max_request_size=8_000_000
    )
    records = size = 0
    for partition in range(partitions):
        claim = claim_record(topic, partition, 1)
        producer.send(topic, key=claim.key, value=claim.value, headers=list(claim.headers), partition=partition)
    for number, (key, vertex) in enumerate(states(random, entities, claims)):
        value, headers = vertex_to_bytes(vertex), list(state_headers(1, vertex.next_change))
        for _ in range(1 + number % 2):
            producer.send(topic, key=key, value=value, headers=headers, partition=home(key))
            records, size = records + 1, size + len(value)
    producer.flush()
    producer.close()
    return records, size


def start_worker(name: str, servers: str, partitions: int, folder: Path, *options: str) -> Start:
    """Start a worker, wait until it is ready, stop it."""
    log = folder / f"{name.replace(' ', '-').replace(',', '')}.log"
    began = time.monotonic()
    with log.open("wb") as output:
        worker = subprocess.Popen(
            [sys.executable, "-m", "services.scoring"],
            env={
                **os.environ,
                "SCORING_BOOTSTRAP_SERVERS": servers,
                "SCORING_GROUP": GROUP,
                "SCORING_PARTITIONS": str(partitions),
                "SCORING_METRICS_PORT": "0",
                "SCORING_DATA_DIR": str(folder / "data"),
                **dict(option.split("=") for option in options),
            },
            stdout=output,
            stderr=output,
        )
    try:
        process, peak, address = psutil.Process(worker.pid), 0, None
        while time.monotonic() - began < PATIENCE_S:
            if worker.poll() is not None:
                raise RuntimeError(f"{name}: the worker ended with {worker.returncode}:\n{log.read_text()[-3000:]}")
            peak = max(peak, process.memory_info().rss)
            address = address or re.search(r'"port": (\d+), "event": "metrics_served"', log.read_text())
            if address is not None:
                metrics = urllib.request.urlopen(f"http://127.0.0.1:{address[1]}/metrics", timeout=30).read().decode()
                if re.search(r"^scoring_ready 1\.0$", metrics, re.MULTILINE):
                    ready_s = time.monotonic() - began
                    vertices = re.search(r"^scoring_vertices (\S+)$", metrics, re.MULTILINE)
                    peak = max(peak, process.memory_info().rss)
                    return Start(name, ready_s, peak / 2**20, int(float(vertices[1])) if vertices else -1)
            time.sleep(0.1)
        raise RuntimeError(f"{name}: not ready within {PATIENCE_S:g} s")
    finally:
        worker.send_signal(signal.SIGTERM)
        try:
            worker.wait(60)
        except subprocess.TimeoutExpired:
            worker.kill()
            worker.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--claims", type=int, default=1_000_000)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--partitions", type=int, default=12)
    chosen = parser.parse_args(arguments)
    topic = changelog_topic(ScoringSettings(group=GROUP).changelog)
    with tempfile.TemporaryDirectory() as found, EmbeddedKafka(data_dir=Path(found) / "kafka", port=0) as kafka:
        folder, servers = Path(found), kafka.bootstrap_servers
        ensure_topics(servers, [topic], partitions=chosen.partitions)
        records, size = write_changelog(servers, topic.name, chosen.partitions, chosen.entities, chosen.claims)
        print(
            f"{chosen.claims:,} claims, {chosen.entities:,} entities, {records:,} records of {size / 2**20:,.0f} MiB in "
            f"{chosen.partitions} partitions; Python {platform.python_version()}, {os.cpu_count()} processors\n"
        )
        rocksdb = "SCORING_STORE=rocksdb"
        print("| Store | Until ready, s | Peak memory, MiB | Vertices |\n|---|---|---|---|")
        for name, options in (("memory", ()), ("RocksDB, cold", (rocksdb,)), ("RocksDB, warm", (rocksdb,))):
            it = start_worker(name, servers, chosen.partitions, folder, *options)
            print(f"| {it.name} | {it.ready_s:.1f} | {it.peak_mib:,.0f} | {it.vertices:,} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
