"""The job, and what an engine's process is told and tells. Runs in the product's environment and in the peers'."""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

PARTITIONS: Final = 12

State = dict[str, int]
Event = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What every engine is told, in this order, as the arguments of its process."""

    servers: str
    group: str
    source: str
    output: str
    changelog: str
    events: int
    folder: str

    @classmethod
    def of_this_process(cls) -> "Job":
        """The arguments that `arguments` gave."""
        servers, group, source, output, changelog, events, folder = sys.argv[1:8]
        Path(folder).mkdir(exist_ok=True)
        return cls(servers, group, source, output, changelog, int(events), folder)

    def arguments(self) -> list[str]:
        """The command line's end."""
        return [self.servers, self.group, self.source, self.output, self.changelog, str(self.events), self.folder]


class Progress:
    """Tells on standard output when the first event is in hand, when half of them are folded, and when all are: moment and processor time, s."""

    def __init__(self, job: Job) -> None:
        self._left = self._all = job.events

    def begin(self) -> None:
        """An event is in hand and not yet decoded."""
        if self._left == self._all:
            _tell("first")

    def done(self, events: int = 1) -> None:
        """So many events are folded."""
        before, self._left = self._left, self._left - events
        if self._left <= self._all // 2 < before:
            _tell("half")
        if self._left <= 0 < before:
            _tell("all")


def _tell(what: str) -> None:
    print(what, time.time(), time.process_time(), flush=True)


def fold(state: State | None, event: Event) -> State:
    """A key's state after one more event: how many there were, and the newest by its own time."""
    if state is None:
        return {"count": 1, "time": event["time"], "value": event["value"]}
    if event["time"] > state["time"]:
        return {"count": state["count"] + 1, "time": event["time"], "value": event["value"]}
    return {"count": state["count"] + 1, "time": state["time"], "value": state["value"]}


decode = orjson.loads
encode = orjson.dumps
