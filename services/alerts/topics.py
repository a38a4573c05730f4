"""Makes sure of the labs' topics: each once, many at a time, and again after a failure."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from neutrality.topics import Topic, alerts_topic


class EnsuredTopics:
    """Remembers which labs have their topic."""

    def __init__(self, ensure: Callable[[Sequence[Topic]], None]) -> None:
        """`ensure` blocks, and raises BrokerError while Kafka is away or has a topic otherwise than declared."""
        self._ensure = ensure
        self._known: set[str] = set()
        self._gate = asyncio.Lock()

    async def ensure(self, labs: Iterable[str]) -> None:
        """The labs' topics are there afterwards."""
        if self._known.issuperset(labs):
            return
        async with self._gate:
            if missing := sorted(set(labs) - self._known):
                await asyncio.to_thread(self._ensure, [alerts_topic(lab) for lab in missing])
                self._known.update(missing)

    def forget(self, lab: str) -> None:
        """Writing there failed: the topic may be gone, with its cluster or by hand."""
        self._known.discard(lab)
