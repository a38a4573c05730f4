from faust.types import TP

from services.scoring.batching.records import FetchedRecords
from services.scoring.batching.scheduler import BatchScheduler
from tests.support.scoring import Consumed

OWNERSHIP = TP("neutrality.ownership", 0)
CONTRACTS = TP("neutrality.contracts", 3)


def records(tp: TP, *offsets: int) -> list[Consumed]:
    return [Consumed(tp.topic, tp.partition, offset, b"k", b"v") for offset in offsets]


def test_all_records_fetched_for_a_partition_become_one_message() -> None:
    found = list(BatchScheduler().iterate({OWNERSHIP: records(OWNERSHIP, 5, 6, 7), CONTRACTS: records(CONTRACTS, 1)}))
    assert [(tp, [r.offset for r in b.records], b.start, b.end) for tp, b in found] == [
        (OWNERSHIP, [5, 6, 7], 5, 8),
        (CONTRACTS, [1], 1, 2),
    ]


def test_batches_are_bounded_take_turns_and_join_without_a_hole() -> None:
    class Small(BatchScheduler):
        max_batch_records = 2

    fetched = FetchedRecords(records(OWNERSHIP, 10, 11, 14, 15, 20), start=8, end=23)
    found = list(Small().iterate({OWNERSHIP: fetched, CONTRACTS: records(CONTRACTS, 1, 2, 3)}))
    assert [tp for tp, _ in found] == [OWNERSHIP, CONTRACTS, OWNERSHIP, CONTRACTS, OWNERSHIP]
    assert [(b.start, b.end) for tp, b in found if tp == OWNERSHIP] == [(8, 14), (14, 20), (20, 23)]
    assert [[r.offset for r in b.records] for tp, b in found if tp == OWNERSHIP] == [[10, 11], [14, 15], [20]]


def test_a_partition_without_records_yields_nothing() -> None:
    assert list(BatchScheduler().iterate({OWNERSHIP: []})) == []
