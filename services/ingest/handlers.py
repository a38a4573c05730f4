"""What ingest does with events that are valid: one record each, all acknowledged, or an error with a fate.

An `Intake` is made by main (or a test) for the process's life. Where an error ends a batch, any of its events may have been written: the
sender sends all again, and the model counts an event once by its source and id.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
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
from neutrality.events.cloudevent import (
    MAX_EVENT_BYTES,
    Event,
    InvalidEvent,
    Problem,
    event_from_kafka,
    event_to_kafka,
    topic_kind,
)
from neutrality.identity.naming import NAMED_HEADER, Named, named_from_headers, named_to_header
from neutrality.topics import CONTRACTS, OWNERSHIP, Topic
from services.ingest.identities import Identities
from services.ingest.metrics import BrokerErrorKind, IngestMetrics
from services.ingest.received import Known, OwnWrites, Received, content_of, name_of, place_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
NOTHING_ELSE: Final[Named] = {}
_TOPICS: Final[dict[str, Topic]] = {"ownership": OWNERSHIP, "contracts": CONTRACTS}
INPUT_TOPICS: Final = tuple(_TOPICS.values())

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Accepted:
    """An event and where it lies. `duplicate`: it lay there already, with the same content, and was not written again."""

    event: Event
    record: PublishedRecord
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """An event whose source and id are those of another content; `record` is where that lies, if it does already. It was not written."""

    event: Event
    record: PublishedRecord | None


Outcome = Accepted | Conflict | BrokerError


class EventConflicts(ValueError):  # noqa: N818 - named for what it is
    """Some of a batch's events conflict, so that none was written; by their place in the batch, from 0."""

    def __init__(self, conflicts: Mapping[int, Conflict]) -> None:
        """Keep them."""
        self.conflicts = dict(conflicts)
        super().__init__(f"{len(self.conflicts)} events conflict with others of their source and id")


def to_record(event: Event, accepted_at: datetime, named: Named = NOTHING_ELSE) -> OutgoingRecord:
    """The record of an event; Kafka's CreateTime is when it was accepted. `named`: what it named at first.

    Raises:
        InvalidEvent: its data is larger than readers take.
    """
    headers, value = event_to_kafka(event)
    if named:
        headers.append((NAMED_HEADER, named_to_header(named)))
    if len(value) > MAX_EVENT_BYTES:
        raise InvalidEvent([Problem("/data", f"{len(value)} bytes; at most {MAX_EVENT_BYTES}")])
    return OutgoingRecord(
        topic=_TOPICS[topic_kind(event)].name,
        key=event.key,
        value=value,
        headers=tuple(headers),
        timestamp_ms=(accepted_at - _EPOCH) // _MILLISECOND,
    )


class _OnTheWay:
    """An event that is being written, for those who repeat it meanwhile."""

    __slots__ = ("answer", "content", "event", "record")

    def __init__(
        self, event: Event, record: OutgoingRecord, content: bytes, answer: "asyncio.Future[PublishedRecord | BrokerError]"
    ) -> None:
        self.event, self.record, self.content, self.answer = event, record, content, answer

    def outcome_of(self, event: Event, content: bytes, written: PublishedRecord | BrokerError) -> Outcome:
        """What becomes of a repeat."""
        if isinstance(written, BrokerError):
            return written
        return Accepted(event, written, duplicate=True) if content == self.content else Conflict(event, written)


class _Sorted:
    """Events of one call by what is to be done: outcomes known already, repeats of what is on its way, and new ones, by place or name."""

    __slots__ = ("events", "known", "new", "records", "repeats")

    def __init__(self, events: Sequence[Event], records: Sequence[OutgoingRecord]) -> None:
        self.events, self.records = events, records
        self.known: dict[int, Outcome] = {}
        self.repeats: dict[int, tuple[bytes, bytes]] = {}
        self.new: dict[bytes, tuple[int, bytes]] = {}


class Intake:
    """Writes events to Kafka that it has not had before, counts them, and says in the log when Kafka stops and starts to answer."""

    def __init__(
        self,
        publisher: RecordPublisher,
        received: Received,
        own: OwnWrites,
        identities: Identities,
        metrics: IngestMetrics,
        *,
        clock: Callable[[], datetime],
        stopwatch_s: Callable[[], float],
    ) -> None:
        """`clock` gives aware datetimes; `stopwatch_s` is monotonic."""
        self._publisher = publisher
        self._received, self._own, self._identities = received, own, identities
        self._metrics = metrics
        self._clock = clock
        self._stopwatch_s = stopwatch_s
        self._on_the_way: dict[bytes, _OnTheWay] = {}
        self._answers = True

    async def publish(self, events: Sequence[Event], records: Sequence[OutgoingRecord]) -> tuple[Accepted, ...]:
        """Write the records of events; returns once all in-sync replicas have every one.

        Raises:
            EventConflicts: some have the source and id of another content; none was written.
            BrokerError: see its kinds; any of the records may have been written.
        """
        sorted_ = self._sort(events, records)
        if conflicts := self._conflicts(sorted_):
            self._metrics.rejected("conflict", len(events))
            raise EventConflicts(conflicts)
        accepted = []
        for outcome in await self._write(sorted_):
            if isinstance(outcome, BrokerError):
                raise outcome
            if isinstance(outcome, Accepted):  # conflicts were looked for, and nobody was let in since
                accepted.append(outcome)
        return tuple(accepted)

    async def publish_each(self, events: Sequence[Event], records: Sequence[OutgoingRecord]) -> tuple[Outcome, ...]:
        """Write the records of events, and tell what became of each; returns once all in-sync replicas have them, or the deadline is over.

        Raises:
            Overloaded: too much is on its way; none was sent.
        """
        outcomes = await self._write(self._sort(events, records))
        if conflicts := sum(isinstance(outcome, Conflict) for outcome in outcomes):
            self._metrics.rejected("conflict", conflicts)
        return outcomes

    def _sort(self, events: Sequence[Event], records: Sequence[OutgoingRecord]) -> "_Sorted":
        """Tell what was received before, what is on its way, and what is new."""
        found = _Sorted(events, records)
        names = [name_of(event) for event in events]
        for place, (name, known) in enumerate(zip(names, self._received.look_up(names), strict=True)):
            event = events[place]
            content = content_of(event, _value_as_it_came(event, records[place]))
            if known is not None:
                same = known.same(content)
                found.known[place] = (
                    Accepted(event, place_of(known), duplicate=True) if same else Conflict(event, place_of(known))
                )
            elif name in found.new or name in self._on_the_way:
                found.repeats[place] = name, content
            else:
                found.new[name] = place, content
        return found

    def _conflicts(self, sorted_: "_Sorted") -> dict[int, Conflict]:
        """Those that are known before anything is written."""
        found = {place: outcome for place, outcome in sorted_.known.items() if isinstance(outcome, Conflict)}
        for place, (name, content) in sorted_.repeats.items():
            sent = self._on_the_way.get(name)
            if content != (sorted_.new[name][1] if sent is None else sent.content):
                found[place] = Conflict(sorted_.events[place], None)
        return found

    async def _write(self, sorted_: "_Sorted") -> tuple[Outcome, ...]:
        loop = asyncio.get_running_loop()
        waited_for = {name: self._on_the_way[name] for name, _ in sorted_.repeats.values() if name in self._on_the_way}
        new = {
            name: _OnTheWay(sorted_.events[place], sorted_.records[place], content, loop.create_future())
            for name, (place, content) in sorted_.new.items()
        }
        self._on_the_way |= new
        outcomes = dict(sorted_.known)
        try:
            places = [place for place, _ in sorted_.new.values()]
            published = await self._publish([sorted_.records[place] for place in places])
            for place, written in zip(places, published, strict=True):
                outcomes[place] = written if isinstance(written, BrokerError) else Accepted(sorted_.events[place], written)
            self._keep(new, published)
        except BaseException:
            self._keep(new, [BrokerError("it was not sent")] * len(new))
            raise
        for place, (name, content) in sorted_.repeats.items():
            first = waited_for.get(name) or new[name]
            outcomes[place] = first.outcome_of(sorted_.events[place], content, await first.answer)
        for outcome in outcomes.values():
            if isinstance(outcome, Accepted):
                self._metrics.accepted(outcome.event, duplicate=outcome.duplicate)
        return tuple(outcomes[place] for place in range(len(sorted_.events)))

    async def _publish(self, records: Sequence[OutgoingRecord]) -> tuple[PublishedRecord | BrokerError, ...]:
        started_s = self._stopwatch_s()
        try:
            outcomes = await self._publisher.publish_each(records)
        except BrokerError as error:
            self._tell_of([error])
            raise
        finally:
            self._metrics.published(self._stopwatch_s() - started_s)
        self._tell_of([outcome for outcome in outcomes if isinstance(outcome, BrokerError)])
        return outcomes

    def _tell_of(self, errors: Sequence[BrokerError]) -> None:
        away = next((error for error in errors if isinstance(error, BrokerUnavailable)), None)
        self._note(answers=away is None, reason=str(away))
        if errors:
            self._metrics.broker_failed(_kind(errors[0]))

    def _keep(self, new: Mapping[bytes, "_OnTheWay"], published: Sequence[PublishedRecord | BrokerError]) -> None:
        """Remember what Kafka has, and let those go on who wait for it."""
        found = {
            name: Known(sent.content, outcome.topic, outcome.partition, outcome.offset)
            for (name, sent), outcome in zip(new.items(), published, strict=True)
            if isinstance(outcome, PublishedRecord)
        }
        self._identities.learn([_as_written(sent.event, sent.record) for name, sent in new.items() if name in found])
        self._received.keep(found, {})
        for known in found.values():
            self._own.add(known)
        for (name, sent), outcome in zip(new.items(), published, strict=True):
            self._on_the_way.pop(name, None)
            if not sent.answer.done():
                sent.answer.set_result(outcome)

    def record_of(self, event: Event) -> OutgoingRecord:
        """The record of an event that is accepted now, under canonical ids.

        Raises:
            InvalidEvent: it is too large, or says under these ids what no event can.
        """
        if event.revision is not None:
            raise InvalidEvent([Problem("/revision", "is set by ingest alone; leave it out")])
        renamed = self._identities.resolve(event)
        return to_record(renamed.event, self._clock(), renamed.named)

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


def _is_renamed(record: OutgoingRecord) -> bool:
    return record.headers[-1][0] == NAMED_HEADER  # to_record puts it last


def _value_as_it_came(event: Event, record: OutgoingRecord) -> bytes:
    """What tells contents apart: the event as its source sent it, whatever was known of identities then."""
    return event_to_kafka(event)[1] if _is_renamed(record) else record.value


def _as_written(event: Event, record: OutgoingRecord) -> tuple[Event, Named]:
    if not _is_renamed(record):
        return event, NOTHING_ELSE
    return event_from_kafka(record.headers, record.value), named_from_headers(record.headers)


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
