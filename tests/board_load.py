"""`make board-load`: the board with 500 vendors and 20 labs, 200 open pages, and 50 changes a second, on the real stack; one table.

An update's time is from Kafka's taking of the event to the frame's arrival at a page, both by this machine's clock. First views are Chromium's.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
import psutil
from playwright.sync_api import Request, sync_playwright

from neutrality.broker.kafka import KafkaReader
from neutrality.cli.stack import Ports, Stack
from neutrality.client import Client
from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.topics import SCORES
from tests.support.browser import CHROMIUM, FLAGS, sign_in

LABS = [f"lab-{number:02}" for number in range(20)]
CATEGORIES = ("data-labelling", "evaluation", "red-teaming", "synthetic-data")


@dataclass(frozen=True)
class Load:
    """How much."""

    vendors: int
    viewers: int
    per_second: int
    seconds: int


@dataclass
class Seen:
    """When Kafka took what led to a version (ms since 1970), and when a page had it."""

    accepted: dict[tuple[str, int], int] = field(default_factory=dict)
    arrivals: list[tuple[str, int, float]] = field(default_factory=list)
    frames: int = 0
    size: int = 0


def event(kind: str, number: int, **data: Any) -> dict[str, Any]:
    time_ = datetime.now(UTC).isoformat()
    said = {
        "status": "completed",
        "effective_time": "2025-01-01T00:00:00Z",
        "evidence": [{"kind": "filing", "publisher": "Registry"}],
    }
    return {
        "specversion": "1.0",
        "id": str(number),
        "source": "urn:board-load",
        "type": f"watch.neutrality.{kind}.v1",
        "time": time_,
        "data": {**said, **data},
    }


def market(load: Load, random: Random) -> Iterator[dict[str, Any]]:
    """Labs, vendors, and two stakes in each."""
    for number, lab in enumerate(LABS):
        yield event("entity", number, subject=lab, claim_id="what", is_lab=True, name=f"Lab {number}")
    for number in range(load.vendors):
        name, categories = f"Vendor {number:03} of Somewhere", random.sample(CATEGORIES, 2)
        yield event(
            "entity", 1_000 + number, subject=vendor(number), claim_id="what", is_vendor=True, name=name, categories=categories
        )
        for place in range(2):
            yield stake(10_000 + 2 * number + place, vendor(number), LABS[(number + 7 * place) % 20], random.randrange(1, 40))


def vendor(number: int) -> str:
    return f"vendor-{number:03}"


def stake(number: int, subject: str, lab: str, percent: int) -> dict[str, Any]:
    held = {"interested_party": lab, "interest_type": "shareholding", "share": {"exact": percent / 100}}
    return event("interest", number, subject=subject, claim_id=f"of-{lab}", **held)


def follow_scores(stack: Stack, seen: Seen, stopped: threading.Event, newest: dict[str, Assessment]) -> None:
    reader = KafkaReader(stack.bootstrap_servers, (SCORES.name,), client_id="board-load")
    while not stopped.is_set():
        for record in reader.poll(timedelta(milliseconds=100)):
            found = parse_assessment(record.value or b"")
            if isinstance(found, Assessment):
                newest[found.vendor] = found
                if found.cause is not None:
                    seen.accepted[found.vendor, found.version] = found.cause.accepted_ms
    reader.close()


async def view(url: str, lab: str, seen: Seen, opened: asyncio.Event) -> None:
    """One open page: it has signed in, and reads its stream."""
    timeout = httpx.Timeout(30.0, read=60.0)
    async with httpx.AsyncClient(base_url=url, headers={"origin": url}, timeout=timeout) as client:
        answer = await client.post("/sign-in", data={"lab": lab})
        assert answer.status_code == 303, answer.text
        page = (await client.get("/")).text
        position = page.partition('data-since="')[2].partition('"')[0]
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), limit=8 * 1024 * 1024)
    cookie = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    path = f"/live?moved=week&since={position}"
    writer.write(f"GET {path} HTTP/1.1\r\nhost: {host}:{port}\r\ncookie: {cookie}\r\n\r\n".encode())
    opened.set()
    try:
        while line := await reader.readline():  # a frame is one line of one chunk
            if line.startswith(b"data: "):
                now_ms = time.time() * 1000
                seen.frames += 1
                seen.size += len(line)
                for name, row in orjson.loads(line[6:])["rows"].items():
                    seen.arrivals.append((name, row["version"], now_ms))
    finally:
        writer.close()


async def watch(stack: Stack, load: Load, seen: Seen) -> None:
    """All pages open; then the changes, evenly; then what is on its way."""
    opened = [asyncio.Event() for _ in range(load.viewers)]
    pages = [
        asyncio.create_task(view(stack.board_url, LABS[number % 20], seen, opened[number])) for number in range(load.viewers)
    ]
    for number in range(0, load.viewers, 20):  # a morning's rush, not one instant
        await asyncio.gather(*(one.wait() for one in opened[number : number + 20]))
    sending = asyncio.create_task(asyncio.to_thread(send, stack, load))
    done, _ = await asyncio.wait([sending, *pages], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
    await asyncio.sleep(3)
    for page in pages:
        page.cancel()
    await asyncio.gather(*pages, return_exceptions=True)


def send(stack: Stack, load: Load) -> None:
    random = Random(2)
    with Client(stack.ingest_url) as client:
        began_s = time.monotonic()
        for number in range(load.per_second * load.seconds):
            due_s = began_s + number / load.per_second
            time.sleep(max(0.0, due_s - time.monotonic()))
            place = random.randrange(load.vendors)
            client.send([stake(1_000_000 + number, vendor(place), LABS[place % 20], 1 + number % 97)])


def first_views(stack: Stack) -> list[tuple[str, float, float, int]]:
    """Page, seconds to the first paint and until it is loaded, and bytes over the network, with an empty cache."""
    found = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        context = browser.new_context()
        sign_in(context.new_page(), stack.board_url, LABS[0])
        for name, path in (
            ("overview", "/"),
            ("as of", "/as-of"),
            ("vendor", f"/vendors/{vendor(0)}"),
            ("history", f"/vendors/{vendor(0)}/history"),
            ("ownership", f"/vendors/{vendor(0)}/ownership"),
        ):
            fresh = browser.new_context(storage_state=context.storage_state())
            page = fresh.new_page()
            sizes: list[int] = []
            page.on("requestfinished", partial(_weigh, sizes))
            page.goto(stack.board_url + path)
            page.wait_for_timeout(500)
            paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
            load = page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
            found.append((name, paint / 1000, load / 1000, sum(sizes)))
            fresh.close()
        browser.close()
    return found


def _weigh(sizes: list[int], request: Request) -> None:
    sizes.append(request.sizes()["responseBodySize"])


def table(load: Load, seen: Seen, views: list[tuple[str, float, float, int]], memory_mb: float) -> str:
    took = sorted(
        at_ms - seen.accepted[name, version] for name, version, at_ms in seen.arrivals if (name, version) in seen.accepted
    )
    quantiles = statistics.quantiles(took, n=1000)
    lines = [
        f"{load.vendors} vendors x {len(LABS)} labs on the real stack, everything on this machine ({psutil.cpu_count()} cores).",
        "",
        "| first view, empty cache | first paint s | loaded s | kB over the network |",
        "|---|---|---|---|",
        *[f"| {name} | {paint:.2f} | {loaded:.2f} | {size / 1000:.0f} |" for name, paint, loaded, size in views],
        "",
        f"| {load.viewers} open pages, {load.per_second} changes/s for {load.seconds} s | |",
        "|---|---|",
        f"| updates at pages | {len(took):,} in {seen.frames:,} frames, {seen.size / 1e6:.0f} MB |",
        f"| event taken by Kafka to update at the page, median | {quantiles[499]:.0f} ms |",
        f"| p99 | {quantiles[989]:.0f} ms |",
        f"| longest | {took[-1]:.0f} ms |",
        f"| memory of the board | {memory_mb:.0f} MB |",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Run it, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vendors", type=int, default=500)
    parser.add_argument("--viewers", type=int, default=200)
    parser.add_argument("--per-second", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--output", type=Path, default=Path(".local/board-load.md"))
    given = parser.parse_args()
    load = Load(given.vendors, given.viewers, given.per_second, given.seconds)
    seen, newest, stopped = Seen(), dict[str, Assessment](), threading.Event()
    with (
        tempfile.TemporaryDirectory() as folder,
        Stack(Path(folder), Ports.free(), lambda line: print(line, file=sys.stderr)) as stack,
    ):
        following = threading.Thread(target=follow_scores, args=(stack, seen, stopped, newest), daemon=True)
        following.start()
        with Client(stack.ingest_url) as client:
            client.send(market(load, Random(1)))
        deadline = time.monotonic() + 120
        while sum(found.headline.grade != "NR" for found in newest.values()) < load.vendors:
            assert time.monotonic() < deadline, f"{len(newest)} vendors after two minutes"
            time.sleep(0.2)
        time.sleep(3)
        views = first_views(stack) if CHROMIUM is not None else []
        asyncio.run(watch(stack, load, seen))
        process = psutil.Process(stack.services["board"].pid)
        memory = sum(one.memory_info().rss for one in (process, *process.children(recursive=True))) / 1e6
        stopped.set()
        following.join()
    text = table(load, seen, views, memory)
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(text, encoding="utf-8")
    print(text)
    return 0 if seen.arrivals else 1


if __name__ == "__main__":
    raise SystemExit(main())
