"""Short ways to fill a store of vertices."""

from collections.abc import Callable
from datetime import UTC, datetime

from faust.types import TP

from neutrality.model.stored import vertex_to_bytes
from neutrality.model.vertex import Vertex
from services.scoring.batching.records import RecordBatch
from services.scoring.batching.store import Vertices
from services.scoring.fencing import CLAIM_KEY, CLAIM_VALUE, EPOCH_HEADER, Headers, State, state_headers
from tests.support.scoring import Consumed

CHANGELOG = "scoring-vertices-changelog"
NOON = datetime(2025, 6, 12, 12, tzinfo=UTC)
Row = tuple[int, bytes, bytes | None] | tuple[int, bytes, bytes | None, Headers]


def replay(store: Vertices, partition: int, *rows: Row) -> None:
    records = [
        Consumed(CHANGELOG, partition, row[0], row[1], row[2], row[3] if len(row) == 4 else state_headers(0, None))
        for row in rows
    ]
    store.replay(RecordBatch(TP(CHANGELOG, partition), records, records[0].offset, records[-1].offset + 1))


def a_state(entity: str, version: int = 0, due: datetime | None = None) -> bytes:
    return vertex_to_bytes(Vertex(entity, version=version, next_change=due))


def put(store: Vertices, partition: int, *vertices: Vertex) -> None:
    states = {vertex.entity.encode(): vertex for vertex in vertices}
    store.put(partition, states, {key: State(vertex_to_bytes(vertex), vertex.next_change) for key, vertex in states.items()})


def dues(store: Vertices) -> set[tuple[int, bytes, datetime]]:
    return {(partition, key, due) for partition, key, due in store.next_changes() if due is not None}


def under(epoch: int) -> Headers:
    return state_headers(epoch, None)


def claim(epoch: int) -> Callable[[int], Row]:
    return lambda offset: (offset, CLAIM_KEY, CLAIM_VALUE, ((EPOCH_HEADER, b"%d" % epoch),))
