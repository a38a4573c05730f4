"""How long nothing moved although work was left. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Lane(NamedTuple):
    """One partition number over all topics, which lie together: records not committed yet, and offsets that grow with all that scoring does."""

    left: int
    marks: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sample:
    """What a look showed, by partition number. `at_s` is on a clock that stands still while the broker is away."""

    at_s: float
    lanes: Mapping[int, Lane]

    @property
    def left(self) -> int:
        """Records not committed yet."""
        return sum(lane.left for lane in self.lanes.values())

    def together(self) -> Lane:
        """All lanes as one."""
        return Lane(self.left, tuple(mark for _, lane in sorted(self.lanes.items()) for mark in lane.marks))


class Stall:
    """The longest time between two looks, of one lane, in which it had work and nothing moved.

    Counted from the last look at what was, to the first at what has moved: rather half a second too much than too little.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.current_s = 0.0
        self.moved_s = 0.0
        self._since_s = 0.0
        self._last: Lane | None = None

    def see(self, at_s: float, lane: Lane) -> None:
        """Take in a look."""
        last = self._last
        if last is None or (last.left == 0 and lane.marks == last.marks):
            self._since_s = at_s  # new, or idle until now at the earliest
        if last is not None and last.left > 0:
            self.longest_s = max(self.longest_s, at_s - self._since_s)
        if last is None or lane.marks != last.marks:
            self._since_s = self.moved_s = at_s
        self.current_s = at_s - self._since_s if lane.left else 0.0
        self._last = lane


class Stalls:
    """Of the whole group, and of the worst of its lanes."""

    def __init__(self) -> None:
        self.group = Stall()
        self._lanes: dict[int, Stall] = {}

    def see(self, sample: Sample) -> None:
        """Take in a look."""
        self.group.see(sample.at_s, sample.together())
        for number, lane in sample.lanes.items():
            self._lanes.setdefault(number, Stall()).see(sample.at_s, lane)

    @property
    def longest_lane_s(self) -> float:
        """The longest time in which one partition had work and did not move, whatever the others did."""
        return max((stall.longest_s for stall in self._lanes.values()), default=0.0)
