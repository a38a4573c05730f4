"""From raw records to inputs. Whatever cannot be used is rejected with its reason; nothing raises. Pure.

An event may come by a producer with another partitioner than ours (librdkafka's default is CRC32, ours and Java's is murmur2): its
entity's state and messages are in another partition. It is forwarded there through `neutrality.messages`, as it came, under a header
that names where it lies.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from msgspec import Struct

from neutrality.events.cloudevent import EVENT_TYPES, InvalidEvent, Problem, short_type
from neutrality.events.structs import event_and_json_from_kafka
from neutrality.model.vertex import Input, Message, Origin, message_from_bytes
from neutrality.topics import FORWARDED_HEADER, MESSAGES
from services.scoring.records import SourceRecord

MESSAGE_LABEL: Final = "message"
_LABELS: Final = {event_type: short_type(event_type) for event_type in EVENT_TYPES}
TOO_LARGE: Final = (
    "with it, what is known of this entity would pass what one record of the changelog holds; retract or merge claims"
)

Reason = Literal["invalid_event", "invalid_message", "wrong_key", "entity_too_large"]
REASONS: Final[tuple[Reason, ...]] = ("invalid_event", "invalid_message", "wrong_key", "entity_too_large")


class Accepted(Struct, frozen=True, gc=False):
    """An input for the entity of this key; `label` is the metric's."""

    key: bytes
    item: Input
    label: str


class Rejected(Struct, frozen=True, gc=False):
    """A record that cannot be used, where it lies, and why."""

    record: SourceRecord
    origin: Origin
    reason: Reason
    problems: tuple[Problem, ...]


class Forwarded(Struct, frozen=True, gc=False):
    """An event that lies in another partition than its entity; `partition` is the entity's."""

    record: SourceRecord
    origin: Origin
    partition: int


@dataclass(frozen=True, slots=True)
class Intake:
    """A batch, read: inputs per key in offset order, and the rest."""

    inputs: dict[bytes, list[Input]]
    labels: dict[str, int]
    rejected: tuple[Rejected, ...]
    forwarded: tuple[Forwarded, ...]


def read_batch(topic: str, partition: int, records: Iterable[SourceRecord], home: Callable[[bytes], int]) -> Intake:
    """Sort a batch of one partition of a topic by entity; `home` tells an entity's partition by its key."""
    inputs: dict[bytes, list[Input]] = {}
    labels: dict[str, int] = {}
    rejected: list[Rejected] = []
    forwarded: list[Forwarded] = []
    for record in records:
        outcome = read_record(topic, partition, record, home)
        if isinstance(outcome, Accepted):
            known = inputs.get(outcome.key)
            if known is None:
                known = inputs[outcome.key] = []
            known.append(outcome.item)
            labels[outcome.label] = labels.get(outcome.label, 0) + 1
        elif isinstance(outcome, Rejected):
            rejected.append(outcome)
        else:
            forwarded.append(outcome)
    return Intake(inputs, labels, tuple(rejected), tuple(forwarded))


def without_refused(intake: Intake, records: Iterable[SourceRecord], refused: Iterable[Input]) -> Intake:
    """The intake with these inputs rejected after all: their entity is at its bound. `records` are those of the same batch."""
    refused = tuple(refused)
    if not refused:
        return intake
    by_offset = {record.offset: record for record in records}
    labels, rejected = dict(intake.labels), list(intake.rejected)
    for item in refused:
        labels[label_of(item)] -= 1
        record = by_offset[item.origin.offset]
        rejected.append(Rejected(record, item.origin, "entity_too_large", (Problem("", TOO_LARGE),)))
    return replace(intake, labels=labels, rejected=tuple(rejected))


def label_of(item: Input) -> str:
    """The metric's label of an input."""
    return MESSAGE_LABEL if isinstance(item.body, Message) else _LABELS[item.body.type]


def read_record(
    topic: str, partition: int, record: SourceRecord, home: Callable[[bytes], int]
) -> Accepted | Rejected | Forwarded:
    """One record of an input topic or of `neutrality.messages`."""
    origin = Origin(topic, partition, record.offset, record.timestamp)
    forwarded = False
    if topic == MESSAGES.name:
        forwarded = bool(record.headers) and any(name == FORWARDED_HEADER for name, _ in record.headers)
        if not forwarded:
            return _read_message(record, origin, home)
    try:
        event, json = event_and_json_from_kafka(record.headers, record.value)
    except InvalidEvent as error:
        return Rejected(record, origin, "invalid_event", error.problems)
    key = event.data.subject.encode()
    if record.key != key:
        return _wrong_key(record, origin, event.data.subject)
    at_home = home(key)
    if at_home != partition:
        # a forwarded one that is not at home was put there by somebody else: sending it on could go round for ever
        return _wrong_key(record, origin, event.data.subject) if forwarded else Forwarded(record, origin, at_home)
    return Accepted(key, Input(origin, event, json), _LABELS[event.type])


def _read_message(record: SourceRecord, origin: Origin, home: Callable[[bytes], int]) -> Accepted | Rejected:
    try:
        message = message_from_bytes(record.value)
    except ValueError as error:
        return Rejected(record, origin, "invalid_message", (Problem("", str(error)),))
    key = message.receiver.encode()
    if record.key != key or home(key) != origin.partition:
        return _wrong_key(record, origin, message.receiver)
    return Accepted(key, Input(origin, message), MESSAGE_LABEL)


def _wrong_key(record: SourceRecord, origin: Origin, entity: str) -> Rejected:
    detail = f"the record's key must be the raw bytes of the entity id {entity!r}"
    return Rejected(record, origin, "wrong_key", (Problem("/data/subject", detail),))
