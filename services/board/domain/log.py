"""All events so far as they came, found by the entities that they are about and that they name.

What a vendor's score depends on is a small part of the log: its own claims, those of all who are named in them, and so on; and of a person
(or an affiliate) also what others say, because the ties of a person are told by the organisations that employ it. `needed` is that part,
`affected` the way back: the entities whose score may change with what is said of some.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from neutrality.events.structs import AnyEvent, Correction, Entity, Role, as_struct
from neutrality.model.picture import parties_of

Told = tuple[bytes, int]  # an event as structured JSON, and when Kafka took it (ms since 1970)


class Record(NamedTuple):
    """One event: as JSON, when Kafka took it and when its source recorded it (ms since 1970), its subject, and whom it names.

    `ties` are those of the named to whom the subject says something: persons and affiliates. `is_lab`: it says that the subject is a lab.
    """

    json: bytes
    accepted_ms: int
    recorded_ms: int
    subject: str
    parties: tuple[str, ...]
    ties: tuple[str, ...]
    is_lab: bool

    @property
    def told(self) -> Told:
        """What a worker needs."""
        return self.json, self.accepted_ms


def record_of(event: AnyEvent, json: bytes, accepted_ms: int) -> Record:
    """What the log keeps of an event."""
    data = as_struct(event).data
    ties: tuple[str, ...] = ()
    if isinstance(data, Role):
        ties = (data.person,)
    elif isinstance(data, Entity):
        ties = data.affiliates or ()
    parties = () if isinstance(data, Correction) else parties_of(data)
    is_lab = isinstance(data, Entity) and data.is_lab is True
    return Record(json, accepted_ms, int(event.time.timestamp() * 1000), data.subject, parties, ties, is_lab)


class Log:
    """Grows by `add`. `size` counts records, repeats included."""

    def __init__(self) -> None:
        """Nothing was told yet."""
        self.size = 0
        self.labs: set[str] = set()
        self.first_ms: int | None = None
        self._about: dict[str, list[Record]] = {}
        self._naming: dict[str, set[str]] = {}
        self._tying: dict[str, set[str]] = {}

    def add(self, record: Record) -> None:
        """Take in one more."""
        self.size += 1
        self._about.setdefault(record.subject, []).append(record)
        for party in record.parties:
            self._naming.setdefault(party, set()).add(record.subject)
        for party in record.ties:
            self._tying.setdefault(party, set()).add(record.subject)
        if record.is_lab:
            self.labs.add(record.subject)
        self.first_ms = record.recorded_ms if self.first_ms is None else min(self.first_ms, record.recorded_ms)

    def about(self, entity: str) -> tuple[Record, ...]:
        """The records whose subject it is, as they came."""
        return tuple(self._about.get(entity, ()))

    def everything(self) -> tuple[Told, ...]:
        """All of it."""
        return tuple(record.told for records in self._about.values() for record in records)

    def needed(self, entities: Iterable[str]) -> frozenset[str]:
        """The entities whose claims the scores of these depend on, themselves included."""
        return _closure([*entities, *self.labs], self._upwards)

    def affected(self, entities: Iterable[str]) -> frozenset[str]:
        """The entities whose scores may depend on claims about these, themselves included."""
        return _closure(entities, self._downwards)

    def told(self, entities: Iterable[str]) -> tuple[Told, ...]:
        """The records about these."""
        return tuple(record.told for entity in sorted(entities) for record in self._about.get(entity, ()))

    def _upwards(self, entity: str) -> Iterator[str]:
        for record in self._about.get(entity, ()):
            yield from record.parties
        yield from self._tying.get(entity, ())

    def _downwards(self, entity: str) -> Iterator[str]:
        yield from self._naming.get(entity, ())
        for record in self._about.get(entity, ()):
            yield from record.ties


def _closure(start: Iterable[str], neighbours: Callable[[str], Iterator[str]]) -> frozenset[str]:
    found = set(start)
    waiting = list(found)
    while waiting:
        for other in neighbours(waiting.pop()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return frozenset(found)
