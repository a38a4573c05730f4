"""Makes sure of the labs' topics: each once, and again after a failure."""

import asyncio
from collections.abc import Callable

from neutrality.topics import Topic, alerts_topic


class EnsuredTopics:
    """Remembers which labs have their topic."""

    def __init__(self, ensure: Callable[[Topic], None]) -> None:
        """`ensure` blocks, and raises BrokerError while Kafka is away or has the topic otherwise than declared."""
        self._ensure = ensure
        self._known: set[str] = set()
        self._gate = asyncio.Lock()

    async def ensure(self, lab: str) -> None:
        """The lab's topic is there afterwards."""
        if lab in self._known:
            return
        async with self._gate:
            if lab not in self._known:
                await asyncio.to_thread(self._ensure, alerts_topic(lab))
                self._known.add(lab)

    def forget(self, lab: str) -> None:
        """Writing there failed: the topic may be gone, with its cluster or by hand."""
        self._known.discard(lab)
