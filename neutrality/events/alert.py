"""An alert: what one lab is told about one vendor, as it goes to `neutrality.alerts.LAB` and to server-sent events."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal

from pydantic import TypeAdapter

from neutrality.events.assessment import Cause, Score
from neutrality.events.cloudevent import to_kafka_binary

ALERT_TYPE: Final = "watch.neutrality.alert.v1"
Rule = Literal["score_drop", "grade", "outlook", "watch"]
RULES: Final[tuple[Rule, ...]] = ("score_drop", "grade", "outlook", "watch")


@dataclass(frozen=True, slots=True)
class Reason:
    """One claim that moved the score: by how many points, through which party, and on whose word."""

    claim_id: str
    lab: str
    channel: str
    through: str
    points: float
    summary: str
    status: str
    credibility: float
    evidence: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Alert:
    """A change of one vendor's neutrality towards `lab`. `before` is None if the vendor was not known before."""

    id: str
    lab: str
    subscription: str
    rule: Rule
    vendor: str
    vendor_name: str
    version: int
    title: str
    before: Score | None
    after: Score
    reasons: tuple[Reason, ...]
    raised_at: str
    cause: Cause | None = None


def alert_id(lab: str, subscription: str, rule: Rule, vendor: str, version: int) -> str:
    """Deterministic, so that an alert that is sent twice is seen once."""
    text = "\x1f".join((lab, subscription, rule, vendor, str(version)))
    return "al_" + sha256(text.encode()).hexdigest()[:32]


def alert_to_kafka(alert: Alert) -> tuple[list[tuple[str, bytes]], bytes]:
    """Headers and value for the lab's topic."""
    return to_kafka_binary(
        {
            "specversion": "1.0",
            "id": alert.id,
            "source": "urn:neutrality-watch:alerts",
            "type": ALERT_TYPE,
            "time": alert.raised_at,
            "subject": alert.vendor,
            "data": alert,
        }
    )


_ALERT: Final = TypeAdapter(Alert)


def parse_alert(value: bytes) -> Alert:
    """An alert from JSON. Raises pydantic.ValidationError if it is none."""
    return _ALERT.validate_json(value)
