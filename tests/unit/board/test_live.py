"""Live updates: frames are gathered, rendered once, and none is missed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from functools import wraps
from typing import Any

from services.board.domain.market import Market
from services.board.live import Hub
from tests.support.assessments import assessment, score

LOOK_S = 0.05


def in_loop(test: Callable[[], Coroutine[Any, Any, None]]) -> Callable[[], None]:
    @wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


class Rendering:
    """Counts how often something is rendered."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, vendors: Iterable[str], position: str) -> bytes:
        self.calls += 1
        return f"{','.join(sorted(vendors))}@{position.partition('-')[2]}".encode()


async def take(stream: AsyncIterator[bytes | None], count: int) -> list[bytes]:
    found: list[bytes] = []
    async with asyncio.timeout(5):
        async for frame in stream:
            if frame is not None:
                found.append(frame)
            if len(found) == count:
                break
    return found


def change(market: Market, hub: Hub, vendor: str, version: int) -> None:
    market.take(assessment(version, score(50.0), vendor=vendor), version)
    hub.changed()


@in_loop
async def test_changes_within_a_frame_come_together_and_the_first_at_once() -> None:
    market = Market()
    hub = Hub(market, frame_s=0.1)
    render = Rendering()
    stream = hub.follow(hub.position, "google", render, LOOK_S)
    change(market, hub, "a", 1)
    assert await take(stream, 1) == [b"a@1"]
    for vendor in ("b", "c"):
        change(market, hub, vendor, 1)
    assert await take(hub.follow(hub.position[:-1] + "1", "google", render, LOOK_S), 1) == [b"b,c@3"]


@in_loop
async def test_a_page_that_was_rendered_before_its_stream_misses_nothing() -> None:
    market = Market()
    hub = Hub(market, frame_s=0.01)
    position = hub.position
    change(market, hub, "a", 1)
    await asyncio.sleep(0.03)
    change(market, hub, "b", 1)
    assert await take(hub.follow(position, "google", Rendering(), LOOK_S), 1) == [b"a,b@2"]


@in_loop
async def test_a_page_of_another_process_is_told_everything() -> None:
    market = Market()
    hub = Hub(market, frame_s=0.01)
    change(market, hub, "a", 1)
    for position in ("00000000-99", "nonsense", "", None):
        assert await take(hub.follow(position, "google", Rendering(), LOOK_S), 1) == [b"a@1"]


@in_loop
async def test_a_frame_is_rendered_once_for_all_pages_that_show_the_same() -> None:
    market = Market()
    hub = Hub(market, frame_s=0.01)
    render = Rendering()
    readers = [
        asyncio.create_task(take(hub.follow(hub.position, lab, render, LOOK_S), 1)) for lab in ("google",) * 50 + ("meta",)
    ]
    await asyncio.sleep(0.01)
    change(market, hub, "a", 1)
    assert await asyncio.gather(*readers) == [[b"a@1"]] * 51
    assert render.calls == 2


@in_loop
async def test_streams_end_with_the_service() -> None:
    hub = Hub(Market(), frame_s=0.01)

    async def read() -> list[bytes | None]:
        return [frame async for frame in hub.follow(hub.position, "google", Rendering(), 60.0)]

    reader = asyncio.create_task(read())
    await asyncio.sleep(0.01)
    hub.close()
    async with asyncio.timeout(1):
        assert await reader == []
