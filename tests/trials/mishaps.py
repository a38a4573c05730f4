"""Carries out a plan's steps when their time comes. In the main thread: it starts workers and the broker."""

import signal
import time
from collections.abc import Sequence

from neutrality.broker.embedded import EmbeddedKafka
from tests.trials.crew import Crew
from tests.trials.plan import Step
from tests.trials.watching import UpClock


class Mishaps:
    """What is still to go wrong."""

    def __init__(self, steps: Sequence[Step], crew: Crew, kafka: EmbeddedKafka, clock: UpClock) -> None:
        self._left = list(steps)
        self._crew, self._kafka, self._clock = crew, kafka, clock
        self._began_s: float | None = None

    @property
    def done(self) -> bool:
        """Whether all has gone wrong that was to."""
        return not self._left

    def go_on(self) -> None:
        """Do what is due; the time of the first call is 0. What finds its worker between two lives waits, and so does all that follows."""
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s
        while self._left and now_s >= (due_s := self._began_s + self._left[0].at_s):
            if not self._do(self._left[0]):
                self._began_s += now_s - due_s
                return
            del self._left[0]

    def _do(self, step: Step) -> bool:
        match step.action:
            case "kill":
                return self._crew.send(step.worker, signal.SIGKILL)
            case "add":
                self._crew.add()
            case "stop":
                return self._crew.send(step.worker, signal.SIGSTOP)
            case "wake":
                return self._crew.send(step.worker, signal.SIGCONT)
            case "kill broker":
                self._clock.stop()
                self._kafka.kill()
            case "start broker":
                self._kafka.start()
                self._clock.go_on()
        return True
