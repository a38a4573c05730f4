"""Replays run in processes of their own, so that pages answer meanwhile: one for a vendor's part of the log, one for all of it."""

from collections.abc import Callable
from time import perf_counter
from typing import Final, Literal, TypeVar

import anyio
from anyio import CapacityLimiter, to_process

from services.board.metrics import BoardMetrics

Size = Literal["part", "whole"]
_Result = TypeVar("_Result")
_SIZES: Final[tuple[Size, ...]] = ("part", "whole")


class ReplayTookTooLong(Exception):  # noqa: N818 - named for what it is
    """A replay was ended. Fate: tell the reader."""

    retriable = True


class Workers:
    """Worker processes end with this one: they read from it."""

    def __init__(self, metrics: BoardMetrics, *, timeout_s: float) -> None:
        """Start none yet."""
        self._metrics = metrics
        self._timeout_s = timeout_s
        self._limits = {size: CapacityLimiter(1) for size in _SIZES}

    async def run(self, what: str, size: Size, call: Callable[..., _Result], *arguments: object) -> _Result:
        """The result of a pure function of a module. Raises ReplayTookTooLong."""
        began_s = perf_counter()
        try:
            with anyio.fail_after(self._timeout_s):
                return await to_process.run_sync(call, *arguments, cancellable=True, limiter=self._limits[size])
        except TimeoutError as error:
            raise ReplayTookTooLong(f"the replay took more than {self._timeout_s:g} s") from error
        finally:
            self._metrics.replay.labels(what).observe(perf_counter() - began_s)
