from faust.types import TP

from neutrality.model.vertex import Vertex, vertex_to_bytes
from services.scoring.batching.records import RecordBatch
from services.scoring.batching.store import PartitionedVertices
from tests.support.scoring import Consumed

CHANGELOG = "scoring-vertices-changelog"


def replay(store: PartitionedVertices, partition: int, *rows: tuple[int, bytes, bytes | None]) -> None:
    records = [Consumed(CHANGELOG, partition, offset, key, value) for offset, key, value in rows]
    store.replay(RecordBatch(TP(CHANGELOG, partition), records, records[0].offset, records[-1].offset + 1))


def test_replay_keeps_the_newest_state_of_each_entity_and_drops_tombstones() -> None:
    store = PartitionedVertices()
    old, new = Vertex("a", version=1), Vertex("a", version=2)
    replay(store, 3, (0, b"a", vertex_to_bytes(old)), (1, b"b", vertex_to_bytes(Vertex("b"))), (4, b"a", vertex_to_bytes(new)))
    replay(store, 3, (5, b"b", None))
    assert store.get(3, b"a") == new
    assert store.get(3, b"b") is None
    assert store.get(2, b"a") is None
    assert list(store.items()) == [(3, b"a", new)]
    assert store.replayed_to(3) == 5


def test_a_partition_that_was_given_up_is_replayed_from_the_start() -> None:
    store = PartitionedVertices()
    replay(store, 0, (7, b"a", vertex_to_bytes(Vertex("a"))))
    replay(store, 1, (2, b"b", vertex_to_bytes(Vertex("b"))))
    store.give_up([0])
    assert store.replayed_to(0) == -1
    assert store.get(0, b"a") is None
    assert store.replayed_to(1) == 2
    assert store.count() == 1
    assert store.partitions() == {1}


def test_a_foreign_write_to_the_changelog_shows_as_a_hole_between_own_ones() -> None:
    store = PartitionedVertices()
    replay(store, 0, (7, b"a", vertex_to_bytes(Vertex("a"))))
    assert store.wrote(0, (8, 9))
    assert store.wrote(0, (10, 10))
    assert not store.wrote(0, (12, 12))


def test_a_write_whose_place_kafka_does_not_tell_is_no_foreign_one() -> None:
    store = PartitionedVertices()
    assert store.wrote(0, (0, 3))
    assert store.wrote(0, None)
    assert store.wrote(0, (6, 6))
    assert not store.wrote(0, (8, 8))
