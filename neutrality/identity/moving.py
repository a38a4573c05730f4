"""What is to be said anew once it is learnt who is meant, so that every event stands under canonical ids and nowhere else.

An event that names others now is said again as a later revision under its own (source, id); of one (source, id) the latest revision counts. Where it
stood under another subject it is taken back there by a correction of ours. Nothing else is needed, so the topics alone still tell everything, and a
merger that is itself taken back is undone in the same way. The same log gives the same events, so it may be done again, and by several at once.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from neutrality.events.claims import Correction, EventRef
from neutrality.events.cloudevent import CorrectionEvent, Event
from neutrality.identity.directory import Directory
from neutrality.identity.naming import Named, NamesItself, Renamed, as_named, is_merger, names_in, rename

IDENTITY_SOURCE: Final = "urn:neutrality-watch:identity"
_MICROSECOND: Final = timedelta(microseconds=1)

Log = Iterable[tuple[Event, Named]]


class Concerned:
    """Everything that was said by events which name one of some ids, or named it at first."""

    def __init__(self, versions: "Mapping[str, _Versions]") -> None:
        """By the digest of (source, id)."""
        self._versions = versions

    def moves(self, directory: Directory) -> Iterator[Renamed]:
        """What is to be published. Nothing, once that was done and read again."""
        for digest, versions in self._versions.items():
            yield from versions.moves(digest, directory)


def concerned(log: Callable[[], Log], ids: Collection[str]) -> Concerned:
    """What is concerned if some ids mean another entity than before, from all events so far; `log` is read twice."""
    sought = frozenset(ids)
    found = {_digest(event): _Versions() for event, named in log() if _names_any(event, named, sought)}
    if found:
        for event, named in log():
            if event.source != IDENTITY_SOURCE:
                if (versions := found.get(_digest(event))) is not None:
                    versions.said.append((event, named))
            elif (versions := found.get(event.id.partition("/")[0])) is not None:
                versions.corrections.setdefault(event.data.subject, set()).add(event.id)
    return Concerned(found)


def resolve(event: Event, directory: Directory) -> Renamed:
    """An event, as its source sent it, under the ids that are canonical now.

    Raises:
        NamesItself: a party would be the subject.
    """
    if is_merger(event) or (isinstance(event.data, Correction) and directory.is_about_a_merger(event.data)):
        return Renamed(event, {})
    at = time_of(event)
    return rename(event, lambda name: directory.canonical(name, at), directory.claims_of)


def time_of(event: Event) -> datetime:
    """The time that an event is about: whoever bore a name then is meant."""
    return event.time if isinstance(event.data, Correction) else event.data.effective_time


def is_canonical(event: Event, named: Named, directory: Directory) -> bool:
    """Whether an event of the log stands under the ids that are canonical now."""
    try:
        return _same(resolve(as_named(event, named), directory).event, event)
    except NamesItself:
        return False


def _names_any(event: Event, named: Named, affected: frozenset[str]) -> bool:
    if event.source == IDENTITY_SOURCE or is_merger(event):
        return False
    return not affected.isdisjoint(named.values()) or any(name in affected for _, name in names_in(event))


def _same(one: Event, other: Event) -> bool:
    return one.data == other.data


def _digest(event: Event) -> str:
    return hashlib.blake2b(f"{event.source}\n{event.id}".encode(), digest_size=16).hexdigest()


@dataclass(slots=True)
class _Versions:
    """All that was said under one (source, id), and the ids of our corrections of it by subject."""

    said: list[tuple[Event, Named]] = field(default_factory=list)
    corrections: dict[str, set[str]] = field(default_factory=dict)

    def moves(self, digest: str, directory: Directory) -> Iterator[Renamed]:
        current, named = max(self.said, key=lambda one: (one[0].revision or 0, one[0].time, one[0].model_dump_json()))
        first = as_named(current, named)
        try:
            wanted = resolve(first, directory)
        except NamesItself:
            wanted = None
        if wanted is not None and not _same(wanted.event, current):
            yield Renamed(wanted.event.model_copy(update={"revision": (current.revision or 0) + 1}), wanted.named)
        if isinstance(first.data, Correction):
            return  # what it took back has been moved too
        stands_at = None if wanted is None else wanted.event.data.subject
        for subject in sorted({event.data.subject for event, _ in self.said}):
            count = len(self.corrections.get(subject, ()))
            if (subject == stands_at) == bool(
                count % 2
            ):  # each takes back the one before it, so an odd number takes back the event
                yield Renamed(_correction(first, digest, subject, count, stands_at), {})


def _correction(first: Event, digest: str, subject: str, count: int, stands_at: str | None) -> Event:
    """The next of our corrections of an event under a subject; later than the one before it, so that it can take that back."""
    before = EventRef(source=first.source, id=first.id)
    if count % 2:
        before = EventRef(source=IDENTITY_SOURCE, id=f"{digest}/{subject}/{count - 1}")
    where = f"it is kept under {stands_at}" if stands_at else "it would tell of an entity towards itself"
    reason = f"{first.data.subject} is another entity than it was: {where}" if stands_at != subject else "it stands here again"
    return CorrectionEvent(
        source=IDENTITY_SOURCE,
        id=f"{digest}/{subject}/{count}",
        subject=subject,
        time=first.time + (count + 1) * _MICROSECOND,
        data=Correction(subject=subject, retracts_event=before, reason=reason),
    )
