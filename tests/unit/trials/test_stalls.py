"""The stall detector on plain looks."""

from collections.abc import Sequence

import pytest

from tests.trials.stalls import Lane, Sample, Stall, Stalls


def longest(*looks: tuple[float, int, int]) -> float:
    """Of looks at one lane: when, what is left, how far it is."""
    stall = Stall()
    for at_s, left, mark in looks:
        stall.see(at_s, Lane(left, (mark,)))
    return stall.longest_s


@pytest.mark.parametrize(
    ("rule", "looks", "expected_s"),
    [
        ("work is left and nothing moves", [(0, 5, 1), (10, 5, 1), (40, 5, 1)], 40),
        ("it ends with the look at which something has moved", [(0, 5, 1), (10, 5, 1), (12, 0, 6)], 12),
        ("a look that failed does not end it", [(0, 5, 1), (35, 4, 2)], 35),
        ("what moves does not stall", [(0, 5, 1), (1, 4, 2), (2, 3, 3)], 1),
        ("who has no work does not stall", [(0, 0, 1), (100, 0, 1)], 0),
        ("work begins when it is seen", [(0, 0, 1), (100, 3, 1), (104, 0, 4)], 4),
        ("more work is no movement", [(0, 1, 1), (20, 2, 1), (40, 3, 1)], 40),
        ("the longest counts, not the last", [(0, 5, 1), (31, 4, 2), (32, 3, 3)], 31),
        ("moving ends it though more work is left than before", [(0, 5, 1), (8, 9, 2), (16, 9, 3)], 8),
    ],
)
def test_the_longest_time_with_work_left_and_nothing_moving(
    rule: str, looks: Sequence[tuple[float, int, int]], expected_s: float
) -> None:
    assert longest(*looks) == expected_s, rule


def test_the_current_stall_is_told_before_it_ends() -> None:
    stall = Stall()
    for at_s, left, mark in ((0, 0, 1), (5, 2, 1), (50, 2, 1)):
        stall.see(at_s, Lane(left, (mark,)))
    assert stall.current_s == 45
    stall.see(51, Lane(0, (3,)))
    assert stall.current_s == 0


def test_a_partition_that_stands_still_is_seen_behind_another_that_moves() -> None:
    stalls = Stalls()
    for second in range(41):
        stalls.see(Sample(second, {0: Lane(7, (1, 1)), 1: Lane(100 - second, (second, 0))}))
    assert stalls.group.longest_s == 1
    assert stalls.longest_lane_s == 40


def test_a_group_of_which_nothing_moves_stalls_though_only_one_partition_has_work() -> None:
    stalls = Stalls()
    for second in range(35):
        stalls.see(Sample(second, {0: Lane(1, (1,)), 1: Lane(0, (9,))}))
    assert stalls.group.longest_s == 34
