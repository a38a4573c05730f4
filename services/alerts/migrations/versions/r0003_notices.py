"""Deliveries of notices."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """A delivery may hold a notice."""
    op.add_column("deliveries", sa.Column("notice", sa.LargeBinary))
