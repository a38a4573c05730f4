"""What a transaction did that others wait for: it is told after the commit, in this instance and in the others.

Nothing is lost if it is not heard: whoever waits looks into the database now and then too.
"""

from dataclasses import dataclass, field
from typing import Final

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

_LONGEST: Final = 7_900  # bytes; PostgreSQL's NOTIFY takes 8,000
_KEY: Final = "news"


@dataclass
class News:
    """Labs that have alerts or deliveries to see to, and endpoints that are others now. `everything`: look everywhere."""

    labs: set[str] = field(default_factory=set)
    endpoints: set[tuple[str, str]] = field(default_factory=set)
    everything: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything to tell."""
        return self.everything or bool(self.labs or self.endpoints)

    def concerns(self, lab: str) -> bool:
        """Whether a lab's alerts or deliveries are to be looked at."""
        return self.everything or lab in self.labs

    def to_bytes(self, instance: str) -> bytes:
        """As it goes to other instances."""
        text = orjson.dumps({"by": instance, "labs": sorted(self.labs), "endpoints": sorted(self.endpoints)})
        return text if len(text) <= _LONGEST and not self.everything else orjson.dumps({"by": instance, "everything": True})


def parse_news(payload: str) -> tuple[str, News]:
    """Which instance tells what."""
    found = orjson.loads(payload)
    endpoints = {(lab, name) for lab, name in found.get("endpoints", ())}
    return found["by"], News(set(found.get("labs", ())), endpoints, found.get("everything", False))


def news_of(connection: AsyncConnection) -> News:
    """What the connection's transaction will tell once it is committed; add to it."""
    found: News = connection.info[_KEY]
    return found


def begin_news(connection: AsyncConnection) -> News:
    """At the begin of a transaction."""
    connection.info[_KEY] = News()
    return news_of(connection)
