"""What ingest does with events that are valid: one record each, all acknowledged, or an error with a fate.

An `Intake` is made by main (or a test) for the process's life. Where an error ends a batch, any of its events may have been written: the
sender sends all again, and the model counts an event once by its source and id.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from neutrality.broker.port import (
    BrokerError,
    BrokerUnavailable,
    OutgoingRecord,
    Overloaded,
    PublishedRecord,
    RecordPublisher,
    RecordTooLarge,
)
from neutrality.events.cloudevent import MAX_EVENT_BYTES, Event, InvalidEvent, Problem, event_to_kafka, topic_kind
from neutrality.topics import CONTRACTS, OWNERSHIP, Topic
from services.ingest.metrics import BrokerErrorKind, IngestMetrics

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_TOPICS: Final[dict[str, Topic]] = {"ownership": OWNERSHIP, "contracts": CONTRACTS}
INPUT_TOPICS: Final = tuple(_TOPICS.values())

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event and where it lies."""

    event: Event
    record: PublishedRecord


def to_record(event: Event, accepted_at: datetime) -> OutgoingRecord:
    """The record of an event; Kafka's CreateTime is when it was accepted.

    Raises:
        InvalidEvent: its data is larger than readers take.
    """
    headers, value = event_to_kafka(event)
    if len(value) > MAX_EVENT_BYTES:
        raise InvalidEvent([Problem("/data", f"{len(value)} bytes; at most {MAX_EVENT_BYTES}")])
    return OutgoingRecord(
        topic=_TOPICS[topic_kind(event)].name,
        key=event.key,
        value=value,
        headers=tuple(headers),
        timestamp_ms=(accepted_at - _EPOCH) // _MILLISECOND,
    )


class Intake:
    """Writes events to Kafka, counts them, and says in the log when Kafka stops and starts to answer."""

    def __init__(
        self,
        publisher: RecordPublisher,
        metrics: IngestMetrics,
        *,
        clock: Callable[[], datetime],
        stopwatch_s: Callable[[], float],
    ) -> None:
        """`clock` gives aware datetimes; `stopwatch_s` is monotonic."""
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._stopwatch_s = stopwatch_s
        self._answers = True

    def accepted_at(self) -> datetime:
        """The time that events accepted now carry."""
        return self._clock()

    async def publish(self, events: Sequence[Event], records: Sequence[OutgoingRecord]) -> tuple[Accepted, ...]:
        """Write the records of events; returns once all in-sync replicas have every one.

        Raises:
            BrokerError: see its kinds; any of the records may have been written.
        """
        started_s = self._stopwatch_s()
        try:
            published = await self._publisher.publish_all(records)
        except BrokerError as error:
            self._metrics.broker_failed(_kind(error))
            self._note(answers=not isinstance(error, BrokerUnavailable), reason=str(error))
            raise
        finally:
            self._metrics.published(self._stopwatch_s() - started_s)
        self._note(answers=True)
        for event in events:
            self._metrics.accepted(event)
        return tuple(Accepted(event, record) for event, record in zip(events, published, strict=True))

    async def publish_each(
        self, events: Sequence[Event], records: Sequence[OutgoingRecord]
    ) -> tuple[Accepted | BrokerError, ...]:
        """Write the records of events, and tell what became of each; returns once all in-sync replicas have them, or the deadline is over.

        Raises:
            Overloaded: too much is on its way; none was sent.
        """
        started_s = self._stopwatch_s()
        try:
            outcomes = await self._publisher.publish_each(records)
        finally:
            self._metrics.published(self._stopwatch_s() - started_s)
        errors = [outcome for outcome in outcomes if isinstance(outcome, BrokerError)]
        away = next((error for error in errors if isinstance(error, BrokerUnavailable)), None)
        self._note(answers=away is None, reason=str(away))
        if errors:
            self._metrics.broker_failed(_kind(errors[0]))
        found: list[Accepted | BrokerError] = []
        for event, outcome in zip(events, outcomes, strict=True):
            if isinstance(outcome, PublishedRecord):
                self._metrics.accepted(event)
            found.append(Accepted(event, outcome) if isinstance(outcome, PublishedRecord) else outcome)
        return tuple(found)

    def record_of(self, event: Event) -> OutgoingRecord:
        """The record of an event that is accepted now. Raises InvalidEvent if it is too large."""
        return to_record(event, self._clock())

    def refused(self, events: int) -> None:
        """Some events were invalid."""
        self._metrics.rejected("invalid_event", events)

    async def is_reachable(self) -> bool:
        """Whether Kafka answers now."""
        return await self._publisher.is_reachable()

    def _note(self, *, answers: bool, reason: str = "") -> None:
        """Log a change, and only a change."""
        if answers == self._answers:
            return
        self._answers = answers
        if answers:
            _log.info("kafka_answers_again")
        else:
            _log.error("kafka_does_not_answer", reason=reason)


def _kind(error: BrokerError) -> BrokerErrorKind:
    match error:
        case BrokerUnavailable():
            return "unavailable"
        case Overloaded():
            return "overloaded"
        case RecordTooLarge():
            return "record_too_large"
        case _:
            return "other"
