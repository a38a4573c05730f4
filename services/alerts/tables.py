"""The tables of alerts' database, as the newest of `migrations` makes them."""

from sqlalchemy import Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table

from services.alerts.dialects import BIG

METADATA = MetaData()
VENDORS = Table(
    "vendors",
    METADATA,
    Column("vendor", String, primary_key=True),
    Column("version", BIG, nullable=False),
    Column("assessment", LargeBinary, nullable=False),
)
HISTORY = Table(
    "history",
    METADATA,
    Column("vendor", String, primary_key=True),
    Column("version", BIG, primary_key=True),
    Column("at_ms", BIG, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Index("history_by_time", "at_ms"),
)
OFFSETS = Table(
    "offsets",
    METADATA,
    Column("topic", String, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("next_offset", BIG, nullable=False),
)
# rises with every change of subscriptions, endpoints and whatever else is remembered of what labs wish
REVISIONS = Table("revisions", METADATA, Column("name", String, primary_key=True), Column("number", BIG, nullable=False))
SUBSCRIPTIONS = Table(
    "subscriptions",
    METADATA,
    Column("lab", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("terms", LargeBinary, nullable=False),
)
ALERTS = Table(
    "alerts",
    METADATA,
    Column("position", BIG, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("lab", String, nullable=False),
    Column("vendor", String, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Column("delivered", Boolean, nullable=False),
    Column("raised_ms", BIG, nullable=False, server_default="0"),
    Index("alerts_by_lab", "lab", "position"),
    Index("alerts_by_time", "raised_ms"),
    sqlite_autoincrement=True,
)
Index(
    "alerts_outbox",
    ALERTS.c.position,
    sqlite_where=ALERTS.c.delivered.is_(False),
    postgresql_where=ALERTS.c.delivered.is_(False),
)

# endpoints
ENDPOINTS = Table(
    "endpoints",
    METADATA,
    Column("lab", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("terms", LargeBinary, nullable=False),
    Column("secrets", LargeBinary, nullable=False),
    Column("disabled", String),
    Column("failing_since_ms", BIG),
)
DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("lab", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("alert", String, primary_key=True),
    Column("vendor", String, nullable=False),
    Column("position", BIG, nullable=False),
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_ms", BIG, nullable=False),
    Column("notice", LargeBinary),
)
Index(
    "deliveries_outbox",
    DELIVERIES.c.lab,
    DELIVERIES.c.name,
    DELIVERIES.c.vendor,
    DELIVERIES.c.position,
    sqlite_where=DELIVERIES.c.state == "pending",
    postgresql_where=DELIVERIES.c.state == "pending",
)
Index("deliveries_by_alert", DELIVERIES.c.alert)
ATTEMPTS = Table(
    "attempts",
    METADATA,
    Column("number", BIG, primary_key=True, autoincrement=True),
    Column("lab", String, nullable=False),
    Column("name", String, nullable=False),
    Column("alert", String, nullable=False),
    Column("at_ms", BIG, nullable=False),
    Column("status", Integer),
    Column("fault", String),
    Column("duration_ms", Float, nullable=False),
    Index("attempts_by_endpoint", "lab", "name", "number"),
    Index("attempts_by_time", "at_ms"),
)

# several instances
INSTANCES = Table("instances", METADATA, Column("id", String, primary_key=True), Column("until_ms", BIG, nullable=False))
LEASES = Table(
    "leases",
    METADATA,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("owner", String, nullable=False, server_default=""),
    Column("until_ms", BIG, nullable=False, server_default="0"),
)
