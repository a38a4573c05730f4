"""`react` under the worst delivery that a log allows: any receiver next, any number of its inputs, repeats old and new, state read anew."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from random import Random

from neutrality.events.assessment import Assessment
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import Methodology
from neutrality.model.profile import EMPTY_PROFILE, Profile
from neutrality.model.stored import vertex_from_bytes, vertex_to_bytes
from neutrality.model.vertex import Input, Message, Origin, Vertex, message_from_bytes, message_to_bytes, react
from tests.support.claimsets import Taken

MOST_REACTIONS = 20_000  # far more than any case needs: messages that never end are a failure, not a long test

Told = dict[str, Assessment]


def told(found: Told) -> Told:
    """What is said of each vendor, without how often and why it was said."""
    return {name: assessment.unversioned() for name, assessment in sorted(found.items())}


def told_by(runner: LocalRunner) -> Told:
    """The same of a runner, of those that are vendors now."""
    return told(runner.standing_assessments())


def profiles(vertices: Mapping[str, Vertex]) -> dict[str, Profile]:
    """What entities are to those in which they hold something; without those of which nothing is known."""
    values = {name: vertex.profile.value for name, vertex in sorted(vertices.items())}
    return {name: value for name, value in values.items() if value is not None and value != EMPTY_PROFILE}


class ScatteredRunner:
    """Delivers events and messages as `choose` says. An entity's inputs of one topic keep their order, as in a partition."""

    def __init__(self, methodology: Methodology, at: datetime, choose: Random) -> None:
        self._methodology, self._at, self._choose = methodology, at, choose
        self._waiting: dict[str, list[Input]] = {}
        self._read: dict[str, list[Input]] = {}
        self._sent: list[Message] = []
        self._offset = 0
        self._reactions = 0
        self.vertices: dict[str, Vertex] = {}
        self.assessments: Told = {}

    def apply(self, events: Iterable[Taken]) -> None:
        """Take in all events, in any order, each at least once, with messages between as they come."""
        left = list(events)
        left += [self._choose.choice(left) for _ in range(len(left) // 4)]
        self._choose.shuffle(left)
        self._deliver_all(left)
        for message in [
            old for old in self._sent if self._choose.random() < 0.3
        ]:  # when all is done, old messages come once more
            self._post(message.receiver, Input(self._origin("messages", 0), message))
        self._deliver_all([])

    def _deliver_all(self, left: list[Taken]) -> None:
        while left or self._waiting:
            if left and (not self._waiting or self._choose.random() < 0.3):
                event, accepted_ms = left.pop()
                self._post(event.data.subject, Input(self._origin("events", accepted_ms), event))
            else:
                self._deliver(self._choose.choice(sorted(self._waiting)))

    def standing(self) -> Told:
        """The assessments of those that are vendors now; a vertex that was just read has to be asked."""
        asked = {name: self._asked(name) for name in self.assessments}
        return {name: found for name, found in self.assessments.items() if asked[name].content is not None}

    def _asked(self, entity: str) -> Vertex:
        return self._ticked(self.vertices[entity])

    def _ticked(self, vertex: Vertex) -> Vertex:
        return react(vertex, vertex.entity, (), at=self._at, methodology=self._methodology).vertex

    def _deliver(self, entity: str) -> None:
        queue = self._waiting[entity]
        count = self._choose.randint(1, len(queue))
        inputs, self._waiting[entity] = queue[:count], queue[count:]
        if not self._waiting[entity]:
            del self._waiting[entity]
        before = self._read.setdefault(entity, [])
        if before and self._choose.random() < 0.05:  # read again from some point on, as after a crash
            inputs = [*before[self._choose.randrange(len(before)) :], *inputs]
        before += [item for item in inputs if item not in before]
        self._react(entity, inputs)

    def _react(self, entity: str, inputs: list[Input]) -> None:
        self._reactions += 1
        assert self._reactions < MOST_REACTIONS, "messages without end"
        reaction = react(self.vertices.get(entity), entity, inputs, at=self._at, methodology=self._methodology)
        vertex = reaction.vertex
        if self._choose.random() < 0.2:
            vertex = vertex_from_bytes(vertex_to_bytes(vertex))
            if self._choose.random() < 0.5:  # what stands is worked out anew
                vertex = self._ticked(vertex)
        self.vertices[entity] = vertex
        if reaction.assessment is not None:
            self.assessments[entity] = reaction.assessment
        for message in reaction.messages:
            body = message_from_bytes(message_to_bytes(message))
            self._sent.append(body)
            self._post(message.receiver, Input(self._origin("messages", 0), body))
            if self._choose.random() < 0.05:  # sent twice
                self._post(message.receiver, Input(self._origin("messages", 0), body))

    def _post(self, entity: str, item: Input) -> None:
        queue = self._waiting.setdefault(entity, [])
        if isinstance(item.body, Message) and queue and self._choose.random() < 0.2:
            queue.insert(self._choose.randrange(len(queue)), item)  # another sender was slower
        else:
            queue.append(item)

    def _origin(self, topic: str, accepted_ms: int) -> Origin:
        self._offset += 1
        return Origin(topic, 0, self._offset, accepted_ms)
