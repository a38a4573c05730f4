"""Which of the alerts that may be sent to people are one message. Pure."""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar


class Available(Protocol):
    """A delivery that may be sent."""

    @property
    def vendor(self) -> str:
        """Whose order it keeps."""
        ...

    @property
    def group(self) -> str:
        """What it is told together with; empty: by itself."""
        ...


_Available = TypeVar("_Available", bound=Available)


def next_message(available: Iterable[_Available]) -> Sequence[_Available]:
    """The first, with all of its group, in the order given; none overtakes another of its vendor. Empty if nothing is available."""
    chosen: list[_Available] = []
    held_up: set[str] = set()
    for one in available:
        if one.vendor not in held_up and (not chosen or (one.group != "" and one.group == chosen[0].group)):
            chosen.append(one)
        else:
            held_up.add(one.vendor)
    return chosen
