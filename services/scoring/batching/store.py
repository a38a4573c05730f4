"""The table `vertices`: each entity's vertex, by partition and raw key; its changelog is written by the engine.

Faust creates the table, assigns its changelog partitions and replays them into `VertexStore` after each rebalance. The table
itself is never written through Faust (that would send each change by itself, before the batch is through): the engine writes the changelog
first and calls `put` when Kafka has it, so the store never runs ahead of the changelog.

The store alone says from which changelog offset a partition must be replayed: -1 (all of it) if nothing is kept. Faust's own
memory of that may outlive the data when two rebalances follow closely.
A partition's writes are consecutive in its changelog as long as nobody else writes to it: `wrote` tells when somebody did.
Replay refuses what was written under a lower epoch than the highest before it (see `fencing`), and remembers whose states were refused.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import faust
from faust.stores.memory import Store as FaustMemoryStore
from faust.types import TP, EventT
from faust.types.stores import StoreT

from neutrality.model.stored import core_to_bytes, reports_to_bytes, vertex_from_bytes, vertex_to_bytes
from neutrality.model.vertex import Vertex
from services.scoring.batching.records import RecordBatch
from services.scoring.fencing import CLAIM_KEY, REBUILDING, State, read_headers
from services.scoring.pieces import entity_of, pieces_prefix

_NOTHING: Final = -1
_BUFFERED_BATCHES: Final = 2  # Faust's default of 1,000, meant for single records, would hold a whole changelog in memory


@dataclass(slots=True)
class Held:
    """How far a partition is known: last changelog offset taken in, highest epoch, own records of unknown place, refused keys and records.

    `rebuilding`: the last claim says so.
    """

    offset: int = _NOTHING
    epoch: int = 0
    unplaced: int = 0
    refused: set[bytes] = field(default_factory=set)
    refusals: int = 0
    rebuilding: bool = False


class Vertices(ABC):
    """Vertices by partition and key, and what is known of each partition's changelog."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._held: dict[int, Held] = {}
        self._assigned: frozenset[int] = frozenset()

    @abstractmethod
    def get(self, partition: int, key: bytes) -> Vertex | None:
        """The vertex of an entity; None if it is new."""

    @abstractmethod
    def put(self, partition: int, states: Mapping[bytes, Vertex], encoded: Mapping[bytes, State]) -> None:
        """Keep states that the changelog has; `encoded` as they stand there, in pieces."""

    @abstractmethod
    def state(self, partition: int, key: bytes) -> State | None:
        """The state of an entity, or a piece of one, as it belongs into the changelog. Raises ValueError if it cannot be read."""

    @abstractmethod
    def next_changes(self) -> Iterator[tuple[int, bytes, datetime | None]]:
        """When the vertices want to be looked at again; those that do not may be left out. Raises ValueError if a state cannot be read."""

    @abstractmethod
    def count(self) -> int:
        """Number of vertices held here."""

    @abstractmethod
    def _keep_replayed(self, partition: int, held: Held, states: Mapping[bytes, State | None]) -> None:
        """Take in what was replayed (None: deleted), with `held` as it is then."""

    def _load(self, _partition: int) -> Held:
        """What is known of a partition that was not held until now."""
        return Held()

    @abstractmethod
    def _forget(self, partition: int) -> None:
        """A partition is given up."""

    def _keep_held(self, partition: int, held: Held) -> None:  # noqa: B027  of use to a store that outlives the process
        """Something changed in `held` alone."""

    def close(self) -> None:  # noqa: B027  the same
        """Release what is held open."""

    def _of(self, partition: int) -> Held:
        held = self._held.get(partition)
        if held is None:
            held = self._held[partition] = self._load(partition)
        return held

    def wrote(self, partition: int, offsets: tuple[int, int] | None, count: int) -> bool:
        """Note first and last offset of `count` own records in the changelog; False if somebody else has written there in between.

        None: Kafka has them but did not say where; the next write tells whether they joined.
        """
        held = self._of(partition)
        if offsets is None:
            held.unplaced += count
            return True
        first, last = offsets
        joins = first == held.offset + held.unplaced + 1 and last == first + count - 1
        held.unplaced = 0
        held.offset = last
        return joins

    def replay(self, batch: RecordBatch) -> None:
        """Take in records of the changelog: the last valid one of a key stands."""
        partition = batch.tp.partition
        held = self._of(partition)
        states: dict[bytes, State | None] = {}
        for record in batch.records:
            key = record.key
            if key is None or record.offset <= held.offset:  # a seek begins with the last one taken in
                continue
            epoch, next_change, told = read_headers(record.headers)
            if epoch < held.epoch:
                held.refusals += 1
                if key != CLAIM_KEY:
                    held.refused.add(key)
                continue
            held.epoch = epoch
            if key == CLAIM_KEY:
                held.rebuilding = record.value == REBUILDING
            else:
                held.refused.discard(key)
                states[key] = None if record.value is None else State(record.value, next_change, told)
        held.offset = max(held.offset, batch.end - 1)
        held.unplaced = 0
        self._keep_replayed(partition, held, states)

    def replayed_to(self, partition: int) -> int:
        """Last changelog offset taken in; -1 if nothing of the partition is kept."""
        return (self._held.get(partition) or self._load(partition)).offset

    def epoch(self, partition: int) -> int:
        """The highest epoch seen in a partition; once it is claimed, the own one."""
        return self._of(partition).epoch

    def rebuilding(self, partition: int) -> bool:
        """Whether the last claim says that the group has not taken in everything again."""
        return self._of(partition).rebuilding

    def claimed(self, partition: int, epoch: int, *, rebuilding: bool = False) -> None:
        """The partition is ours under this epoch: the claim joined what was replayed."""
        held = self._of(partition)
        held.epoch, held.rebuilding = epoch, rebuilding
        self._keep_held(partition, held)

    def refused(self, partition: int) -> tuple[int, Mapping[bytes, State | None]]:
        """How many records were refused, and the valid state of each key that a refused one hides (None: there is none)."""
        held = self._of(partition)
        return held.refusals, {key: self.state(partition, key) for key in sorted(held.refused)}

    def restored(self, partition: int) -> None:
        """The valid states stand after the refused ones."""
        held = self._of(partition)
        held.refusals = 0
        held.refused.clear()
        self._keep_held(partition, held)

    def assign(self, partitions: Iterable[int]) -> None:
        """These are ours now, and replayed."""
        self._assigned = frozenset(partitions)

    def assigned(self) -> frozenset[int]:
        """Partitions that are ours."""
        return self._assigned

    def give_up(self, partitions: Iterable[int]) -> None:
        """Forget partitions: another worker writes them now."""
        gone = frozenset(partitions)
        self._assigned -= gone
        for partition in gone:
            self._held.pop(partition, None)
            self._forget(partition)

    def partitions(self) -> frozenset[int]:
        """Partitions of which anything is held."""
        return frozenset(self._held)


class PartitionedVertices(Vertices):
    """Vertices in memory. What is replayed stays bytes until it is asked for."""

    def __init__(self) -> None:
        """Hold nothing. Pieces are held by entity, as long as it was not asked for."""
        super().__init__()
        self._states: dict[int, dict[bytes, Vertex | State]] = {}
        self._pieces: dict[int, dict[bytes, dict[bytes, bytes]]] = {}

    def get(self, partition: int, key: bytes) -> Vertex | None:
        """The vertex of an entity; None if it is new."""
        held = self._states.get(partition, {})
        state = held.get(key)
        if isinstance(state, State):
            pieces = self._pieces.get(partition, {}).get(key, {})
            state = held[key] = vertex_from_bytes(state.value, pieces.values())
            self._pieces.get(partition, {}).pop(key, None)
        return state

    def put(self, partition: int, states: Mapping[bytes, Vertex], encoded: Mapping[bytes, State]) -> None:
        """Keep states that the changelog has."""
        del encoded
        self._of(partition)
        self._states.setdefault(partition, {}).update(states)

    def state(self, partition: int, key: bytes) -> State | None:
        """The state of an entity as it belongs into the changelog."""
        entity = entity_of(key)
        if entity is not None:
            piece = self._pieces.get(partition, {}).get(entity, {}).get(key)
            if piece is None:
                known = self._states.get(partition, {}).get(entity)
                piece = reports_to_bytes(known.reports) if isinstance(known, Vertex) else None  # all are more than enough
            return None if piece is None else State(piece, None)
        state = self._states.get(partition, {}).get(key)
        if isinstance(state, State):
            return told(state)
        if state is None:
            return None
        in_pieces = bool(state.reports) and all(report.kept for report in state.reports.values())
        return State(core_to_bytes(state) if in_pieces else vertex_to_bytes(state), state.next_change)

    def next_changes(self) -> Iterator[tuple[int, bytes, datetime | None]]:
        """When the vertices want to be looked at again."""
        for partition, states in self._states.items():
            for key, state in states.items():
                yield partition, key, told(state).next_change if isinstance(state, State) else state.next_change

    def count(self) -> int:
        """Number of vertices held here."""
        return sum(len(states) for states in self._states.values())

    def _keep_replayed(self, partition: int, held: Held, states: Mapping[bytes, State | None]) -> None:
        del held
        kept, pieces = self._states.setdefault(partition, {}), self._pieces.setdefault(partition, {})
        for key, state in states.items():
            entity = entity_of(key)
            known = kept.get(key if entity is None else entity)
            if isinstance(known, Vertex):  # back to bytes, to be read with what is new
                name = known.entity.encode()
                kept[name] = State(core_to_bytes(known), known.next_change)
                pieces.setdefault(name, {})[pieces_prefix(name)] = reports_to_bytes(known.reports)
            if entity is None and state is None:
                kept.pop(key, None)
            elif entity is None and state is not None:
                kept[key] = state
            elif entity is not None and state is None:
                pieces.get(entity, {}).pop(key, None)
            elif entity is not None and state is not None:
                pieces.setdefault(entity, {})[key] = state.value

    def _forget(self, partition: int) -> None:
        self._states.pop(partition, None)
        self._pieces.pop(partition, None)


def told(state: State) -> State:
    """The state with its next change, read from the state itself if the changelog did not tell it."""
    return state if state.told else State(state.value, vertex_from_bytes(state.value).next_change)


class VertexStore(FaustMemoryStore[Any, Any]):
    """Faust's side of the store: replay and giving up. Faust drops what goes wrong in a replay; the claim that follows finds it out."""

    vertices: Vertices

    def apply_changelog_batch(
        self, batch: Iterable[EventT[Any]], to_key: Callable[[Any], Any], to_value: Callable[[Any], Any]
    ) -> None:
        """Take in what the changelog says; each of Faust's events is a batch of records."""
        del to_key, to_value
        for event in batch:
            self.vertices.replay(event.message.value)  # type: ignore[arg-type]  # a RecordBatch, see BatchConsumer

    def persisted_offset(self, tp: TP) -> int:
        """Where replay goes on."""
        return self.vertices.replayed_to(tp.partition)

    async def on_rebalance(self, assigned: set[TP], revoked: set[TP], newly_assigned: set[TP], generation_id: int = 0) -> None:
        """Give up all that is not held without interruption."""
        del generation_id
        changelog = self.table.changelog_topic.get_topic_name()
        kept = {tp.partition for tp in assigned - newly_assigned - revoked if tp.topic == changelog}
        self.vertices.give_up(self.vertices.partitions() - kept)

    async def on_recovery_completed(self, active_tps: set[TP], standby_tps: set[TP]) -> None:
        """All of these are replayed; the engine's callback comes next."""
        del standby_tps
        self.vertices.assign(tp.partition for tp in active_tps)


class VertexTable(faust.Table[bytes, bytes]):
    """The table, on our store."""

    def __init__(self, app: faust.App, *, vertices: Vertices, **options: Any) -> None:
        """`vertices` hold the states."""
        super().__init__(app, recovery_buffer_size=_BUFFERED_BATCHES, **options)
        self.vertices = vertices  # what the engine reads and writes

    def _new_store(self) -> StoreT[Any, Any]:
        store = VertexStore("memory://", self.app, self, table_name=self.name, loop=self.loop)
        store.vertices = self.vertices
        return store
