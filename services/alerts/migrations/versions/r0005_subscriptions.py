"""What subscriptions remember, portfolios, silences, what was not sent, timers, and what calls for attention. References of falls become memories."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, and take over the references."""
    op.create_table(
        "memories",
        sa.Column("lab", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("vendor", sa.String, primary_key=True),
        sa.Column("baseline", BIG),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("memories_by_vendor", "memories", ["vendor", "baseline"])
    _take_over_references()
    op.create_table(
        "baselines",
        sa.Column("vendor", sa.String, primary_key=True),
        sa.Column("version", BIG, primary_key=True),
        sa.Column("assessment", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "purchases",
        sa.Column("lab", sa.String, primary_key=True),
        sa.Column("vendor", sa.String, primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "silences",
        sa.Column("lab", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("terms", sa.LargeBinary, nullable=False),
        sa.Column("starts_ms", BIG, nullable=False),
        sa.Column("ends_ms", BIG, nullable=False),
    )
    _what_was_not_sent()
    op.create_table(
        "timers",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("lab", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("subject", sa.String, primary_key=True),
        sa.Column("due_ms", BIG, nullable=False),
        sa.Column("partition", sa.Integer),
    )
    op.create_index("timers_by_time", "timers", ["due_ms"])
    op.create_table(
        "attention",
        sa.Column("lab", sa.String, primary_key=True),
        sa.Column("alert", sa.String, primary_key=True),
        sa.Column("subscription", sa.String, nullable=False),
        sa.Column("rule", sa.String, nullable=False),
        sa.Column("vendor", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reminders", sa.Integer, nullable=False),
        sa.Column("person", sa.String),
        sa.Column("note", sa.String),
        sa.Column("key", sa.String),
        sa.Column("at_ms", BIG),
    )
    op.create_index("attention_by_kind", "attention", ["lab", "state", "subscription", "vendor", "rule"])


def _take_over_references() -> None:
    old = sa.table("score_references", *(sa.column(name) for name in ("lab", "name", "vendor", "score")))
    new = sa.table("memories", *(sa.column(name) for name in ("lab", "name", "vendor")), sa.column("document", sa.LargeBinary))
    connection = op.get_bind()
    rows = [
        {"lab": lab, "name": name, "vendor": vendor, "document": json.dumps({"marks": {"score_drop": score}}).encode()}
        for lab, name, vendor, score in connection.execute(sa.select(old))
    ]
    if rows:
        connection.execute(sa.insert(new), rows)
    op.drop_table("score_references")


def _what_was_not_sent() -> None:
    op.create_table(
        "unsent_alerts",
        sa.Column("number", BIG, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("lab", sa.String, nullable=False),
        sa.Column("subscription", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("why", sa.String, nullable=False),
        sa.Column("group", sa.String, nullable=False),
        sa.Column("silence", sa.String),
        sa.Column("due_ms", BIG),
        sa.Column("raised_ms", BIG, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("unsent_alerts_by_lab", "unsent_alerts", ["lab", "outcome", "number"])
    op.create_index("unsent_alerts_by_group", "unsent_alerts", ["lab", "group"])
    op.create_index("unsent_alerts_by_time", "unsent_alerts", ["raised_ms"])
