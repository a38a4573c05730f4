"""Reads the two input topics as scoring does: all valid events, each with the time at which Kafka took it.

An event counts wherever it lies: scoring forwards it to its entity's partition. What scoring rejects is passed over, and counted.
"""

from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Final, Literal

from neutrality.broker.errors import BrokerUnavailable
from neutrality.broker.port import ConsumedRecord, RecordReader
from neutrality.events.cloudevent import InvalidEvent, event_from_kafka
from neutrality.model.local import TimedEvent

Reason = Literal["invalid_event", "wrong_key"]
REASONS: Final[tuple[Reason, ...]] = ("invalid_event", "wrong_key")
_POLL: Final = timedelta(milliseconds=200)
_LONGEST_SILENCE: Final = timedelta(seconds=10)


def read_to_end(reader: RecordReader) -> Iterator[ConsumedRecord]:
    """All records up to where the topics ended when this was called, and perhaps some more.

    Raises:
        BrokerUnavailable: Kafka does not answer, or nothing comes though something is there.
    """
    ends = reader.end_offsets()
    silent = timedelta(0)
    while unread := sum(positions_to_go(reader, ends)):
        records = reader.poll(_POLL)
        silent = timedelta(0) if records else silent + _POLL
        if silent > _LONGEST_SILENCE:
            raise BrokerUnavailable(f"nothing came for {_LONGEST_SILENCE.total_seconds():g} s, {unread} records are unread")
        yield from records


def positions_to_go(reader: RecordReader, ends: dict[tuple[str, int], int]) -> Iterator[int]:
    """Records between where a reader is and `ends`, a number a partition. Raises BrokerUnavailable."""
    positions = reader.positions()
    return (max(0, end - positions[partition]) for partition, end in ends.items())


def event_of(record: ConsumedRecord) -> TimedEvent | Reason:
    """The event of a record of an input topic, or why scoring rejects it."""
    try:
        event = event_from_kafka(record.headers, record.value)
    except InvalidEvent:
        return "invalid_event"
    return (event, record.timestamp_ms) if record.key == event.key else "wrong_key"


class EventLog:
    """The input topics, read further and further. `rejected` counts what scoring does not take, by reason."""

    def __init__(self, reader: RecordReader) -> None:
        """Read from where the reader is; `close` closes it."""
        self._reader = reader
        self.rejected: dict[Reason, int] = dict.fromkeys(REASONS, 0)

    def read_new(self) -> list[TimedEvent]:
        """The events since the last time, up to the present end. Raises BrokerUnavailable."""
        events: list[TimedEvent] = []
        for record in read_to_end(self._reader):
            found = event_of(record)
            if isinstance(found, str):
                self.rejected[found] += 1
            else:
                events.append(found)
        return events

    def lag(self) -> int:
        """Records that were written since. Raises BrokerUnavailable."""
        return sum(positions_to_go(self._reader, self._reader.end_offsets()))

    def close(self) -> None:
        """Let go of the connection."""
        self._reader.close()


def records_of(reader: RecordReader, entities: Collection[str]) -> list[ConsumedRecord]:
    """The valid input records about some entities, as they lie in the log. Raises BrokerUnavailable."""
    keys = {entity.encode() for entity in entities}
    return [record for record in read_to_end(reader) if record.key in keys and not isinstance(event_of(record), str)]
