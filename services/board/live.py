"""Live updates: changes are gathered into frames, and every open page gets each frame once, rendered once for all pages that show the same.

A page says up to which change it was rendered (`BOOT-SEQUENCE`), when it connects and when it connects again: so nothing is missed between a
page and its stream, or while a connection was broken. A slow reader gets several frames as one.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Final

from services.board.domain.market import Market

_REMEMBERED: Final = 256  # rendered frames


class Hub:
    """`changed` cuts a frame at once, or when `frame_s` have passed since the last one."""

    def __init__(self, market: Market, *, frame_s: float, cut: Callable[[], None] = lambda: None) -> None:
        """`cut` is called with each frame."""
        self._market = market
        self._frame_s = frame_s
        self._cut_told = cut
        self._boot = secrets.token_hex(4)
        self._next = asyncio.Event()
        self._sequence = 0
        self._due: asyncio.TimerHandle | None = None
        self._last_s = float("-inf")
        self._rendered: dict[tuple[object, ...], bytes] = {}
        self.closed = False

    @property
    def position(self) -> str:
        """Up to which change a page that is rendered now knows."""
        return f"{self._boot}-{self._market.sequence}"

    def changed(self) -> None:
        """The market is another."""
        if self._due is not None:
            return
        loop = asyncio.get_running_loop()
        wait_s = self._last_s + self._frame_s - loop.time()
        if wait_s <= 0.0:
            self._cut()
        else:
            self._due = loop.call_later(wait_s, self._cut)

    def close(self) -> None:
        """The service stops: streams end."""
        self.closed = True
        self._wake()

    def _cut(self) -> None:
        self._due = None
        self._last_s = asyncio.get_running_loop().time()
        self._sequence = self._market.sequence
        self._cut_told()
        self._wake()

    def _wake(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    def _since(self, position: str | None) -> int:
        """The sequence that a page knows; 0 for one of another process, which must learn everything anew."""
        boot, _, sequence = (position or "").partition("-")
        return int(sequence) if boot == self._boot and sequence.isdecimal() else 0

    async def follow(
        self, position: str | None, key: object, render: Callable[[Iterable[str], str], bytes], look_s: float
    ) -> AsyncIterator[bytes | None]:
        """What each frame is to a page, rendered once for all pages of the same `key`; None after `look_s` without a frame.

        `render` gets the vendors that changed and the position that the page has with them.
        """
        known = self._since(position)
        while not self.closed:
            until = self._next
            if self._sequence > known:
                yield self._frame(known, key, render)
                known = self._sequence
                continue
            try:
                await asyncio.wait_for(until.wait(), look_s)
            except TimeoutError:
                yield None

    def _frame(self, known: int, key: object, render: Callable[[Iterable[str], str], bytes]) -> bytes:
        name = (known, self._sequence, key)
        if name not in self._rendered:
            if len(self._rendered) >= _REMEMBERED:
                self._rendered.clear()
            vendors = [vendor for vendor, at in self._market.changed_at.items() if at > known]
            self._rendered[name] = render(vendors, f"{self._boot}-{self._sequence}")
        return self._rendered[name]
