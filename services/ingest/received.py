"""What was received before: for each (source, id) a digest of its content, and where its record lies. Pure.

A repeat is answered with the place of the first; another content under the same name is a conflict. What is known is made of the topics
alone (`read_event`), so it can be rebuilt, and every ingest learns in the end what others have written. Until it has, a repeat may be written
once more: it counts once all the same.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, Protocol

from neutrality.broker.port import ConsumedRecord, PublishedRecord, TopicPartition
from neutrality.events.cloudevent import Event, event_from_kafka, event_to_kafka
from neutrality.events.vocabulary import iso
from neutrality.identity.naming import Named, as_named, named_from_headers

_DIGEST_BYTES: Final = 16
_MAX_OWN: Final = 200_000


class Known(NamedTuple):
    """The digest of an event's content, and where its record lies."""

    content: bytes
    topic: str
    partition: int
    offset: int

    def same(self, content: bytes) -> bool:
        """Whether an event of this content is a repeat."""
        return self.content == content


class OwnWrites:
    """Places that this process has written to and keeps already, so that it need not read them again. Used by two threads."""

    def __init__(self) -> None:
        """Nothing was written."""
        self._places: set[tuple[str, int, int]] = set()

    def add(self, known: Known) -> None:
        """This was written, and is kept."""
        if len(self._places) >= _MAX_OWN:  # read before it was added: what is left only costs memory
            self._places.clear()
        self._places.add(known[1:])

    def end_of_run(self, partition: TopicPartition, start: int) -> int:
        """The first offset from `start` on that is not known to be ours; what comes before it is not asked for again."""
        offset = start
        while (place := (*partition, offset)) in self._places:
            self._places.discard(place)
            offset += 1
        return offset

    def take(self, record: ConsumedRecord) -> bool:
        """Whether this was, and has not been asked for yet."""
        place = record.topic, record.partition, record.offset
        if place not in self._places:
            return False
        self._places.discard(place)
        return True


class Received(Protocol):
    """Where it is kept."""

    def look_up(self, names: Sequence[bytes]) -> list[Known | None]:
        """What is known under each name."""
        ...

    def keep(self, found: Mapping[bytes, Known], positions: Mapping[TopicPartition, int]) -> None:
        """Add what is new: the first under a name stays. `positions` are how far the topics have been read."""
        ...

    def positions(self) -> dict[TopicPartition, int]:
        """How far the topics have been read; a partition that was not is left out."""
        ...

    def belongs_to(self, topics: str) -> bool:
        """Forget everything unless it is of these topics, and tell whether it did; `topics` is what Kafka identifies them by."""
        ...

    def forget(self) -> None:
        """Forget everything."""
        ...


class ReceivedInMemory:
    """Kept for a process's life."""

    def __init__(self) -> None:
        """Nothing is known."""
        self._known: dict[bytes, Known] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._topics = ""

    def look_up(self, names: Sequence[bytes]) -> list[Known | None]:
        """See Received."""
        return [self._known.get(name) for name in names]

    def keep(self, found: Mapping[bytes, Known], positions: Mapping[TopicPartition, int]) -> None:
        """See Received."""
        for name, known in found.items():
            self._known.setdefault(name, known)
        self._positions.update(positions)

    def positions(self) -> dict[TopicPartition, int]:
        """See Received."""
        return dict(self._positions)

    def belongs_to(self, topics: str) -> bool:
        """See Received."""
        if self._topics == topics:
            return False
        self.forget()
        self._topics = topics
        return True

    def forget(self) -> None:
        """See Received."""
        self._known.clear()
        self._positions.clear()


def name_of(event: Event) -> bytes:
    """The name under which an event is known: a digest of source and id."""
    return blake2b(f"{event.source}\n{event.id}".encode(), digest_size=_DIGEST_BYTES).digest()


def content_of(event: Event, value: bytes) -> bytes:
    """A digest of what an event says; `value` is its record's, in our own form, so that spaces and the order of fields make no difference."""
    attributes = "\n".join((event.type, iso(event.time), event.dataschema or "", ""))
    return blake2b(attributes.encode() + value, digest_size=_DIGEST_BYTES).digest()


class ReadEvent(NamedTuple):
    """The event of a record: its name, what is known under it, the event, and what it named at first."""

    name: bytes
    known: Known
    event: Event
    named: Named


def read_event(record: ConsumedRecord) -> ReadEvent | None:
    """The event of a record of an input topic; None if it holds none."""
    try:
        event = event_from_kafka(record.headers, record.value)
        named = named_from_headers(record.headers)
        first = as_named(event, named)
    except ValueError:
        return None
    content = content_of(first, event_to_kafka(first)[1])
    return ReadEvent(name_of(event), Known(content, record.topic, record.partition, record.offset), event, named)


def place_of(known: Known) -> PublishedRecord:
    """Where a record lies. When Kafka took it is not kept."""
    return PublishedRecord(known.topic, known.partition, known.offset, -1)
