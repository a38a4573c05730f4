"""Which entities events name that nobody has told anything of, and whom they may mean: for a person to decide.

Likeness misleads: `meta` is wholly within `meta platforms inc`, and two companies with one name and two LEIs look alike. So it only suggests.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from rapidfuzz import fuzz, process

from neutrality.events.cloudevent import Event
from neutrality.identity.directory import Directory, StoreInMemory
from neutrality.identity.moving import IDENTITY_SOURCE, time_of
from neutrality.identity.names import NAME_PREFIX, normalise_name
from neutrality.identity.naming import names_in
from neutrality.model.methodology import Methodology

LEAST_LIKENESS: Final = 75.0
MOST_SUGGESTIONS: Final = 5


class Suggestion(NamedTuple):
    """An entity that bears a like name. `likeness` in (0, 100], of the letters alone; `against`: why it cannot be, if an identifier says so."""

    entity: str
    name: str
    likeness: float
    against: str | None


class Unresolved(NamedTuple):
    """An id that events name and no event explains. `ambiguous`: those that bear the name or identifier, if they are several."""

    entity: str
    events: int
    first: datetime
    newest: datetime
    ambiguous: tuple[str, ...]
    suggestions: tuple[Suggestion, ...]


def directory_of(events: Iterable[Event], methodology: Methodology) -> Directory:
    """What all events together say of identities."""
    found = Directory(StoreInMemory(), methodology)
    found.learn(events)
    return found


def unresolved(events: Iterable[Event], directory: Directory) -> list[Unresolved]:
    """Most named first."""
    newest: dict[tuple[str, str], Event] = {}
    for event in events:
        if event.source != IDENTITY_SOURCE:
            known = newest.get((event.source, event.id))
            if known is None or (event.revision or 0) > (known.revision or 0):
                newest[event.source, event.id] = event
    seen: dict[str, list[datetime]] = {}
    for event in newest.values():
        for name in {name for _, name in names_in(event)}:
            if ":" in name and name not in directory and directory.canonical(name, time_of(event)) == name:
                seen.setdefault(name, []).append(event.time)
    names = _names(directory)
    found = [
        Unresolved(name, len(times), min(times), max(times), directory.ever_borne_by(name), _like(name, names, directory))
        for name, times in seen.items()
    ]
    return sorted(found, key=lambda one: (-one.events, one.entity))


def suggestions(text: str, directory: Directory) -> tuple[Suggestion, ...]:
    """Entities with a like name, the likest first."""
    return _suggest(normalise_name(text), _names(directory), directory, None)


def _names(directory: Directory) -> dict[tuple[str, str], str]:
    """All names in one spelling, by (entity, name as given)."""
    return {(entity, name): normalise_name(name) for entity in directory.entities() for name in directory.identity(entity).names}


def _like(provisional: str, names: dict[tuple[str, str], str], directory: Directory) -> tuple[Suggestion, ...]:
    prefix, _, words = provisional.partition(":")
    return _suggest(words.replace("-", " "), names, directory, provisional) if prefix == NAME_PREFIX else ()


def _suggest(
    words: str, names: dict[tuple[str, str], str], directory: Directory, provisional: str | None
) -> tuple[Suggestion, ...]:
    found: dict[str, Suggestion] = {}
    # WRatio also sees a name within a longer one; token_set_ratio alone would call that the same
    for _, likeness, (entity, name) in process.extract(
        words, names, scorer=fuzz.WRatio, score_cutoff=LEAST_LIKENESS, limit=4 * MOST_SUGGESTIONS
    ):
        canonical = directory.canonical(entity)
        if canonical not in found and canonical != provisional:
            against = None if provisional is None else directory.conflict(provisional, canonical)
            found[canonical] = Suggestion(canonical, name, round(likeness, 1), against)
    return tuple(list(found.values())[:MOST_SUGGESTIONS])
