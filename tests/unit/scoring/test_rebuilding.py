"""When a rebuilt group is through."""

from services.scoring.rebuilding import EXACT_FOR_S, LITTLE, LOOKS_APART_S, Rebuilding


def begun(now_s: float = 100.0) -> Rebuilding:
    rebuilding = Rebuilding()
    rebuilding.begin(now_s)
    return rebuilding


def test_it_ends_when_nothing_is_unread_and_nothing_was_written_since_the_look_before() -> None:
    rebuilding = begun()
    assert not rebuilding.look(101.0, 7, 50)
    assert not rebuilding.look(104.0, 0, 60)
    assert not rebuilding.look(107.0, 0, 61)  # messages came and were read in between
    assert not rebuilding.look(110.0, 1, 61)
    assert not rebuilding.look(113.0, 0, 61)
    assert rebuilding.goes_on
    assert rebuilding.look(116.0, 0, 61)
    assert not rebuilding.goes_on


def test_after_a_while_a_little_may_be_unread_of_what_keeps_coming_in() -> None:
    rebuilding = begun()
    later = 100.0 + EXACT_FOR_S
    assert not rebuilding.look(later, LITTLE, 1)
    assert not rebuilding.look(later + 3.0, LITTLE - 1, 2)
    assert rebuilding.look(later + 6.0, LITTLE - 1, 3)


def test_looks_are_apart_also_those_that_fail_and_only_while_it_goes_on() -> None:
    rebuilding = Rebuilding()
    assert not rebuilding.takes_a_look(100.0)
    rebuilding.begin(100.0)
    assert rebuilding.takes_a_look(100.0)
    assert not rebuilding.takes_a_look(100.0 + LOOKS_APART_S / 2)
    assert rebuilding.takes_a_look(100.0 + LOOKS_APART_S)


def test_partitions_that_come_on_the_way_do_not_begin_it_again() -> None:
    rebuilding = begun()
    rebuilding.begin(100.0 + EXACT_FOR_S)
    assert not rebuilding.is_exact(100.0 + EXACT_FOR_S)
