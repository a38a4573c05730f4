"""The history of scores."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """It begins with what is taken in from now on."""
    op.create_table(
        "history",
        sa.Column("vendor", sa.String, primary_key=True),
        sa.Column("version", BIG, primary_key=True),
        sa.Column("at_ms", BIG, nullable=False),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_index("history_by_time", "history", ["at_ms"])
