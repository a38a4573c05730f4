"""From an id as an event names it to the canonical one, by what all events say of names, identifiers and mergers.

    id -> the entity it was merged into, and so on
       -> for `lei:...` and the like: the one entity that bears the identifier
       -> for `name:...`: the one entity that bore the name at that time
       -> else itself: it is unresolved

Only claims that stand count, as the model reads them: in force, credible enough, not retracted, not ended. Where two entities bear one name or one
identifier, none of them is meant. What is known of an entity is kept on its card, the events about it as they came; what leads to a card is a
list that is only added to, so neither the order of events nor repeats matter.
"""

import bisect
import contextlib
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple, Protocol

from neutrality.events import claims, cloudevent
from neutrality.events.identifiers import MANY_OF_A_SCHEME, normalise_identifier, spelled_as_id
from neutrality.events.structs import Entity, event_from_json, event_to_json
from neutrality.events.vocabulary import Identifier
from neutrality.identity.names import name_id
from neutrality.model.claims import NO_RETRACTIONS, Order, by_claim, disputes, retractions, standing_of
from neutrality.model.dossier import Dossier
from neutrality.model.methodology import EvidenceWeights, Methodology

LATEST: Final = datetime(9999, 12, 31, tzinfo=UTC)
_MAX_CACHED: Final = 50_000


class Store(Protocol):
    """Where a directory is kept. Keys and values are bytes."""

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """What stands under each key."""
        ...

    def put(self, changes: Mapping[bytes, bytes]) -> None:
        """Set these."""
        ...

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All whose key begins so, in order of key."""
        ...


class StoreInMemory:
    """Kept for a process's life."""

    def __init__(self) -> None:
        """Nothing is kept."""
        self._values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []  # in order

    def get(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See Store."""
        return [self._values.get(key) for key in keys]

    def put(self, changes: Mapping[bytes, bytes]) -> None:
        """See Store."""
        for key, value in changes.items():
            if key not in self._values:
                bisect.insort(self._keys, key)
            self._values[key] = value

    def items(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """See Store."""
        for place in range(bisect.bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[place]
            if not key.startswith(prefix):
                return
            yield key, self._values[key]


class Identity(NamedTuple):
    """What stands about an entity at a time. `provisional`: the ids that it would go by if a name or an identifier alone were known of it."""

    names: tuple[str, ...]
    identifiers: tuple[Identifier, ...]
    merged_into: str | None
    provisional: frozenset[str]


class Directory:
    """For use in one thread."""

    def __init__(self, store: Store, methodology: Methodology) -> None:
        """What `store` holds already is known."""
        self._store = store
        self._weights = methodology.evidence
        self._cards: dict[str, _Card] = {}
        self._bearers: dict[str, tuple[str, ...]] = {}
        self.mergers: Final = {key[len(_MERGER) :].decode(): into.decode() for key, into in store.items(_MERGER) if into}

    def __contains__(self, entity: str) -> bool:
        """Whether any event says what this entity is."""
        return bool(self._card(entity).dossier.reports)

    def canonical(self, named: str, at: datetime = LATEST) -> str:
        """The id under which the claims are kept of whom an event about the time `at` names so."""
        if ":" not in named and not self.mergers:
            return named
        root = self._merged(named)
        if ":" not in root:
            return root
        bearers = [entity for entity in self.ever_borne_by(root) if entity != root]
        meant = {self._merged(entity) for entity in bearers if root in self.identity(entity, at).provisional} - {root}
        return meant.pop() if len(meant) == 1 else root

    def learn(self, events: Iterable[cloudevent.Event]) -> set[str]:
        """Take in what events say of identities; the others are passed over. Returns the ids that may mean another entity than before."""
        told: dict[str, list[cloudevent.Event]] = {}
        for event in events:
            if isinstance(event.data, claims.Entity | claims.Correction):
                told.setdefault(event.data.subject, []).append(event)
        affected: set[str] = set()
        for entity, found in told.items():
            affected |= self._learn(entity, found)
        return affected

    def identity(self, entity: str, at: datetime = LATEST) -> Identity:
        """What stands about an entity at the time `at`."""
        return self._card(entity).identity(at, self._weights)

    def claims_of(self, entity: str) -> frozenset[str]:
        """The claims that were ever made of what an entity is."""
        return frozenset(report.data.claim_id for report in self._card(entity).dossier.reports.values())

    def is_about_a_merger(self, correction: claims.Correction) -> bool:
        """Whether it takes back that its subject is another entity; it stays with the subject then."""
        ref = correction.retracts_event
        key = None if ref is None else f"{ref.source}\n{ref.id}"
        return any(
            isinstance(report.data, Entity) and report.data.merged_into is not None
            for name, report in self._card(correction.subject).dossier.reports.items()
            if name == key or report.data.claim_id == correction.retracts_claim
        )

    def conflict(self, entity: str, into: str) -> str | None:
        """Why two entities cannot be one; None if nothing is known against it."""
        if self._merged(into) == self._merged(entity) and into in self.mergers:
            return f"{into} is merged into {entity} already"
        one, other = self._identifiers(entity), self._identifiers(into)
        for scheme in sorted((one.keys() & other.keys()) - MANY_OF_A_SCHEME):
            if one[scheme] != other[scheme]:
                mine, others = " and ".join(sorted(one[scheme])), " and ".join(sorted(other[scheme]))
                return f"{entity} bears the {scheme} {mine}, {into} the {scheme} {others}: they are two"
        return None

    def ever_borne_by(self, provisional: str) -> tuple[str, ...]:
        """The entities that ever bore a name or an identifier, by its provisional id; in order of id."""
        known = self._bearers.get(provisional)
        if known is None:
            value = self._store.get([_BEARERS + provisional.encode()])[0]
            known = tuple(value.decode().split("\n")) if value else ()
            if len(self._bearers) >= _MAX_CACHED:
                self._bearers.clear()
            self._bearers[provisional] = known
        return known

    def entities(self) -> Iterator[str]:
        """All of which any event says what they are, in order of id."""
        seen = None
        for key, _ in self._store.items(_CARD):
            entity = key[len(_CARD) :].partition(_END)[0].decode()
            if entity != seen:
                yield entity
            seen = entity

    def forget(self) -> None:
        """Its store was emptied."""
        self._cards.clear()
        self._bearers.clear()
        self.mergers.clear()

    def _learn(self, entity: str, events: Sequence[cloudevent.Event]) -> set[str]:
        before = self._card(entity)
        card = before.add(events)
        if card.dossier is before.dossier:
            return set()
        self._cards[entity] = card
        changes = {_card_key(entity, name): value for name, value in card.said(events)}
        borne = before.ever_bore() | card.ever_bore()
        for provisional in borne:
            known = self.ever_borne_by(provisional)
            if entity not in known:
                self._bearers[provisional] = bearers = tuple(sorted({*known, entity}))
                changes[_BEARERS + provisional.encode()] = "\n".join(bearers).encode()
        merged_before, into = self.mergers.get(entity), card.identity(LATEST, self._weights).merged_into
        if into != merged_before:
            changes[_MERGER + entity.encode()] = (into or "").encode()
            self.mergers.pop(entity, None)
            if into is not None:
                self.mergers[entity] = into
        self._store.put(changes)
        return borne - {entity} | ({entity} if into != merged_before else set())

    def _merged(self, entity: str) -> str:
        """Follow mergers to their end. In a ring, which two sources may make together, the least id is the canonical one."""
        passed = [entity]
        while (into := self.mergers.get(passed[-1])) is not None:
            if into in passed:
                return min(passed[passed.index(into) :])
            passed.append(into)
        return passed[-1]

    def _identifiers(self, entity: str) -> dict[str, set[str]]:
        """By scheme, of an entity and of all that are merged with it."""
        root = self._merged(entity)
        found: dict[str, set[str]] = {}
        for one in {entity, root, *(one for one in self.mergers if self._merged(one) == root)}:
            for identifier in self.identity(one).identifiers:
                found.setdefault(identifier.scheme, set()).add(identifier.id)
        return found

    def _card(self, entity: str) -> "_Card":
        card = self._cards.get(entity)
        if card is None:
            if len(self._cards) >= _MAX_CACHED:
                self._cards.clear()
            told = (value for _, value in self._store.items(_card_key(entity, "")))
            card = self._cards[entity] = _Card(Dossier().add((event_from_json(value), 0) for value in told))
        return card


class _Card:
    """The events that tell what one entity is, and the corrections about it."""

    __slots__ = ("dossier",)

    def __init__(self, dossier: Dossier) -> None:
        self.dossier: Final = dossier

    def said(self, events: Iterable[cloudevent.Event]) -> Iterator[tuple[str, bytes]]:
        """What is to be kept of events that were added: under the name of each the revision that counts."""
        for name in {f"{event.source}\n{event.id}" for event in events}:
            report = self.dossier.reports.get(name)
            yield name, event_to_json(self.dossier.corrections[name]) if report is None else report.json

    def add(self, events: Iterable[cloudevent.Event]) -> "_Card":
        return _Card(self.dossier.add((event, 0) for event in events))

    def ever_bore(self) -> set[str]:
        """The provisional ids of all names and identifiers in any report."""
        return {one for report in self.dossier.reports.values() for one in _provisional(report.data)}

    def identity(self, at: datetime, weights: EvidenceWeights) -> Identity:
        taken_back = retractions(self.dossier.corrections.values()) if self.dossier.corrections else NO_RETRACTIONS
        claims = by_claim(self.dossier.reports.values(), taken_back)
        disputed = disputes(claims)
        names: dict[str, None] = {}
        identifiers: dict[Identifier, None] = {}
        mergers: list[tuple[Order, str]] = []
        for claim_id in sorted(claims):
            standing = standing_of(claim_id, claims[claim_id], disputed.get(claim_id, {}), at, weights)
            if standing.confirmed is None or not isinstance(standing.active, Entity):
                continue
            told = standing.active
            names |= dict.fromkeys((*((told.name,) if told.name else ()), *(told.aliases or ())))
            identifiers |= dict.fromkeys(_spelled(told))
            if told.merged_into is not None:
                mergers.append((standing.confirmed.by_effect, told.merged_into))
        provisional = frozenset((*map(_by_name, names), *map(_by_identifier, identifiers)))
        return Identity(tuple(names), tuple(identifiers), max(mergers)[1] if mergers else None, provisional)


def _provisional(claim: object) -> Iterator[str]:
    if isinstance(claim, Entity):
        yield from map(_by_name, (*((claim.name,) if claim.name else ()), *(claim.aliases or ())))
        yield from map(_by_identifier, _spelled(claim))


def _by_name(name: str) -> str:
    try:
        return name_id(name)
    except ValueError:
        return ""  # of no letters or digits: nobody can be named so


def _by_identifier(identifier: Identifier) -> str:
    return spelled_as_id(identifier.scheme, identifier.id)


def _spelled(claim: Entity) -> Iterator[Identifier]:
    """Identifiers in one spelling; those that cannot be of their scheme are nobody's."""
    for identifier in claim.identifiers or ():
        with contextlib.suppress(ValueError):
            yield normalise_identifier(Identifier(scheme=identifier.scheme, id=identifier.id))


def _card_key(entity: str, event: str) -> bytes:
    """One event of a card is one entry, so that a card of thousands costs no more to add to. With no event: what all of them begin with."""
    prefix = _CARD + entity.encode() + _END
    return prefix + hashlib.blake2b(event.encode(), digest_size=16).digest() if event else prefix


_CARD, _BEARERS, _MERGER = b"c", b"b", b"m"
_END: Final = b"\0"  # sorts before every letter of an id, so that no card lies within another's
