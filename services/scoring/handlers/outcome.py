"""From reactions to the records that carry them. Pure.

Three kinds leave a batch, in this order: states (to the changelog), then what follows from them (messages, scores, rejected and
forwarded records). `Outcome` keeps them apart, because the second must not be written before Kafka has the first.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol

from msgspec import structs

from neutrality.events.assessment import Assessment, assessment_to_kafka
from neutrality.events.rejected import rejection_value
from neutrality.events.vocabulary import iso
from neutrality.model.methodology import Methodology
from neutrality.model.stored import core_to_bytes, reports_to_bytes
from neutrality.model.vertex import Input, Message, PutOff, Said, Vertex, known_of_old, message_to_bytes, react
from neutrality.topics import FORWARDED_HEADER, LARGE_RECORD_BYTES, MESSAGES, REJECTED, SCORES
from services.scoring.fencing import State, state_headers
from services.scoring.handlers.intake import Forwarded, Rejected
from services.scoring.pieces import piece_key
from services.scoring.records import OutgoingRecord

MAX_STATE_BYTES: Final = LARGE_RECORD_BYTES - 64 * 1024  # key, headers and the batch around it need a little
MAX_REJECTED_KEY_BYTES: Final = 1024


class States(Protocol):
    """Where vertices are looked up."""

    def get(self, partition: int, key: bytes) -> Vertex | None:
        """The vertex of an entity; None if it is new."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a batch or a tick led to. `encoded` is what goes to the changelog, by key: for each state its new piece, if any, and its core.

    `refused` inputs changed nothing: no room. `marked` are the entities whose states are encoded as not said yet, see `cleared`.
    """

    states: dict[bytes, Vertex]
    encoded: dict[bytes, State]
    messages: tuple[Message, ...]
    said: tuple[Said, ...]
    refused: tuple[Input, ...] = ()
    marked: tuple[bytes, ...] = ()

    @property
    def assessments(self) -> tuple[Assessment, ...]:
        """The assessments to publish."""
        return tuple(said.assessment for said in self.said)


def react_all(
    states: States,
    partition: int,
    inputs: Mapping[bytes, Sequence[Input]],
    *,
    at: datetime,
    methodology: Methodology,
    put_off: PutOff | None = None,
) -> Outcome:
    """Let each entity react once to all its inputs; an entity without inputs gets a tick. Nothing is stored yet.

    An entity whose state would pass MAX_STATE_BYTES in all its pieces takes what still fits, in order, and refuses the rest: Kafka would not take
    the state, and the worker would come back to it for ever.
    """
    changed: dict[bytes, Vertex] = {}
    encoded: dict[bytes, State] = {}
    messages: list[Message] = []
    said: list[Said] = []
    refused: list[Input] = []
    marked: list[bytes] = []
    for key, items in inputs.items():
        before = states.get(partition, key)
        vertex, parts = before, [tuple(items)]
        while parts:
            part = parts.pop()
            reaction = react(vertex, key.decode(), part, at=at, methodology=methodology, put_off=put_off)
            if not reaction.changed:
                continue
            speaks = not part and (reaction.said is not None or bool(reaction.messages))
            state = _encoded(reaction.vertex, at if speaks else None)
            if len(state.value) + reaction.vertex.dossier.size_bytes > MAX_STATE_BYTES:
                middle = len(part) // 2
                if middle:
                    parts += [part[middle:], part[:middle]]
                else:
                    refused += part
                continue
            if speaks:
                marked.append(key)
            vertex = changed[key] = reaction.vertex
            _add(encoded, key, vertex, state)
            messages += reaction.messages
            said += [] if reaction.said is None else [reaction.said]
    return Outcome(changed, encoded, tuple(messages), tuple(said), tuple(refused), tuple(marked))


def _add(encoded: dict[bytes, State], key: bytes, vertex: Vertex, core: State) -> None:
    """Note what is to be written of a state: the reports that are in no piece yet, then the core.

    They count as kept from now on: if they cannot be written, this worker ends, and nothing that it has in memory outlives it.
    """
    dossier = vertex.dossier
    unkept = {} if dossier.kept else {name: report for name, report in dossier.reports.items() if not report.kept}
    dossier.kept = True
    if unkept:
        piece = reports_to_bytes(unkept)
        encoded[piece_key(key, piece)] = State(piece, None)
        encoded.pop(key, None)  # the core comes last
        for report in unkept.values():
            report.keep()
    encoded[key] = core


def _encoded(vertex: Vertex, ticked_at: datetime | None) -> State:
    """A state's core as it goes to the changelog.

    What a tick led to is lost if the worker is cut off before it is said, since no record will be read again: whoever recovers the state
    finds it marked, and due at once.
    """
    kept = vertex if ticked_at is None else structs.replace(vertex, unsaid=True, next_change=ticked_at)
    return State(core_to_bytes(kept), kept.next_change)


def cleared(states: States, partition: int, keys: Iterable[bytes]) -> Outcome:
    """These states without their marks, to be written when all is said: or the next start would say it all again.

    Without those that were read back since, with their mark: their next reaction says what it says again.
    """
    found = {key: vertex for key in keys if (vertex := states.get(partition, key)) is not None and not vertex.unsaid}
    encoded: dict[bytes, State] = {}
    for key, vertex in found.items():
        _add(encoded, key, vertex, _encoded(vertex, None))
    return Outcome(found, encoded, (), ())


def inherited(found: Iterable[Assessment]) -> Outcome:
    """States of vendors of which only is known what an earlier group said last."""
    states = {assessment.vendor.encode(): known_of_old(assessment) for assessment in found}
    return Outcome(states, {key: _encoded(vertex, None) for key, vertex in states.items()}, (), ())


def state_records(outcome: Outcome, changelog: str, partition: int, epoch: int) -> list[OutgoingRecord]:
    """The new states, for the changelog, under the epoch of the partition's owner."""
    return [
        OutgoingRecord(changelog, partition, key, state.value, state_headers(epoch, state.next_change))
        for key, state in outcome.encoded.items()
    ]


def result_records(outcome: Outcome, home: Callable[[bytes], int], *, at: datetime) -> list[OutgoingRecord]:
    """Messages and scores. Of several messages from one vertex to another under one kind, all go: receivers keep the newest."""
    records = []
    for message in outcome.messages:
        key = message.receiver.encode()
        records.append(OutgoingRecord(MESSAGES.name, home(key), key, message_to_bytes(message)))
    time = iso(at)
    for said in outcome.said:
        headers, value = assessment_to_kafka(said.assessment, time, said.json)
        key = said.assessment.vendor.encode()
        records.append(OutgoingRecord(SCORES.name, home(key), key, value, tuple(headers)))
    return records


def forwarded_records(forwarded: Iterable[Forwarded]) -> list[OutgoingRecord]:
    """Events on their way to the partition of their entity, with the time at which Kafka took them first."""
    records = []
    for item in forwarded:
        record, origin = item.record, item.origin
        place = f"{origin.topic}/{origin.partition}/{origin.offset}".encode()
        headers = (*record.headers, (FORWARDED_HEADER, place))
        records.append(
            OutgoingRecord(MESSAGES.name, item.partition, record.key, record.value, headers, timestamp_ms=record.timestamp)
        )
    return records


def rejected_records(rejected: Iterable[Rejected], partitions: int) -> list[OutgoingRecord]:
    """What could not be used: the errors, where it lies, and the (head of the) value."""
    return [
        OutgoingRecord(
            REJECTED.name,
            item.origin.partition % partitions,
            item.record.key if item.record.key is None else item.record.key[:MAX_REJECTED_KEY_BYTES],
            rejection_document(item),
            (("content-type", b"application/json"),),
        )
        for item in rejected
    ]


def rejection_document(item: Rejected) -> bytes:
    """The value of a record of `neutrality.rejected`: JSON; bytes as base64, since a rejected record need not be text."""
    record, origin = item.record, item.origin
    return rejection_value(
        "scoring",
        item.reason,
        item.problems,
        record.value,
        record.headers,
        timestamp_ms=origin.timestamp_ms,
        place=(origin.topic, origin.partition, origin.offset),
    )
