"""Reads `neutrality.scores` as any subscriber does: the newest assessment of each vendor, once or as it goes on.

A record that is no assessment is passed over: it is scoring's to answer for, and must not stop a reader.
"""

import threading
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from neutrality.broker.access import Where
from neutrality.broker.errors import BrokerError, BrokerUnavailable
from neutrality.broker.kafka import KafkaReader
from neutrality.broker.port import ConsumedRecord, RecordReader, TopicPartition
from neutrality.cli.exits import Exit, end
from neutrality.events.assessment import Assessment, parse_assessment
from neutrality.topics import SCORES

_POLL: Final = timedelta(milliseconds=200)
_LONGEST_SILENCE: Final = timedelta(seconds=10)


def newest_assessments(bootstrap_servers: Where) -> dict[str, Assessment]:
    """The newest assessment of each vendor, read to the topic's end. Ends the command if Kafka cannot be reached."""
    try:
        reader = KafkaReader(bootstrap_servers, (SCORES.name,), client_id="neutrality-cli")
        try:
            return read_to_end(reader)
        finally:
            reader.close()
    except BrokerError as error:
        end(f"Kafka at {bootstrap_servers} cannot be read: {error}; is `neutrality up` running?", Exit.UNREACHABLE)


def read_to_end(reader: RecordReader) -> dict[str, Assessment]:
    """Read up to where the topic ended when this was called.

    Raises:
        BrokerUnavailable: Kafka does not answer.
    """
    begins, ends = reader.beginning_offsets(), reader.end_offsets()
    waiting: set[TopicPartition] = {partition for partition, stop in ends.items() if stop > begins.get(partition, 0)}
    newest: dict[str, Assessment] = {}
    silent = timedelta(0)
    while waiting:
        records = reader.poll(_POLL)
        silent = timedelta(0) if records else silent + _POLL
        if silent > _LONGEST_SILENCE:
            raise BrokerUnavailable(
                f"nothing came for {_LONGEST_SILENCE.total_seconds():g} s, {len(waiting)} partitions are unread"
            )
        for record in records:
            place = record.topic, record.partition
            if record.offset + 1 >= ends.get(place, 0):
                waiting.discard(place)
            keep_newest(newest, record)
    return newest


def keep_newest(newest: dict[str, Assessment], record: ConsumedRecord) -> Assessment | None:
    """Take in one record; the assessment if it is newer than what was known."""
    if record.value is None:
        return None
    found = parse_assessment(record.value)
    if not isinstance(found, Assessment):
        return None
    known = newest.get(found.vendor)
    if known is not None and known.version >= found.version:
        return None
    newest[found.vendor] = found
    return found


class TopicFollower:
    """A thread that hands every record of some topics to `take`, until it is closed. Kafka being away is waited out."""

    def __init__(self, reader: RecordReader, take: Callable[[ConsumedRecord], None], name: str) -> None:
        """Starts at once."""
        self._reader = reader
        self._take = take
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and the connection."""
        self._stop.set()
        self._thread.join(timeout=10.0)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                _hand_over(self._reader.poll(_POLL), self._take)
        finally:
            self._reader.close()


def _hand_over(records: Iterable[ConsumedRecord], take: Callable[[ConsumedRecord], None]) -> None:
    for record in records:
        take(record)
