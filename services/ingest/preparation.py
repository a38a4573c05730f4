"""The topics that ingest writes to are made sure of in the background, for as long as Kafka is away.

Until then ingest is live but takes no events: a broker that makes missing topics by itself would make them with other settings.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

import structlog

from neutrality.broker.port import BrokerError

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 5.0

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class TopicPreparation:
    """Knows whether the topics are there as declared. `run` ends once they are."""

    def __init__(self, ensure: Callable[[], None], *, first_pause_s: float = FIRST_PAUSE_S) -> None:
        """`ensure` blocks, and raises BrokerError while the topics are not there or not as declared."""
        self._ensure = ensure
        self._first_pause_s = first_pause_s
        self.done = False

    async def run(self) -> None:
        """Try until it works. A topic with other settings than declared is tried again too: an operator may alter it."""
        pause_s = self._first_pause_s
        last: type[BrokerError] | None = None
        while True:
            try:
                await _in_daemon_thread(self._ensure)
            except BrokerError as error:
                if type(error) is not last:
                    last = type(error)
                    _log.warning("topics_awaited", error=last.__name__, reason=str(error))
            else:
                self.done = True
                _log.info("topics_ready")
                return
            await asyncio.sleep(pause_s)
            pause_s = min(LONGEST_PAUSE_S, 2 * pause_s)


async def _in_daemon_thread(work: Callable[[], None]) -> None:
    """As `asyncio.to_thread`, but a stop does not wait for work that hangs on a Kafka that is away."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def settle(error: Exception | None) -> None:
        if ended.done():
            return
        if error is None:
            ended.set_result(None)
        else:
            ended.set_exception(error)

    def run() -> None:
        failure: Exception | None = None
        try:
            work()
        except Exception as error:  # noqa: BLE001 - handed to the one who waits
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, failure)

    threading.Thread(target=run, name="ingest-topics", daemon=True).start()
    await ended
