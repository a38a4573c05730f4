"""The table `vertices`: each entity's vertex, by partition and raw key, in memory; its changelog is written by the engine.

Faust creates the table, assigns its changelog partitions and replays them into `VertexStore` after each rebalance. The table
itself is never written through Faust (that would send each change by itself, before the batch is through): the engine writes the changelog
first and calls `put` when Kafka has it, so memory never runs ahead of the changelog.

The store alone says from which changelog offset a partition must be replayed: -1 (all of it) once it was given up. Faust's own
memory of that may outlive the data when two rebalances follow closely.
A partition's writes are consecutive in its changelog as long as nobody else writes to it: `wrote` tells when somebody did.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import faust
from faust.stores.memory import Store as FaustMemoryStore
from faust.types import TP, EventT
from faust.types.stores import StoreT

from neutrality.model.vertex import Vertex, vertex_from_bytes
from services.scoring.batching.records import RecordBatch

_NOTHING: Final = -1


class PartitionedVertices:
    """Vertices in memory. What is replayed stays bytes until it is asked for."""

    def __init__(self) -> None:
        """Hold nothing."""
        self._states: dict[int, dict[bytes, Vertex | bytes]] = {}
        self._offsets: dict[int, int] = {}
        self._unsure: set[int] = set()

    def get(self, partition: int, key: bytes) -> Vertex | None:
        """The vertex of an entity; None if it is new."""
        held = self._states.get(partition, {})
        state = held.get(key)
        if isinstance(state, bytes):
            state = held[key] = vertex_from_bytes(state)
        return state

    def put(self, partition: int, states: Mapping[bytes, Vertex]) -> None:
        """Keep states that the changelog has."""
        self._states.setdefault(partition, {}).update(states)

    def wrote(self, partition: int, offsets: tuple[int, int] | None) -> bool:
        """Note first and last offset of own writes to the changelog; False if somebody else has written there in between.

        None: Kafka has them but did not say where; then nothing is known until it says so again.
        """
        if offsets is None:
            self._unsure.add(partition)
            return True
        first, last = offsets
        joins = partition in self._unsure or first == self.replayed_to(partition) + 1
        self._unsure.discard(partition)
        self._offsets[partition] = last
        return joins

    def replay(self, batch: RecordBatch) -> None:
        """Take in records of the changelog: the last one of a key stands."""
        held = self._states.setdefault(batch.tp.partition, {})
        for record in batch.records:
            if record.key is None:
                continue
            if record.value is None:
                held.pop(record.key, None)
            else:
                held[record.key] = record.value
        self._offsets[batch.tp.partition] = batch.end - 1

    def replayed_to(self, partition: int) -> int:
        """Last changelog offset taken in; -1 if the partition is not held."""
        return self._offsets.get(partition, _NOTHING)

    def give_up(self, partitions: Iterable[int]) -> None:
        """Forget partitions: another worker writes them now."""
        for partition in partitions:
            self._states.pop(partition, None)
            self._offsets.pop(partition, None)
            self._unsure.discard(partition)

    def partitions(self) -> frozenset[int]:
        """Partitions of which anything is held."""
        return frozenset(self._states) | frozenset(self._offsets)

    def items(self) -> Iterator[tuple[int, bytes, Vertex]]:
        """All vertices held here, with their partitions."""
        for partition, held in self._states.items():
            for key in list(held):
                vertex = self.get(partition, key)
                if vertex is not None:
                    yield partition, key, vertex

    def count(self) -> int:
        """Number of vertices held here."""
        return sum(len(held) for held in self._states.values())


class VertexStore(FaustMemoryStore[Any, Any]):
    """Faust's side of the store: replay and giving up."""

    def __post_init__(self) -> None:
        """Hold nothing."""
        super().__post_init__()
        self.vertices = PartitionedVertices()

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
        """Nothing to tidy: `on_rebalance` did."""


class VertexTable(faust.Table[bytes, bytes]):
    """The table, on our store."""

    def _new_store(self) -> StoreT[Any, Any]:
        return VertexStore("memory://", self.app, self, table_name=self.name, loop=self.loop)

    @property
    def vertices(self) -> PartitionedVertices:
        """What the engine reads and writes."""
        store = self.data
        if not isinstance(store, VertexStore):
            raise TypeError(f"{type(store).__name__} is no VertexStore")
        return store.vertices
