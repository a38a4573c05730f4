"""Metrics of the board. Every series is there from the start; no label names a lab or a vendor."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from neutrality.telemetry.metrics import LATENCY_BUCKETS_S

REPLAYS = ("as_of", "history", "ownership", "contracts", "pdf", "what_if", "published")
PAGES = ("overview", "as_of", "vendor", "what_if", "alerts")
SIGN_INS = ("key", "oidc", "refused")


class BoardMetrics:
    """The series, in the registry handed in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make every series."""
        self.events = Gauge("board_log_events", "Events that are held.", registry=registry)
        self.vendors = Gauge("board_vendors", "Vendors with an assessment.", registry=registry)
        self.unreadable = Counter(
            "board_unreadable_records_total", "Records that are no event or no assessment.", registry=registry
        )
        self.broker_errors = Counter("board_broker_errors_total", "Attempts that Kafka did not answer.", registry=registry)
        self.viewers = Gauge("board_stream_viewers", "Pages that are open and live.", registry=registry)
        self.update = Histogram(
            "board_event_to_update_seconds",
            "From Kafka's taking of the input event to the update of open pages.",
            buckets=LATENCY_BUCKETS_S,
            registry=registry,
        )
        self.page = Histogram(
            "board_page_seconds", "Time to answer with a page.", ["page"], buckets=LATENCY_BUCKETS_S, registry=registry
        )
        self.replay = Histogram(
            "board_replay_seconds", "Time that a replay of the log took.", ["what"], buckets=LATENCY_BUCKETS_S, registry=registry
        )
        self.sign_ins = Counter("board_sign_ins_total", "Sign-ins, by way or refused.", ["way"], registry=registry)
        for what in REPLAYS:
            self.replay.labels(what)
        for page in PAGES:
            self.page.labels(page)
        for way in SIGN_INS:
            self.sign_ins.labels(way)
