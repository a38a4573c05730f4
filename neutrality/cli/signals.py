"""Ctrl-C and SIGTERM as a flag, so that what runs is ended in order rather than torn."""

import signal
import threading
from types import FrameType
from typing import Self


class StopSignal:
    """Set by the first signal. A second Ctrl-C interrupts as usual, for those in a hurry."""

    def __init__(self) -> None:
        """Not set yet, and not installed."""
        self._event = threading.Event()

    @classmethod
    def install(cls, *signals: signal.Signals) -> Self:
        """Listen to these signals; only from the main thread."""
        stop = cls()
        for number in signals:
            signal.signal(number, stop._on_signal)
        return stop

    @property
    def is_set(self) -> bool:
        """Whether we were asked to stop."""
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but no longer than until we are asked to stop; whether we are."""
        return self._event.wait(seconds)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)
