"""What `neutrality verify` exports, on a registry that is given."""

from collections.abc import Iterable
from typing import Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge

from neutrality.verification.audit import Findings
from neutrality.verification.comparison import KINDS
from neutrality.verification.healing import Healing
from neutrality.verification.log import REASONS

_OUTCOMES: Final[tuple[Literal["clean", "differences", "failed"], ...]] = ("clean", "differences", "failed")


class VerifyMetrics:
    """One instance a process; every series is there from the start."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Register all series."""
        self.vendors = Gauge("neutrality_verify_vendors_checked", "Vendors whose score the last run compared.", registry=registry)
        self.events = Gauge("neutrality_verify_events_read", "Valid events read from the input topics so far.", registry=registry)
        self.differences = Gauge(
            "neutrality_verify_differences", "Vendors with a difference in the last run, by kind.", ["kind"], registry=registry
        )
        self.persistent = Gauge(
            "neutrality_verify_persistent_vendors", "Vendors with a difference in the last two runs.", registry=registry
        )
        self.rejected = Gauge(
            "neutrality_verify_records_rejected",
            "Input records that scoring does not take, by reason.",
            ["reason"],
            registry=registry,
        )
        self.unreadable = Gauge(
            "neutrality_verify_scores_unreadable", "Records of neutrality.scores that are no assessment.", registry=registry
        )
        self.lag = Gauge(
            "neutrality_verify_lag_records", "Input records written while the last run was under way.", registry=registry
        )
        self.last_run = Gauge(
            "neutrality_verify_last_run_timestamp_seconds", "When the last run ended that could read Kafka.", registry=registry
        )
        self.duration = Gauge("neutrality_verify_last_run_duration_seconds", "How long that run took.", registry=registry)
        self.runs = Counter("neutrality_verify_runs_total", "Runs, by outcome.", ["outcome"], registry=registry)
        self.heals = Counter("neutrality_verify_heals_total", "Times that a vendor's inputs were reapplied.", registry=registry)
        for kind in KINDS:
            self.differences.labels(kind)
        for reason in REASONS:
            self.rejected.labels(reason)
        for outcome in _OUTCOMES:
            self.runs.labels(outcome)

    def tell(self, findings: Findings, persistent: int, *, ended_s: float, took_s: float) -> None:
        """A run has ended."""
        self.vendors.set(findings.vendors)
        self.events.set(findings.events)
        for kind in KINDS:
            self.differences.labels(kind).set(_count(d.vendor for d in findings.differences if d.kind == kind))
        self.persistent.set(persistent)
        for reason, count in findings.rejected.items():
            self.rejected.labels(reason).set(count)
        self.unreadable.set(findings.unreadable)
        self.lag.set(findings.lag)
        self.last_run.set(ended_s)
        self.duration.set(took_s)
        self.runs.labels("differences" if findings.differences else "clean").inc()

    def failed(self) -> None:
        """A run could not read Kafka."""
        self.runs.labels("failed").inc()

    def healed(self, healing: Healing) -> None:
        """Inputs were reapplied."""
        self.heals.inc(len(healing.vendors))


def _count(vendors: Iterable[str]) -> int:
    return len(set(vendors))
