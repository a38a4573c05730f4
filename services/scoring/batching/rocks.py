"""Vertices in RocksDB (through rocksdict), with the decoded ones last used in memory. One database a worker.

Keys: `m` partition -> how far it is known; and after `s`, `d` or `r` and the partition, an entity's key -> its state, whose pieces follow it;
when it wants to be looked at again (absent: never; empty: its state tells); nothing, if a refused record hides it in the changelog. All that one
batch changes is one write batch, made after Kafka has the records, so the database is at every time the changelog up to one offset.

A start goes on from there. Of a compacted log that loses nothing but deletions whose tombstones have been dropped in the meantime, which Kafka
does not do before `delete.retention.ms`. So a partition that was last known to the end of its log longer ago than `RESUMED_WITHIN` is replayed
from the beginning, and so is one whose offset lies outside the log (`keep_within`) or whose topic is another one (`belongs_to`).
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct
from msgspec.msgpack import decode, encode
from rocksdict import Options, Rdict, WriteBatch

from neutrality.model.stored import vertex_from_bytes
from neutrality.model.vertex import Vertex
from services.scoring.batching.store import Held, Vertices, told
from services.scoring.fencing import State
from services.scoring.pieces import entity_of, pieces_prefix

RESUMED_WITHIN: Final = timedelta(hours=12)  # well below `topics.TOMBSTONES_FOR`
DEFAULT_CACHED: Final = 50_000
_STATE, _DUE, _REFUSED, _META, _TOPIC = b"s", b"d", b"r", b"m", b"t"
_UNTOLD: Final = b""

log = structlog.get_logger(__name__)


class StoreInUse(RuntimeError):  # noqa: N818 - named for what it is
    """The database cannot be opened: another worker has it, or it is broken. Fate: the operator's."""


class _Meta(Struct, frozen=True):
    """What is known of a partition; `at_end_s`: when it was last known to the end of its log."""

    offset: int
    epoch: int
    refusals: int
    count: int
    at_end_s: float
    rebuilding: bool = False


class RocksVertices(Vertices):
    """Vertices on disk. Partitions that are given up stay there, and are brought up to date when they come back."""

    def __init__(self, path: Path, *, cached: int = DEFAULT_CACHED, wall_clock_s: Callable[[], float]) -> None:
        """Open the database, or make one.

        Raises:
            StoreInUse: it cannot be opened.
        """
        super().__init__()
        path.mkdir(parents=True, exist_ok=True)
        options = Options(raw_mode=True)
        options.set_keep_log_file_num(2)
        try:
            self._db = Rdict(str(path), options)
        except Exception as error:  # rocksdict has no class for it
            raise StoreInUse(f"{path} cannot be opened; does another worker use it? RocksDB says: {error}") from error
        self._wall_clock_s = wall_clock_s
        self._cached = cached
        self._cache: OrderedDict[tuple[int, bytes], Vertex] = OrderedDict()
        self._counts: dict[int, int] = {}
        self._at_end_s: dict[int, float] = {}
        self._noted: dict[int, frozenset[bytes]] = {}

    def get(self, partition: int, key: bytes) -> Vertex | None:
        """The vertex of an entity; None if it is new."""
        place = (partition, key)
        vertex = self._cache.get(place)
        if vertex is not None:
            self._cache.move_to_end(place)
            return vertex
        value = self._db.get(_place(_STATE, partition, key))
        if value is None:
            return None
        pieces = self._from(_place(_STATE, partition, pieces_prefix(key)))
        vertex = vertex_from_bytes(value, [piece for _, piece in pieces])
        self._remember(place, vertex)
        return vertex

    def put(self, partition: int, states: Mapping[bytes, Vertex], encoded: Mapping[bytes, State]) -> None:
        """Keep states that the changelog has, with the offset up to which they go."""
        self._at_end_s[partition] = self._wall_clock_s()
        self._write(partition, self._of(partition), encoded)
        for key, vertex in states.items():
            self._remember((partition, key), vertex)

    def state(self, partition: int, key: bytes) -> State | None:
        """The state of an entity as it belongs into the changelog."""
        value = self._db.get(_place(_STATE, partition, key))
        if value is None:
            return None
        due = self._db.get(_place(_DUE, partition, key))
        return told(State(value, datetime.fromisoformat(due.decode()) if due else None, due != _UNTOLD))

    def next_changes(self) -> Iterator[tuple[int, bytes, datetime | None]]:
        """When the vertices want to be looked at again; those that do not are left out."""
        for partition in sorted(self._held):
            for key, due in self._all(_DUE, partition):
                if due != _UNTOLD:
                    yield partition, key, datetime.fromisoformat(due.decode())
                elif (state := self.state(partition, key)) is not None:
                    yield partition, key, state.next_change

    def count(self) -> int:
        """Number of vertices held here."""
        return sum(self._counts.get(partition, 0) for partition in self._held)

    def belongs_to(self, topic: str) -> None:
        """Forget everything unless it came from this topic; `topic` is what Kafka identifies it by."""
        key = _TOPIC
        if self._db.get(key) != topic.encode():
            for partition in self.kept():
                self.wipe(partition)
            self._db.put(key, topic.encode())

    def kept(self) -> tuple[int, ...]:
        """Partitions that the database knows."""
        return tuple(int.from_bytes(key[1:3]) for key, _ in self._from(_META))

    def keep_within(self, ends: Mapping[int, tuple[int, int]]) -> tuple[int, ...]:
        """Forget partitions whose offset lies outside [start, end] of their log; returns which."""
        wiped = []
        for partition, (start, end) in sorted(ends.items()):
            offset = self.replayed_to(partition)
            if offset >= 0 and not start <= offset + 1 <= end:
                self.wipe(partition)
                wiped.append(partition)
            self.give_up([partition])
        return tuple(wiped)

    def wipe(self, partition: int) -> None:
        """Forget a partition: it is replayed from the beginning."""
        changes = WriteBatch(raw_mode=True)
        for kind in (_STATE, _DUE, _REFUSED):
            changes.delete_range(_place(kind, partition, b""), _place(kind, partition + 1, b""))
        changes.delete(_place(_META, partition, b""))
        self._db.write(changes)
        self._held.pop(partition, None)
        self._forget(partition)

    def close(self) -> None:
        """Close the database; what was written is kept."""
        self._db.close()

    def _load(self, partition: int) -> Held:
        value = self._db.get(_place(_META, partition, b""))
        if value is None:
            return Held()
        meta = decode(value, type=_Meta)
        if self._wall_clock_s() - meta.at_end_s > RESUMED_WITHIN.total_seconds():
            log.info("kept_vertices_too_old", partition=partition)
            self.wipe(partition)
            return Held()
        self._counts[partition], self._at_end_s[partition] = meta.count, meta.at_end_s
        refused = {key for key, _ in self._all(_REFUSED, partition)}
        self._noted[partition] = frozenset(refused)
        return Held(meta.offset, meta.epoch, 0, refused, meta.refusals, meta.rebuilding)

    def _forget(self, partition: int) -> None:
        self._counts.pop(partition, None)
        self._at_end_s.pop(partition, None)
        self._noted.pop(partition, None)
        for place in [place for place in self._cache if place[0] == partition]:
            del self._cache[place]

    def _keep_replayed(self, partition: int, held: Held, states: Mapping[bytes, State | None]) -> None:
        self._write(partition, held, states)
        for key in states:
            self._cache.pop((partition, entity_of(key) or key), None)

    def _keep_held(self, partition: int, held: Held) -> None:
        self._at_end_s[partition] = self._wall_clock_s()
        self._write(partition, held, {})

    def _write(self, partition: int, held: Held, states: Mapping[bytes, State | None]) -> None:
        changes = WriteBatch(raw_mode=True)
        count = self._counts.get(partition, 0)
        for key, state in states.items():
            place, due = _place(_STATE, partition, key), _place(_DUE, partition, key)
            known = place in self._db
            count += ((state is not None) - known) * (entity_of(key) is None)
            if state is None:
                changes.delete(place)
                changes.delete(due)
                continue
            changes.put(place, state.value)
            if not state.told:
                changes.put(due, _UNTOLD)
            elif state.next_change is not None:
                changes.put(due, state.next_change.isoformat().encode())
            elif known:
                changes.delete(due)
        self._note_refused(changes, partition, held)
        at_end_s = self._at_end_s.setdefault(partition, self._wall_clock_s())
        meta = _Meta(held.offset, held.epoch, held.refusals, count, at_end_s, held.rebuilding)
        changes.put(_place(_META, partition, b""), encode(meta))
        self._db.write(changes)
        self._counts[partition] = count

    def _note_refused(self, changes: WriteBatch, partition: int, held: Held) -> None:
        noted = self._noted.get(partition, frozenset())
        if held.refused == noted:
            return
        for key in held.refused - noted:
            changes.put(_place(_REFUSED, partition, key), b"")
        for key in noted - held.refused:
            changes.delete(_place(_REFUSED, partition, key))
        self._noted[partition] = frozenset(held.refused)

    def _remember(self, place: tuple[int, bytes], vertex: Vertex) -> None:
        self._cache[place] = vertex
        self._cache.move_to_end(place)
        if len(self._cache) > self._cached:
            self._cache.popitem(last=False)

    def _all(self, kind: bytes, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Entities' keys and values of one kind in a partition."""
        prefix = _place(kind, partition, b"")
        return ((key[len(prefix) :], value) for key, value in self._from(prefix))

    def _from(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in self._db.items(from_key=prefix):
            if not isinstance(key, bytes) or not key.startswith(prefix):
                return
            yield key, value


def _place(kind: bytes, partition: int, key: bytes) -> bytes:
    return kind + partition.to_bytes(2) + key
