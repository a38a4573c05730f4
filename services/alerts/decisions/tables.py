"""The tables of what is decided."""

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table

from services.alerts.dialects import BIG
from services.alerts.tables import METADATA

MEMORIES = Table(
    "memories",
    METADATA,
    Column("lab", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("vendor", String, primary_key=True),
    Column("baseline", BIG),
    Column("document", LargeBinary, nullable=False),
    Index("memories_by_vendor", "vendor", "baseline"),
)
BASELINES = Table(
    "baselines",
    METADATA,
    Column("vendor", String, primary_key=True),
    Column("version", BIG, primary_key=True),
    Column("assessment", LargeBinary, nullable=False),
)
PURCHASES = Table(
    "purchases",
    METADATA,
    Column("lab", String, primary_key=True),
    Column("vendor", String, primary_key=True),
    Column("document", LargeBinary, nullable=False),
)
SILENCES = Table(
    "silences",
    METADATA,
    Column("lab", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("terms", LargeBinary, nullable=False),
    Column("starts_ms", BIG, nullable=False),
    Column("ends_ms", BIG, nullable=False),
)
UNSENT = Table(
    "unsent_alerts",
    METADATA,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("lab", String, nullable=False),
    Column("subscription", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("why", String, nullable=False),
    Column("group", String, nullable=False),
    Column("silence", String),
    Column("due_ms", BIG),
    Column("raised_ms", BIG, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Index("unsent_alerts_by_lab", "lab", "outcome", "number"),
    Index("unsent_alerts_by_group", "lab", "group"),
    Index("unsent_alerts_by_time", "raised_ms"),
    sqlite_autoincrement=True,
)
TIMERS = Table(
    "timers",
    METADATA,
    Column("kind", String, primary_key=True),
    Column("lab", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("subject", String, primary_key=True),
    Column("due_ms", BIG, nullable=False),
    Column("partition", Integer),
    Index("timers_by_time", "due_ms"),
)
ATTENTION = Table(
    "attention",
    METADATA,
    Column("lab", String, primary_key=True),
    Column("alert", String, primary_key=True),
    Column("subscription", String, nullable=False),
    Column("rule", String, nullable=False),
    Column("vendor", String, nullable=False),
    Column("state", String, nullable=False),
    Column("reminders", Integer, nullable=False),
    Column("person", String),
    Column("note", String),
    Column("key", String),
    Column("at_ms", BIG),
    Index("attention_by_kind", "lab", "state", "subscription", "vendor", "rule"),
)
