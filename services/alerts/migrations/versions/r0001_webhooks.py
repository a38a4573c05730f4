"""Scores, subscriptions, alerts and webhooks: what databases had before revisions were numbered."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "vendors",
        sa.Column("vendor", sa.String, primary_key=True),
        sa.Column("version", BIG, nullable=False),
        sa.Column("assessment", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "offsets",
        sa.Column("topic", sa.String, primary_key=True),
        sa.Column("partition", sa.Integer, primary_key=True),
        sa.Column("next_offset", BIG, nullable=False),
    )
    op.create_table(
        "subscriptions",
        sa.Column("lab", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("terms", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "score_references",
        sa.Column("lab", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("vendor", sa.String, primary_key=True),
        sa.Column("score", sa.Float, nullable=False),
    )
    op.create_table(
        "alerts",
        sa.Column("position", BIG, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("lab", sa.String, nullable=False),
        sa.Column("vendor", sa.String, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sa.Column("delivered", sa.Boolean, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("alerts_by_lab", "alerts", ["lab", "position"])
    waits = sa.text("delivered IS false") if op.get_bind().dialect.name == "postgresql" else sa.text("delivered IS 0")
    op.create_index("alerts_outbox", "alerts", ["position"], sqlite_where=waits, postgresql_where=waits)
    _webhooks()


def _webhooks() -> None:
    op.create_table(
        "endpoints",
        sa.Column("lab", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("terms", sa.LargeBinary, nullable=False),
        sa.Column("secrets", sa.LargeBinary, nullable=False),
        sa.Column("disabled", sa.String),
        sa.Column("failing_since_ms", BIG),
    )
    op.create_table(
        "deliveries",
        sa.Column("lab", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("alert", sa.String, primary_key=True),
        sa.Column("vendor", sa.String, nullable=False),
        sa.Column("position", BIG, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_ms", BIG, nullable=False),
    )
    pending = sa.text("state = 'pending'")
    op.create_index(
        "deliveries_outbox",
        "deliveries",
        ["lab", "name", "vendor", "position"],
        sqlite_where=pending,
        postgresql_where=pending,
    )
    op.create_table(
        "attempts",
        sa.Column("number", BIG, primary_key=True, autoincrement=True),
        sa.Column("lab", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("alert", sa.String, nullable=False),
        sa.Column("at_ms", BIG, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("fault", sa.String),
        sa.Column("duration_ms", sa.Float, nullable=False),
    )
    op.create_index("attempts_by_endpoint", "attempts", ["lab", "name", "number"])
    op.create_index("attempts_by_time", "attempts", ["at_ms"])
