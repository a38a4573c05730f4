from datetime import UTC, datetime, timedelta

from neutrality.model.vertex import Owed
from services.scoring.ticks import Arrears, Due, Marks, TickSchedule

NOON = datetime(2025, 6, 12, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)


def test_a_vertex_is_due_once_its_time_has_come_and_then_no_more() -> None:
    ticks = TickSchedule()
    ticks.set(2, b"a", LATER)
    assert ticks.due(NOON, 10) == {}
    assert ticks.due(LATER, 10) == {2: [b"a"]}
    assert ticks.due(LATER, 10) == {}


def test_only_the_newest_due_time_of_a_vertex_counts() -> None:
    ticks = TickSchedule()
    ticks.set(0, b"a", NOON)
    ticks.set(0, b"a", LATER)
    ticks.set(0, b"b", NOON)
    ticks.set(0, b"b", None)
    assert ticks.due(NOON, 10) == {}
    assert ticks.due(LATER, 10) == {0: [b"a"]}


def test_a_time_that_moves_away_and_back_counts_once() -> None:
    ticks = TickSchedule()
    for due in (NOON, LATER, NOON):
        ticks.set(0, b"a", due)
    assert ticks.due(LATER, 10) == {0: [b"a"]}


def test_at_most_the_limit_is_due_at_once_and_the_rest_next_time() -> None:
    ticks = TickSchedule()
    ticks.rebuild([(0, b"a", NOON), (1, b"b", NOON), (1, b"c", None), (1, b"d", LATER)])
    first = ticks.due(NOON, 1)
    second = ticks.due(NOON, 1)
    assert sorted([*first.items(), *second.items()]) == [(0, [b"a"]), (1, [b"b"])]
    assert ticks.due(NOON, 1) == {}


def test_reckonings_come_before_assessments_and_stay_owed_until_set_again() -> None:
    arrears = Arrears()
    arrears.set(0, b"a", Owed(NOON))
    arrears.set(1, b"b", Owed(NOON, reckoning=True))
    arrears.set(1, b"c", Owed(NOON, reckoning=True))
    assert arrears.first(1) == arrears.first(1) == Due(1, [b"b"], reckoning=True)
    arrears.set(1, b"b", Owed(NOON))
    arrears.set(1, b"c", None)
    assert arrears.first(9) == Due(0, [b"a"], reckoning=False)
    arrears.set(0, b"a", None)
    assert arrears.first(9) == Due(1, [b"b"], reckoning=False)
    arrears.clear()
    assert arrears.first(9) is None


def test_a_mark_stays_until_its_state_is_written_again() -> None:
    marks = Marks()
    marks.add(1, [b"a", b"b", b"c"])
    assert marks.first(2) == (1, [b"a", b"b"])
    marks.written(1, [b"a"])
    assert marks.first(2) == (1, [b"b", b"c"])
    marks.written(1, [b"b", b"c"])
    marks.written(2, [b"x"])
    assert marks.first(2) is None
