"""What a lab's open stream says of its endpoints: that one is disabled.

It follows from how they stand, so nothing is missed while no stream is open.
"""

from collections.abc import Iterator
from typing import Final

import orjson
from sse_starlette import ServerSentEvent

from services.alerts.database import Database
from services.alerts.endpoints import store
from services.alerts.endpoints.confirmation import AWAITS

EVENT: Final = "endpoint-disabled"


class DisabledEndpoints:
    """Of one stream: each is told once, and again if it was enabled meanwhile."""

    def __init__(self, database: Database, lab: str) -> None:
        """None was told yet."""
        self._database, self._lab = database, lab
        self._told: set[tuple[str, str]] = set()

    async def news(self) -> Iterator[ServerSentEvent]:
        """Those that this stream has not told of. An address that waits for its confirmation is no news."""
        async with self._database.reading() as connection:
            disabled = await store.disabled(connection, self._lab)
        now = {(name, why): kind for name, kind, why in disabled if why != AWAITS}
        fresh = [
            {"endpoint": name, "kind": kind, "reason": why} for (name, why), kind in now.items() if (name, why) not in self._told
        ]
        self._told = set(now)
        return (ServerSentEvent(orjson.dumps(one).decode(), event=EVENT) for one in fresh)
