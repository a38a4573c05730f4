"""The same `react` in process, under a local queue: for what-if, as-of and replay, and as the oracle of the stream."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from neutrality.events import cloudevent
from neutrality.events.assessment import Assessment
from neutrality.events.structs import AnyEvent
from neutrality.model.messages import Message
from neutrality.model.methodology import Methodology
from neutrality.model.vertex import Input, Origin, PutOff, Vertex, react

TimedEvent = tuple[cloudevent.Event, int]  # an event, and when Kafka took it (ms since 1970)
_EVENTS: Final = "local.events"
_MESSAGES: Final = "local.messages"
_ASSESSMENTS_LAST: Final = PutOff(datetime.max.replace(tzinfo=UTC), reckoning=False)


class LocalRunner:
    """Runs vertices at one point in time. Messages that wait for the same receiver are handed over together.

    An event that is given without the time at which Kafka took it counts as taken at the runner's time.
    """

    def __init__(self, methodology: Methodology, at: datetime) -> None:
        """Start with nothing known, at time `at`."""
        self._methodology = methodology
        self._at = at
        self._offset = 0
        self.vertices: dict[str, Vertex] = {}
        self.assessments: dict[str, Assessment] = {}
        self.reactions = 0

    def apply(self, events: Iterable[AnyEvent | tuple[AnyEvent, int]]) -> None:
        """Take in events one by one, each with all that follows from it."""
        for event in events:
            self.apply_together([event])

    def apply_together(self, events: Iterable[AnyEvent | tuple[AnyEvent, int]]) -> None:
        """Take in events as one batch, as under backlog: first what entities tell one another, then what is to be said of each."""
        waiting: dict[str, list[Input]] = {}
        for item in events:
            event, accepted_ms = item if isinstance(item, tuple) else (item, None)
            waiting.setdefault(event.data.subject, []).append(self._input(_EVENTS, event, accepted_ms))
        self._run(waiting, _ASSESSMENTS_LAST)
        self._run({entity: [] for entity, vertex in self.vertices.items() if vertex.owed is not None})

    def pass_time(self, at: datetime) -> None:
        """Move on to a later time: every vertex that wanted to be asked is asked."""
        while True:
            due = [v for v in self.vertices.values() if v.next_change is not None and v.next_change <= at]
            if not due:
                break
            self._at = min(v.next_change for v in due if v.next_change is not None)
            self._run({v.entity: [] for v in due if v.next_change == self._at})
        self._at = at

    def standing_assessments(self) -> dict[str, Assessment]:
        """The assessments of those that are vendors now; `assessments` also keeps the last one of each that was."""
        return {entity: found for entity, found in self.assessments.items() if self.vertices[entity].content is not None}

    def _input(self, topic: str, body: AnyEvent | Message, accepted_ms: int | None = None) -> Input:
        self._offset += 1
        return Input(
            Origin(topic, 0, self._offset, int(self._at.timestamp() * 1000) if accepted_ms is None else accepted_ms), body
        )

    def _run(self, waiting: dict[str, list[Input]], put_off: PutOff | None = None) -> None:
        while waiting:
            entity = next(iter(waiting))
            inputs = waiting.pop(entity)
            known = self.vertices.get(entity)
            reaction = react(known, entity, inputs, at=self._at, methodology=self._methodology, put_off=put_off)
            self.reactions += 1
            self.vertices[entity] = reaction.vertex
            if reaction.assessment is not None:
                self.assessments[entity] = reaction.assessment
            for message in reaction.messages:
                waiting.setdefault(message.receiver, []).append(self._input(_MESSAGES, message))
