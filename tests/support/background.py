"""An event loop in a thread, for servers that synchronous tests talk to."""

import asyncio
import threading
from collections.abc import Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

_T = TypeVar("_T")


class Background:
    """A context; what was entered in it ends with it."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="servers", daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.run(self._stack.aclose())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def enter(self, made: AbstractAsyncContextManager[_T]) -> _T:
        """What the context gives."""
        return self.run(self._stack.enter_async_context(made))

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """What comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30.0)
