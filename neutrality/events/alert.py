"""An alert: what one lab is told about one vendor, as it goes to `neutrality.alerts.LAB` and to server-sent events."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Literal, get_args

from pydantic import TypeAdapter

from neutrality.events.assessment import Cause, Channel, Grade, Score, trace_of
from neutrality.events.cloudevent import to_kafka_binary

ALERT_TYPE: Final = "watch.neutrality.alert.v1"
Rule = Literal["score_drop", "score_rise", "grade", "level", "outlook", "watch", "influence", "coverage", "correction"]
RULES: Final[tuple[Rule, ...]] = get_args(Rule)
Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)  # rising


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
class Spending:
    """What the lab pays the vendor: `amount` is a decimal string in `currency` (ISO 4217) per `period`."""

    amount: str
    currency: str
    period: Literal["month", "quarter", "year"]


@dataclass(frozen=True, slots=True)
class Stake:
    """What the lab has at stake with the vendor, by what it told of itself. `exposure` is in [0, 1].

    `listed`: whether the vendor is in the lab's portfolio. `spending_share` is a ratio of what the lab spends in that currency. None: not told.
    """

    exposure: float
    listed: bool
    summary: str
    buys: str = ""
    categories: tuple[str, ...] = ()
    data_classes: tuple[str, ...] | None = None
    spending: Spending | None = None
    spending_share: float | None = None


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another vendor of the same category, as it stands towards the lab, with the channels of which anything is known.

    Grade NR: not rated, which is not neutral; its scores say nothing then. `bought`: whether the lab buys from it already.
    """

    vendor: str
    name: str
    grade: Grade
    confirmed: float
    projected: float
    known: tuple[Channel, ...]
    bought: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """A change of one vendor's neutrality towards `lab`. `before` is None if the vendor was not known before.

    `points` is the fall that `severity` weighs by the lab's exposure. Alerts of one `group` are released together, and are one message to people.
    `alternatives` are ranked, the most neutral first. `corrects` names the alerts that a correction takes back. `reminds` names the alert that
    this one repeats for the `reminder`th time, because nobody has acknowledged it. `deferred`: by the lab's own wish it was not sent at once.
    """

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
    severity: Severity = "info"
    points: float = 0.0
    view: Literal["confirmed", "projected"] = "confirmed"
    group: str = ""
    stake: Stake | None = None
    alternatives: tuple[Alternative, ...] = ()
    corrects: tuple[str, ...] = ()
    reminds: str | None = None
    reminder: int = 0
    deferred: bool = False


def alert_id(lab: str, subscription: str, condition: str, vendor: str, version: int) -> str:
    """Deterministic, so that an alert that is sent twice is seen once. `condition`: the rule, and what tells it from others of the same rule."""
    text = "\x1f".join((lab, subscription, condition, vendor, str(version)))
    return "al_" + sha256(text.encode()).hexdigest()[:32]


def alert_to_kafka(alert: Alert) -> tuple[list[tuple[str, bytes]], bytes]:
    """Headers and value for the lab's topic."""
    return to_kafka_binary(
        trace_of(alert.cause)
        | {
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
