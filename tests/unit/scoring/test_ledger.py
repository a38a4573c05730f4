from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.batching.ledger import Admission, OffsetLedger

HERE = TP("neutrality.ownership", 0)


def test_nothing_is_admitted_before_a_seek_and_after_partitions_are_given_up() -> None:
    ledger = OffsetLedger()
    assert ledger.admit(HERE, 0, 10) is Admission.UNKNOWN
    ledger.restart({HERE: 0})
    assert ledger.admit(HERE, 0, 10) is Admission.APPLY
    ledger.forget()
    assert ledger.admit(HERE, 0, 10) is Admission.UNKNOWN
    assert ledger.positions() == {}


def test_an_applied_batch_acknowledges_its_whole_range_holes_in_the_log_included() -> None:
    ledger = OffsetLedger()
    ledger.restart({HERE: 3})
    ledger.applied(HERE, 3, 250)
    assert ledger.position(HERE) == 250


def test_a_batch_after_one_that_was_dropped_is_not_admitted_and_cannot_be_committed_over() -> None:
    ledger = OffsetLedger()
    ledger.restart({HERE: 0})
    ledger.applied(HERE, 0, 100)
    assert ledger.admit(HERE, 200, 300) is Admission.HOLE
    assert not ledger.applied(HERE, 200, 300)
    assert ledger.positions() == {HERE: 100}


def test_a_repeat_is_dropped_an_overlap_is_admitted_and_neither_takes_anything_back() -> None:
    ledger = OffsetLedger()
    ledger.restart({HERE: 0})
    ledger.applied(HERE, 0, 100)
    assert ledger.admit(HERE, 50, 100) is Admission.REPEAT
    assert ledger.admit(HERE, 50, 101) is Admission.APPLY
    assert ledger.applied(HERE, 50, 80)
    assert ledger.position(HERE) == 100


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans(), st.booleans()), max_size=40))
def test_whatever_is_dropped_or_sought_back_every_offset_below_the_position_was_applied(
    steps: list[tuple[int, bool, bool]],
) -> None:
    ledger, applied, committed, fetch_at = OffsetLedger(), set[int](), 0, 0
    ledger.restart({HERE: 0})
    for size, dropped, rebalance in steps:
        start, end = fetch_at, fetch_at + size
        fetch_at = end
        if not dropped:
            admission = ledger.admit(HERE, start, end)
            if admission is Admission.APPLY:
                applied.update(range(start, end))
                ledger.applied(HERE, start, end)
            elif admission is Admission.HOLE:
                fetch_at = ledger.positions()[HERE]
        if rebalance:
            committed = ledger.positions()[HERE]
            ledger.forget()
            ledger.restart({HERE: committed})
            fetch_at = committed
        assert applied >= set(range(ledger.positions()[HERE]))
