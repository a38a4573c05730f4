"""Who is meant by the ids of the events that come and have come; what is to be moved since another is meant than was thought.

For use on the event loop. Everything is kept in the store before it is believed, so that a move that was begun is ended after a crash.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from neutrality.events.claims import Correction, Entity
from neutrality.events.cloudevent import Event, InvalidEvent, Problem
from neutrality.identity.directory import Directory, Store
from neutrality.identity.moving import IDENTITY_SOURCE, resolve, time_of
from neutrality.identity.naming import Named, NamesItself, Renamed, names_in
from neutrality.model.methodology import Methodology

_USED, _WAITING = b"u", b"w"
_MAX_REMEMBERED: Final = 200_000


class Identities:
    """A directory, which provisional ids are in use, and which ids wait to be moved."""

    def __init__(self, store: Store, methodology: Methodology) -> None:
        """Go on from what the store holds."""
        self._store = store
        self.directory = Directory(store, methodology)
        self._used: set[str] = set()
        self._waiting = {key[len(_WAITING) :].decode() for key, value in store.items(_WAITING) if value}

    def resolve(self, event: Event) -> Renamed:
        """An event as it came, under canonical ids.

        Raises:
            InvalidEvent: a party would be the subject; or it merges two entities that cannot be one.
        """
        data = event.data
        if isinstance(data, Entity) and data.merged_into is not None:
            if (conflict := self.directory.conflict(data.subject, data.merged_into)) is not None:
                raise InvalidEvent([Problem("/data/merged_into", conflict)])
            return Renamed(event, {})
        if not self.directory.mergers and not any(":" in name for _, name in names_in(event)):
            return Renamed(event, {})  # nearly every event: nobody else can be meant
        try:
            return resolve(event, self.directory)
        except NamesItself as error:
            raise InvalidEvent([Problem("/data/interested_party", f"{error}; leave out treasury shares")]) from error

    def learn(self, said: Sequence[tuple[Event, Named]]) -> None:
        """Take in events of the log, each with what it named at first."""
        used = {name for event, named in said for name in _provisional_names(event, named)} - self._used
        if used:
            self._store.put({_USED + name.encode(): b"1" for name in used})
            self._used = used if len(self._used) > _MAX_REMEMBERED else self._used | used
        telling = [event for event, _ in said if isinstance(event.data, Entity | Correction)]
        waiting = self._in_use(self.directory.learn(telling)) if telling else set()
        self._wait_for(waiting | self._misplaced(event for event, _ in said))

    def take_waiting(self) -> frozenset[str]:
        """The ids whose claims are to be moved. Those that come to wait meanwhile wait for the next pass."""
        taken, self._waiting = frozenset(self._waiting), set()
        return taken

    def put_back(self, ids: Collection[str]) -> None:
        """They were not moved."""
        self._waiting.update(ids)

    def moved(self, ids: Collection[str]) -> None:
        """They were."""
        self._store.put({_WAITING + name.encode(): b"" for name in ids if name not in self._waiting})

    def forget(self) -> None:
        """Its store was emptied."""
        self.directory.forget()
        self._used.clear()
        self._waiting.clear()

    def _in_use(self, ids: Collection[str]) -> set[str]:
        """Of provisional ids those that an event has named; there may be millions that none ever will."""
        provisional = [name for name in ids if ":" in name]
        used = self._store.get([_USED + name.encode() for name in provisional])
        return {name for name in ids if ":" not in name} | {name for name, value in zip(provisional, used, strict=True) if value}

    def _misplaced(self, events: Iterable[Event]) -> set[str]:
        """Ids in events that were written without asking, or before it was known who is meant."""
        canonical, mergers = self.directory.canonical, self.directory.mergers
        return {
            name
            for event in events
            if event.source != IDENTITY_SOURCE  # what we take back stands where it does on purpose
            for _, name in names_in(event)
            if (mergers or ":" in name) and canonical(name, time_of(event)) != name
        }

    def _wait_for(self, ids: Collection[str]) -> None:
        if ids:
            self._store.put({_WAITING + name.encode(): b"1" for name in ids})
            self._waiting |= set(ids)


def _provisional_names(event: Event, named: Named) -> Iterator[str]:
    return (name for name in (*named.values(), *(name for _, name in names_in(event))) if ":" in name)
