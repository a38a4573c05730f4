"""Which vertices are to be looked at though nothing came in. Pure.

`TickSchedule`: effective dates, ends of terms, lapses. `Arrears`: what was put off under backlog. `Marks`: states to be written again.
"""

from collections.abc import Container, Iterable
from datetime import datetime
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import Final, NamedTuple

from neutrality.model.vertex import Owed


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


class Due(NamedTuple):
    """Some vertices of one partition, and whether they owe a reckoning or, reckoned already, only an assessment."""

    partition: int
    keys: list[bytes]
    reckoning: bool


class Arrears:
    """Vertices that owe something. Reckonings come first: what they tell others would make these assess again."""

    def __init__(self) -> None:
        """Nothing is owed."""
        self._owing: Final[dict[bool, dict[int, dict[bytes, None]]]] = {True: {}, False: {}}

    def set(self, partition: int, key: bytes, owed: Owed | None) -> None:
        """A vertex owes this, or nothing."""
        for reckoning, partitions in self._owing.items():
            if owed is not None and owed.reckoning is reckoning:
                partitions.setdefault(partition, {})[key] = None
            elif (keys := partitions.get(partition)) is not None:
                keys.pop(key, None)
                if not keys:
                    del partitions[partition]

    def clear(self) -> None:
        """Nothing is owed any more."""
        for partitions in self._owing.values():
            partitions.clear()

    def first(self, limit: int, apart_from: Container[int] = ()) -> Due | None:
        """At most `limit` vertices of one partition, which owe it until they are set again.

        None if nobody owes anything, or if all that come first are in partitions to be left out.
        """
        for reckoning, partitions in self._owing.items():
            for partition, keys in partitions.items():
                if partition not in apart_from:
                    return Due(partition, list(islice(keys, limit)), reckoning)
            if partitions:
                return None
        return None


class Marks:
    """Vertices whose state in the changelog says that what it led to may not have been said, though it has been since.

    The mark is to go, or the next start would say it all again; but not at once: under backlog most states are soon written for another reason.
    """

    def __init__(self) -> None:
        """Nothing is marked."""
        self._marked: Final[dict[int, dict[bytes, None]]] = {}

    def add(self, partition: int, keys: Iterable[bytes]) -> None:
        """What these led to is said."""
        for key in keys:
            self._marked.setdefault(partition, {})[key] = None

    def written(self, partition: int, keys: Iterable[bytes]) -> None:
        """These were written again."""
        if (marked := self._marked.get(partition)) is not None:
            for key in keys:
                marked.pop(key, None)
            if not marked:
                del self._marked[partition]

    def first(self, limit: int) -> tuple[int, list[bytes]] | None:
        """At most `limit` vertices of one partition, which stay marked until they are written; None if none is marked."""
        return next(((partition, list(islice(keys, limit))) for partition, keys in self._marked.items()), None)

    def clear(self) -> None:
        """Nothing is marked any more."""
        self._marked.clear()
