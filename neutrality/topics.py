"""The topics, declared once. Each service creates the ones it needs at start and checks those that are there."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

DEFAULT_PARTITIONS: Final = 12
FORWARDED_HEADER: Final = (
    "neutrality-forwarded-from"  # on `neutrality.messages`: an event like one from an input topic, and where it lies
)
_UNLIMITED: Final = "-1"
LARGE_RECORD_BYTES: Final = (
    8 * 1024 * 1024
)  # what is known of one entity with tens of thousands of reports; Kafka's default is 1 MiB


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's contract: what keys it, how long it is kept, who writes and who reads it.

    `partitions`: of its own, where nobody counts on the number; None: as many as the deployment's.
    """

    name: str
    key: str
    cleanup_policy: str
    retention_ms: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    description: str
    max_record_bytes: int | None = None
    further: tuple[tuple[str, str], ...] = ()
    partitions: int | None = None

    @property
    def config(self) -> dict[str, str]:
        """Kafka topic settings."""
        config = {"cleanup.policy": self.cleanup_policy, **dict(self.further)}
        if self.cleanup_policy == "delete":
            config["retention.ms"] = self.retention_ms
        if self.max_record_bytes is not None:
            config["max.message.bytes"] = str(self.max_record_bytes)
        return config


def _days(days: int) -> str:
    return str(int(timedelta(days=days) / timedelta(milliseconds=1)))


OWNERSHIP: Final = Topic(
    "neutrality.ownership",
    "subject's entity id",
    "delete",
    _UNLIMITED,
    ("ingest", "any Kafka client"),
    ("scoring",),
    "Interests, roles, entities and corrections: with neutrality.contracts the source of truth, kept for ever.",
)
CONTRACTS: Final = Topic(
    "neutrality.contracts",
    "supplier's entity id",
    "delete",
    _UNLIMITED,
    ("ingest", "any Kafka client"),
    ("scoring",),
    "Contracts, revenues and their corrections: kept for ever.",
)
MESSAGES: Final = Topic(
    "neutrality.messages",
    "receiver's entity id",
    "delete",
    _days(7),
    ("scoring",),
    ("scoring",),
    "What one vertex tells another.",
    LARGE_RECORD_BYTES,
)
SCORES: Final = Topic(
    "neutrality.scores",
    "vendor's entity id",
    "compact",
    _UNLIMITED,
    ("scoring",),
    ("alerts", "any Kafka client"),
    "The newest assessment of every vendor.",
    LARGE_RECORD_BYTES,
)
REJECTED: Final = Topic(
    "neutrality.rejected",
    "as received",
    "delete",
    _days(90),
    ("ingest", "scoring"),
    ("operators",),
    "Input that could not be used, with the errors and the offset it came from.",
)
TOPICS: Final = (OWNERSHIP, CONTRACTS, MESSAGES, SCORES, REJECTED)
ALERTS_PREFIX: Final = "neutrality.alerts."


def alerts_topic(lab: str) -> Topic:
    """The topic of one lab's alerts; one topic a lab, so that an ACL isolates it. One partition is enough for what one lab is told."""
    return Topic(
        f"{ALERTS_PREFIX}{lab}",
        "vendor's entity id",
        "delete",
        _days(90),
        ("alerts",),
        (lab,),
        f"Alerts to {lab}.",
        partitions=1,
    )
