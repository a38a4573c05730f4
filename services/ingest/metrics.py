"""Ingest's metrics. Every series is there from the start, with the value 0."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from neutrality.events.cloudevent import EVENT_TYPES, Event, short_type
from neutrality.telemetry.metrics import LATENCY_BUCKETS_S

Reason = Literal[
    "invalid_event",
    "invalid_json",
    "too_large",
    "unsupported_media_type",
    "body_not_received",
    "bad_compression",
    "conflict",
    "unauthorized",
    "forbidden",
    "rate_limited",
    "idempotency_key",
]
BrokerErrorKind = Literal["unavailable", "overloaded", "record_too_large", "other"]
REASONS: Final[tuple[str, ...]] = get_args(Reason)
BROKER_ERROR_KINDS: Final[tuple[str, ...]] = get_args(BrokerErrorKind)


class IngestMetrics:
    """Counts what ingest does, in the registry handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make every series."""
        self._accepted = Counter(
            "ingest_events_accepted_total", "Events that all in-sync replicas have.", ["type"], registry=registry
        )
        self._duplicates = Counter(
            "ingest_events_duplicate_total", "Events that Kafka had already, with the same content.", ["type"], registry=registry
        )
        self._rejected = Counter(
            "ingest_events_rejected_total",
            "Events in refused requests; a request that cannot be read counts as one.",
            ["reason"],
            registry=registry,
        )
        self._publish = Histogram(
            "ingest_publish_seconds",
            "From the validated request to Kafka's acknowledgement or refusal.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self._broker_errors = Counter(
            "ingest_broker_errors_total", "Requests that Kafka did not acknowledge.", ["kind"], registry=registry
        )
        self._moved = Counter(
            "ingest_events_moved_total", "Events said again under another entity, and corrections for that.", registry=registry
        )
        self._waiting = Gauge("ingest_ids_to_move", "Ids whose claims wait to be moved to another entity.", registry=registry)
        self._kept = Counter("ingest_rejections_kept_total", "Rejected inputs that were to be kept.", ["kept"], registry=registry)
        for kept in ("yes", "no"):
            self._kept.labels(kept)
        self._keys_file_broken = Gauge(
            "ingest_api_keys_file_broken",
            "1 while the file of publishers cannot be read and the last good one holds.",
            registry=registry,
        )
        self._in_flight = Gauge("ingest_requests_in_flight", "Requests with events being worked on.", registry=registry)
        for event_type in EVENT_TYPES:
            self._accepted.labels(short_type(event_type))
            self._duplicates.labels(short_type(event_type))
        for reason in REASONS:
            self._rejected.labels(reason)
        for kind in BROKER_ERROR_KINDS:
            self._broker_errors.labels(kind)

    def accepted(self, event: Event, *, duplicate: bool) -> None:
        """An event is in Kafka; a duplicate was so already."""
        (self._duplicates if duplicate else self._accepted).labels(short_type(event.type)).inc()

    def rejected(self, reason: Reason, events: int = 1) -> None:
        """A request was refused."""
        self._rejected.labels(reason).inc(events)

    def published(self, seconds: float) -> None:
        """Kafka has answered for a request."""
        self._publish.observe(seconds)

    def broker_failed(self, kind: BrokerErrorKind) -> None:
        """Kafka did not take a request."""
        self._broker_errors.labels(kind).inc()

    def moved(self, events: int) -> None:
        """Events were moved to the entity that is meant."""
        self._moved.inc(events)

    def waiting(self, ids: int) -> None:
        """So many ids wait."""
        self._waiting.set(ids)

    def kept(self, *, yes: bool) -> None:
        """A rejected input was kept, or could not be."""
        self._kept.labels("yes" if yes else "no").inc()

    def keys_file_broken(self, *, yes: bool) -> None:
        """The file of publishers was read, or could not be."""
        self._keys_file_broken.set(int(yes))

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """While a request is worked on."""
        with self._in_flight.track_inprogress():
            yield
