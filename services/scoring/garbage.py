"""When Python looks for cycles of dead objects.

A vertex is hundreds of objects and holds no cycle: counting references frees it. Python's own rhythm would walk through millions of them again
and again: over two fifths of the processor's time while a log was read. What does leave cycles (tasks, exceptions) is young when it dies.
"""

import gc
from typing import Final

ENOUGH_WHEN_IDLE: Final = 50_000  # containers made and not freed since the last look
ENOUGH_WHEN_BEHIND: Final = 2_000_000


def take_over() -> None:
    """Look for cycles only when `collect` is called."""
    gc.disable()
    gc.freeze()  # what was imported stays


def collect(*, behind: bool) -> None:
    """Look among what was made since the last time, if that is enough to be worth it."""
    if gc.get_count()[0] >= (ENOUGH_WHEN_BEHIND if behind else ENOUGH_WHEN_IDLE):
        gc.collect(1)
