from datetime import timedelta
from pathlib import Path

import pytest

from neutrality.model.vertex import Vertex
from services.scoring.batching.rocks import RESUMED_WITHIN, RocksVertices, StoreInUse
from services.scoring.main import EXIT_USAGE, main
from services.scoring.topics import TOMBSTONES_FOR
from tests.support.vertices import NOON, a_state, claim, dues, put, replay, under


class Disk:
    """A folder, and a clock."""

    def __init__(self, path: Path) -> None:
        self.path, self.now_s = path, 1_700_000_000.0

    def open(self) -> RocksVertices:
        return RocksVertices(self.path, wall_clock_s=lambda: self.now_s)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "db")


def a_database(disk: Disk) -> RocksVertices:
    """Partition 0 up to offset 5, the last of which was put; a stale state of `b` at offset 2."""
    store = disk.open()
    replay(store, 0, claim(3)(0), (1, b"b", a_state("b", 1), under(3)), (2, b"b", a_state("b", 8), under(2)))
    assert store.wrote(0, (3, 3), 1)
    store.claimed(0, 4)
    assert store.wrote(0, (4, 5), 2)
    put(store, 0, Vertex("a", version=2, next_change=NOON), Vertex("c"))
    return store


def test_a_start_goes_on_where_the_last_process_ended(disk: Disk) -> None:
    a_database(disk).close()
    store = disk.open()
    assert store.replayed_to(0) == 5
    assert store.epoch(0) == 4
    assert store.get(0, b"a") == Vertex("a", version=2, next_change=NOON)
    assert store.count() == 3
    assert dues(store) == {(0, b"a", NOON)}
    assert store.wrote(0, (6, 6), 1)


def test_refused_keys_are_not_forgotten_by_a_crash_before_they_were_written_again(disk: Disk) -> None:
    a_database(disk).close()
    store = disk.open()
    records, hidden = store.refused(0)
    assert (records, list(hidden)) == (1, [b"b"])
    store.restored(0)
    store.close()
    assert disk.open().refused(0) == (0, {})


def test_a_write_that_was_not_put_is_replayed(disk: Disk) -> None:
    store = a_database(disk)
    assert store.wrote(0, (6, 6), 1)
    store.close()
    assert disk.open().replayed_to(0) == 5


def test_a_partition_whose_log_has_become_shorter_or_begins_later_is_replayed_from_the_start(disk: Disk) -> None:
    store = a_database(disk)
    assert store.keep_within({0: (0, 6)}) == ()
    assert store.keep_within({0: (6, 9)}) == ()
    assert store.keep_within({0: (7, 9)}) == (0,)
    assert store.replayed_to(0) == -1
    assert store.get(0, b"a") is None
    assert store.kept() == ()
    store.close()
    assert a_database(Disk(disk.path.with_name("other"))).keep_within({0: (0, 5)}) == (0,)


def test_another_topic_of_the_same_name_wipes_everything(disk: Disk) -> None:
    store = disk.open()
    store.belongs_to("one")
    put(store, 0, Vertex("a"))
    put(store, 1, Vertex("b"))
    store.belongs_to("one")
    assert store.kept() == (0, 1)
    store.belongs_to("two")
    assert store.kept() == ()
    assert store.get(1, b"b") is None


def test_a_partition_that_was_away_for_so_long_that_tombstones_may_be_gone_is_replayed_from_the_start(disk: Disk) -> None:
    assert RESUMED_WITHIN < TOMBSTONES_FOR / 1.5
    a_database(disk).close()
    disk.now_s += (RESUMED_WITHIN - timedelta(minutes=1)).total_seconds()
    store = disk.open()
    replay(store, 0, (6, b"d", a_state("d"), under(4)))
    store.close()
    disk.now_s += timedelta(minutes=2).total_seconds()
    store = disk.open()
    assert store.replayed_to(0) == -1, "a replay that did not come to its end does not count"
    assert store.get(0, b"a") is None


def test_an_idle_partition_stays_young_by_its_claims(disk: Disk) -> None:
    store = a_database(disk)
    disk.now_s += RESUMED_WITHIN.total_seconds()
    store.wrote(0, (6, 6), 1)
    store.claimed(0, 4)
    store.close()
    disk.now_s += RESUMED_WITHIN.total_seconds()
    assert disk.open().replayed_to(0) == 6


def test_two_workers_do_not_share_a_database(disk: Disk) -> None:
    store = disk.open()
    with pytest.raises(StoreInUse, match="does another worker use it"):
        disk.open()
    store.close()
    disk.open().close()


def test_a_worker_whose_database_is_taken_leaves_with_exit_code_2_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = RocksVertices(tmp_path / "neutrality-scoring-vertices-changelog.rocksdb", wall_clock_s=lambda: 0.0)
    for name, value in {"STORE": "rocksdb", "DATA_DIR": str(tmp_path), "METRICS_PORT": "0"}.items():
        monkeypatch.setenv(f"SCORING_{name}", value)
    assert main() == EXIT_USAGE
    assert "does another worker use it" in capsys.readouterr().err
    other.close()
