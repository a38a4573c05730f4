"""When alerts were raised, so that old ones can be found; those that are there count from now."""

import time

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add the column."""
    now_ms = int(time.time() * 1000)  # noqa: TID251 - a migration runs once, at a start
    op.add_column("alerts", sa.Column("raised_ms", BIG, nullable=False, server_default="0"))
    op.execute(sa.text("UPDATE alerts SET raised_ms = :now_ms").bindparams(now_ms=now_ms))
    op.create_index("alerts_by_time", "alerts", ["raised_ms"])
    op.create_index("deliveries_by_alert", "deliveries", ["alert"])
