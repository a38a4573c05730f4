"""What every store of vertices does."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from neutrality.model.vertex import Vertex
from services.scoring.batching.rocks import RocksVertices
from services.scoring.batching.store import PartitionedVertices, Vertices
from services.scoring.fencing import EPOCH_HEADER, State, state_headers
from tests.support.vertices import NOON, Row, a_state, claim, dues, put, replay, under


@pytest.fixture(params=["memory", "rocksdb", "rocksdb that caches one vertex"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vertices]:
    found: Vertices
    if request.param == "memory":
        found = PartitionedVertices()
    else:
        found = RocksVertices(tmp_path / "db", cached=1 if "one" in request.param else 100, wall_clock_s=lambda: 1_700_000_000.0)
    yield found
    found.close()


def test_replay_keeps_the_newest_state_of_each_entity_and_drops_tombstones(store: Vertices) -> None:
    replay(store, 3, (0, b"a", a_state("a", 1)), (1, b"b", a_state("b")), (4, b"a", a_state("a", 2)))
    assert store.count() == 2
    replay(store, 3, (5, b"b", None))
    assert store.get(3, b"a") == Vertex("a", version=2)
    assert store.get(3, b"b") is None
    assert store.get(2, b"a") is None
    assert store.count() == 1
    assert store.replayed_to(3) == 5


def test_what_is_put_is_got_even_if_it_was_replayed_or_put_before(store: Vertices) -> None:
    replay(store, 0, (0, b"a", a_state("a", 1)))
    assert store.get(0, b"a") == Vertex("a", version=1)
    put(store, 0, Vertex("a", version=2), Vertex("b", version=1))
    put(store, 0, Vertex("b", version=3))
    assert store.get(0, b"a") == Vertex("a", version=2)
    assert store.get(0, b"b") == Vertex("b", version=3)
    assert store.count() == 2
    replay(store, 0, (7, b"a", a_state("a", 9)))
    assert store.get(0, b"a") == Vertex("a", version=9)


def test_entities_whose_names_begin_alike_and_partitions_that_follow_one_another_are_kept_apart(store: Vertices) -> None:
    put(store, 0, Vertex("a", version=1), Vertex("ab", version=2))
    put(store, 255, Vertex("a", version=3))
    put(store, 256, Vertex("a", version=4))
    assert [store.get(0, b"a"), store.get(0, b"ab")] == [Vertex("a", version=1), Vertex("ab", version=2)]
    assert [store.get(255, b"a"), store.get(256, b"a")] == [Vertex("a", version=3), Vertex("a", version=4)]


def test_a_foreign_write_to_the_changelog_shows_as_a_hole_between_own_ones(store: Vertices) -> None:
    replay(store, 0, (7, b"a", a_state("a")))
    assert store.wrote(0, (8, 9), 2)
    assert store.wrote(0, (10, 10), 1)
    assert not store.wrote(0, (12, 12), 1)


def test_a_foreign_write_in_the_middle_of_a_large_own_one_shows_as_well(store: Vertices) -> None:
    assert not store.wrote(0, (0, 5), 5)


def test_a_write_whose_place_kafka_does_not_tell_counts_with_the_next(store: Vertices) -> None:
    assert store.wrote(0, (0, 3), 4)
    assert store.wrote(0, None, 2)
    assert store.wrote(0, (6, 6), 1)
    assert store.wrote(0, None, 2)
    assert not store.wrote(0, (10, 10), 1)


def test_what_the_seek_of_a_replay_reads_again_is_not_taken_in_again(store: Vertices) -> None:
    replay(store, 0, (0, b"a", a_state("a", 1), under(4)), (1, b"b", a_state("b"), under(3)))
    assert store.refused(0)[0] == 1
    replay(store, 0, (1, b"b", a_state("b"), under(3)), (2, b"c", a_state("c"), under(4)))
    assert store.refused(0)[0] == 1
    assert store.replayed_to(0) == 2


def test_replay_refuses_what_was_written_under_a_lower_epoch_and_says_what_it_hides(store: Vertices) -> None:
    replay(store, 0, (0, b"a", a_state("a", 1), under(1)), (1, b"b", a_state("b", 1), under(1)), claim(2)(2))
    assert store.epoch(0) == 2
    replay(
        store, 0, (3, b"a", a_state("a", 2), under(2)), (4, b"a", a_state("a", 7), under(1)), (5, b"c", a_state("c"), under(1))
    )
    assert store.get(0, b"a") == Vertex("a", version=2)
    assert store.get(0, b"c") is None
    assert store.refused(0) == (2, {b"a": State(a_state("a", 2), None), b"c": None})
    assert store.replayed_to(0) == 5
    store.claimed(0, 3)
    store.restored(0)
    assert store.refused(0) == (0, {})
    assert store.epoch(0) == 3


def test_a_valid_state_after_a_refused_one_hides_it_by_itself(store: Vertices) -> None:
    replay(
        store, 0, (0, b"a", a_state("a", 1), under(2)), (1, b"a", a_state("a", 7), under(1)), (2, b"a", a_state("a", 2), under(2))
    )
    assert store.refused(0) == (1, {})
    assert store.get(0, b"a") == Vertex("a", version=2)


def test_a_stale_claim_is_refused_and_hides_nothing(store: Vertices) -> None:
    replay(store, 0, claim(5)(0), claim(4)(1))
    assert store.refused(0) == (1, {})
    assert store.epoch(0) == 5


def test_records_without_an_epoch_are_older_than_all_claims_and_those_with_a_broken_one_count_for_nothing(
    store: Vertices,
) -> None:
    replay(store, 0, (0, b"a", a_state("a", 1), ()), (1, b"b", a_state("b"), ((EPOCH_HEADER, b"x"),)))
    assert store.get(0, b"a") == Vertex("a", version=1)
    assert store.get(0, b"b") is None
    replay(store, 0, claim(1)(2), (3, b"a", a_state("a", 2), ()))
    assert store.get(0, b"a") == Vertex("a", version=1)


def test_next_changes_are_known_from_the_headers_without_reading_states(store: Vertices) -> None:
    due = state_headers(1, NOON)
    replay(store, 0, (0, b"a", b"no state", due), (1, b"b", b"no state", under(1)), (2, b"c", b"no state", due))
    replay(store, 0, (3, b"c", b"no state", under(1)))
    assert dues(store) == {(0, b"a", NOON)}


def test_next_changes_that_no_header_tells_are_read_from_the_states(store: Vertices) -> None:
    replay(store, 0, (0, b"a", a_state("a", 1, NOON), ()), (1, b"b", a_state("b"), ()))
    assert dues(store) == {(0, b"a", NOON)}
    assert store.state(0, b"a") == State(a_state("a", 1, NOON), NOON)
    replay(store, 0, (2, b"c", b"no state", ()))
    with pytest.raises(ValueError, match="malformed"):
        dues(store)


def test_next_changes_follow_what_is_put(store: Vertices) -> None:
    put(store, 1, Vertex("a", next_change=NOON), Vertex("b", next_change=NOON))
    put(store, 1, Vertex("b", version=1))
    assert dues(store) == {(1, b"a", NOON)}


def test_only_what_is_held_is_counted_and_due(store: Vertices) -> None:
    put(store, 0, Vertex("a", next_change=NOON))
    put(store, 1, Vertex("b", next_change=NOON))
    store.assign([0, 1])
    store.give_up([0])
    assert store.assigned() == {1}
    assert store.partitions() == {1}
    assert store.count() == 1
    assert dues(store) == {(1, b"b", NOON)}


def test_a_partition_that_comes_back_is_what_its_changelog_says_by_then(store: Vertices) -> None:
    replay(store, 0, (7, b"a", a_state("a", 1), under(1)))
    assert store.get(0, b"a") == Vertex("a", version=1)
    store.give_up([0])
    start = store.replayed_to(0) + 1
    rows: list[Row] = [(7, b"a", a_state("a", 1), under(1)), claim(2)(8), (9, b"a", a_state("a", 2), under(2))]
    replay(store, 0, *(row for row in rows if row[0] >= start))
    assert store.get(0, b"a") == Vertex("a", version=2)
    assert store.count() == 1
    assert store.epoch(0) == 2
