"""When a group that is new where another has said scores has taken everything in again, and may say scores itself. Pure.

Each worker knows how far it is itself; what others have not read yet may still lead to messages for it. So the group's offsets are looked at: it
is through if nothing is unread, twice, and no message was written in between. News that keeps coming in must not hold up a large
market for ever: after a while a little may be unread.
"""

from typing import Final

LOOKS_APART_S: Final = 2.5  # offsets are committed once a second, and a batch in hand takes less than a second
EXACT_FOR_S: Final = 60.0
LITTLE: Final = 1_000  # records


class Rebuilding:
    """Whether it goes on. `now_s` is monotonic."""

    def __init__(self) -> None:
        """It does not."""
        self.goes_on = False
        self._since_s = self._looked_s = 0.0
        self._found: tuple[bool, int] | None = None

    def begin(self, now_s: float) -> None:
        """It does; nothing if it did already."""
        if not self.goes_on:
            self.goes_on, self._since_s, self._looked_s, self._found = True, now_s, now_s - LOOKS_APART_S, None

    def is_exact(self, now_s: float) -> bool:
        """Whether nothing at all may be unread."""
        return now_s - self._since_s < EXACT_FOR_S

    def takes_a_look(self, now_s: float) -> bool:
        """Whether it is time to look at the group's offsets; if so it is not again for a while, though the look may fail."""
        if not self.goes_on or now_s - self._looked_s < LOOKS_APART_S:
            return False
        self._looked_s = now_s
        return True

    def look(self, now_s: float, unread: int, written: int) -> bool:
        """So many records of all partitions are not applied, so many messages have ever been written. Returns whether it has just ended."""
        exact = self.is_exact(now_s)
        found = (unread == 0 if exact else unread < LITTLE), written
        ended = found[0] and self._found is not None and self._found[0] and (not exact or found == self._found)
        self._found = found
        self.goes_on = not ended
        return ended
