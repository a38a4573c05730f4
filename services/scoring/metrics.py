"""Scoring's metrics, on a registry that is given. Faust's own exporter is not used: its names and labels follow no convention."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from neutrality.events.cloudevent import EVENT_TYPES, short_type
from neutrality.telemetry.metrics import LATENCY_BUCKETS_S
from services.scoring.handlers.intake import MESSAGE_LABEL, REASONS

BATCH_BUCKETS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class ScoringMetrics:
    """One instance a worker; every series is there from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register all series."""
        self.events_applied = Counter(
            "scoring_events_applied_total", "Records applied to vertices, by kind.", ["type"], registry=registry
        )
        self.records_rejected = Counter(
            "scoring_records_rejected_total", "Records sent to neutrality.rejected, by reason.", ["reason"], registry=registry
        )
        self.records_forwarded = Counter(
            "scoring_records_forwarded_total", "Events forwarded to the partition of their entity.", registry=registry
        )
        self.messages_sent = Counter("scoring_messages_sent_total", "Messages sent from vertex to vertex.", registry=registry)
        self.assessments_published = Counter(
            "scoring_assessments_published_total", "Assessments that Kafka has taken.", registry=registry
        )
        self.rereads = Counter(
            "scoring_rereads_total",
            "Times that the log was read again because records were dropped on the way.",
            registry=registry,
        )
        self.stale_refused = Counter(
            "scoring_stale_states_refused_total",
            "Records of the changelog that a worker wrote whose time was over, refused in replay.",
            registry=registry,
        )
        self.stale_scores = Counter(
            "scoring_stale_scores_total",
            "Scores that a worker wrote late over newer ones, which were then said again.",
            registry=registry,
        )
        self.ticks = Counter("scoring_ticks_total", "Vertices looked at because their time had come.", registry=registry)
        self.event_to_score = Histogram(
            "scoring_event_to_score_seconds",
            "From Kafka's taking the event that caused an assessment to Kafka's taking the assessment.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.react = Histogram(
            "scoring_react_seconds",
            "Reading a batch and letting its vertices react.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.write = Histogram(
            "scoring_write_seconds",
            "From the first write of a batch to the last acknowledgement.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.batch = Histogram("scoring_batch_records", "Records in a batch.", buckets=BATCH_BUCKETS, registry=registry)
        self.vertices = Gauge("scoring_vertices", "Vertices held by this worker.", registry=registry)
        self.lag = Gauge(
            "scoring_lag_records", "Records written but not yet applied, in this worker's partitions.", registry=registry
        )
        self.rebalances = Counter(
            "scoring_rebalances_total", "Times that this worker was assigned partitions anew.", registry=registry
        )
        self.broker_errors = Counter(
            "scoring_broker_errors_total",
            "Attempts that Kafka did not answer: at the start, and when looking for late scores.",
            registry=registry,
        )
        self.partitions = Gauge("scoring_partitions", "Partitions of each topic that this worker holds.", registry=registry)
        self.ready = Gauge("scoring_ready", "1 while the worker holds its partitions and applies records.", registry=registry)
        for event_type in EVENT_TYPES:
            self.events_applied.labels(short_type(event_type))
        self.events_applied.labels(MESSAGE_LABEL)
        for reason in REASONS:
            self.records_rejected.labels(reason)
