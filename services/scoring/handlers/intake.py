"""From raw records to inputs. Whatever cannot be used is rejected with its reason; nothing raises. Pure.

An event may come by a producer with another partitioner than ours (librdkafka's default is CRC32, ours and Java's is murmur2): its
entity's state and messages are in another partition. It is forwarded there through `neutrality.messages`, as it came, under a header
that names where it lies.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal

from msgspec import Struct

from neutrality.events.cloudevent import EVENT_MODELS, InvalidEvent, Problem, short_type
from neutrality.events.structs import STRUCT_OF, event_from_kafka
from neutrality.model.vertex import Input, Message, Origin, message_from_bytes
from neutrality.topics import FORWARDED_HEADER, MESSAGES
from services.scoring.records import SourceRecord

MESSAGE_LABEL: Final = "message"
_LABELS: Final[Mapping[type, str]] = {Message: MESSAGE_LABEL} | {
    form: short_type(str(model.model_fields["type"].default)) for model in EVENT_MODELS for form in (model, STRUCT_OF[model])
}
TOO_LARGE: Final = (
    "with it, what is known of this entity would pass what one record of the changelog holds; retract or merge claims"
)

Reason = Literal["invalid_event", "invalid_message", "wrong_key", "entity_too_large"]
REASONS: Final[tuple[Reason, ...]] = ("invalid_event", "invalid_message", "wrong_key", "entity_too_large")


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
    kinds: dict[type, int] = {}
    rejected: list[Rejected] = []
    forwarded: list[Forwarded] = []
    for record in records:
        outcome = read_record(topic, partition, record, home)
        if isinstance(outcome, Input):
            key: bytes = record.key  # type: ignore[assignment]  # it was looked at
            known = inputs.get(key)
            if known is None:
                inputs[key] = [outcome]
            else:
                known.append(outcome)
            kind = type(outcome.body)
            kinds[kind] = kinds.get(kind, 0) + 1
        elif isinstance(outcome, Rejected):
            rejected.append(outcome)
        else:
            forwarded.append(outcome)
    return Intake(inputs, {_LABELS[kind]: count for kind, count in kinds.items()}, tuple(rejected), tuple(forwarded))


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
    return _LABELS[type(item.body)]


def read_record(topic: str, partition: int, record: SourceRecord, home: Callable[[bytes], int]) -> Input | Rejected | Forwarded:
    """One record of an input topic or of `neutrality.messages`; an input is for the entity of the record's key."""
    origin = Origin(topic, partition, record.offset, record.timestamp)
    forwarded = False
    if topic == MESSAGES.name:
        forwarded = bool(record.headers) and any(name == FORWARDED_HEADER for name, _ in record.headers)
        if not forwarded:
            return _read_message(record, origin, home)
    try:
        event = event_from_kafka(record.headers, record.value)
    except InvalidEvent as error:
        return Rejected(record, origin, "invalid_event", error.problems)
    key = event.data.subject.encode()
    if record.key != key:
        return _wrong_key(record, origin, event.data.subject)
    at_home = home(key)
    if at_home != partition:
        # a forwarded one that is not at home was put there by somebody else: sending it on could go round for ever
        return _wrong_key(record, origin, event.data.subject) if forwarded else Forwarded(record, origin, at_home)
    return Input(origin, event)


def _read_message(record: SourceRecord, origin: Origin, home: Callable[[bytes], int]) -> Input | Rejected:
    try:
        message = message_from_bytes(record.value)
    except ValueError as error:
        return Rejected(record, origin, "invalid_message", (Problem("", str(error)),))
    key = message.receiver.encode()
    if record.key != key or home(key) != origin.partition:
        return _wrong_key(record, origin, message.receiver)
    return Input(origin, message)


def _wrong_key(record: SourceRecord, origin: Origin, entity: str) -> Rejected:
    detail = f"the record's key must be the raw bytes of the entity id {entity!r}"
    return Rejected(record, origin, "wrong_key", (Problem("/data/subject", detail),))
