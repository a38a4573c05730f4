"""When each vertex wants to be looked at again though nothing came in: effective dates, ends of terms, lapses. Pure."""

from collections.abc import Iterable
from datetime import datetime
from heapq import heapify, heappop, heappush


class TickSchedule:
    """Due times by (partition, key). A heap with late deletion: an entry counts only if it is still the key's due time."""

    def __init__(self) -> None:
        """Nothing is due."""
        self._due: dict[tuple[int, bytes], datetime] = {}
        self._heap: list[tuple[datetime, int, bytes]] = []

    def set(self, partition: int, key: bytes, due: datetime | None) -> None:
        """A vertex wants to be looked at at this time, or not at all."""
        if due is None:
            self._due.pop((partition, key), None)
        elif self._due.get((partition, key)) != due:
            self._due[partition, key] = due
            heappush(self._heap, (due, partition, key))

    def rebuild(self, entries: Iterable[tuple[int, bytes, datetime | None]]) -> None:
        """Start over with these."""
        self._due = {(partition, key): due for partition, key, due in entries if due is not None}
        self._heap = [(due, partition, key) for (partition, key), due in self._due.items()]
        heapify(self._heap)

    def due(self, now: datetime, limit: int) -> dict[int, list[bytes]]:
        """Keys due by now, by partition; at most `limit`. They are due no more unless they are set again."""
        found: dict[int, list[bytes]] = {}
        taken = 0
        while self._heap and self._heap[0][0] <= now and taken < limit:
            due, partition, key = heappop(self._heap)
            if self._due.get((partition, key)) == due:
                del self._due[partition, key]
                found.setdefault(partition, []).append(key)
                taken += 1
        return found
