"""Metrics of alerts. Every series is there from the start; no label names a lab, whose subscriptions are its own."""

from typing import get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from neutrality.events.alert import RULES
from neutrality.telemetry.metrics import LATENCY_BUCKETS_S
from services.alerts.domain.attempts import Fault
from services.alerts.domain.endpoint import Kind

CHANNELS = ("kafka", "sse", *get_args(Kind))


class AlertsMetrics:
    """The series, in the registry handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make every series."""
        self.read = Counter("alerts_assessments_read_total", "Assessments taken in.", registry=registry)
        self.unreadable = Counter(
            "alerts_unreadable_records_total", "Records of neutrality.scores that are no assessment.", registry=registry
        )
        self.raised = Counter("alerts_raised_total", "Alerts decided on.", ["rule"], registry=registry)
        self.unsent = Counter(
            "alerts_unsent_total", "Alerts that were decided on and not sent at once.", ["outcome"], registry=registry
        )
        for outcome in ("held", "inhibited", "silenced", "minor", "cancelled"):
            self.unsent.labels(outcome)
        self.timers = Counter("alerts_timers_total", "Timers worked off.", registry=registry)
        self.delivered = Counter("alerts_delivered_total", "Alerts handed over.", ["channel"], registry=registry)
        self.outbox_depth = Gauge("alerts_outbox_depth", "Alerts that Kafka does not have yet.", registry=registry)
        self.outbox_oldest = Gauge(
            "alerts_outbox_oldest_seconds",
            "Age of the oldest alert that Kafka does not have yet; 0 if there is none.",
            registry=registry,
        )
        self.lag = Gauge(
            "alerts_lag_records", "Records of neutrality.scores that no instance has taken in yet.", registry=registry
        )
        self.database_revision = Gauge(
            "alerts_database_revision", "1: the revision of the database's schema.", ["revision"], registry=registry
        )
        self.database_revision.labels("unknown")
        self.database_errors = Counter(
            "alerts_database_errors_total",
            "Statements and connections that the database refused or did not answer.",
            registry=registry,
        )
        self.event_to_alert = Histogram(
            "alerts_event_to_alert_seconds",
            "From Kafka's taking of the input event to its acknowledgement of the alert, of those that are sent at once.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.subscribers = Gauge("alerts_stream_subscribers", "Open streams.", registry=registry)
        self.broker_errors = Counter("alerts_broker_errors_total", "Attempts that Kafka did not answer.", registry=registry)
        self.refused = Counter("alerts_requests_refused_total", "Requests not let in.", ["reason"], registry=registry)
        for reason in ("unauthorized", "other-lab", "out-of-scope"):
            self.refused.labels(reason)
        self.api_keys_file_broken = Gauge(
            "alerts_api_keys_file_broken", "1: the file of labs' keys cannot be read; the last good one holds.", registry=registry
        )
        self.endpoint_attempts = Counter(
            "alerts_endpoint_attempts_total",
            "Attempts to deliver to endpoints, by status class (HTTP's or SMTP's) or fault.",
            ["kind", "outcome"],
            registry=registry,
        )
        self.endpoints_disabled = Counter(
            "alerts_endpoints_disabled_total", "Endpoints that were disabled after failures.", ["kind"], registry=registry
        )
        for kind in get_args(Kind):
            self.endpoints_disabled.labels(kind)
            for outcome in ("2xx", "3xx", "4xx", "5xx", *get_args(Fault)):
                self.endpoint_attempts.labels(kind, outcome)
        for rule in RULES:
            self.raised.labels(rule)
        for channel in CHANNELS:
            self.delivered.labels(channel)
