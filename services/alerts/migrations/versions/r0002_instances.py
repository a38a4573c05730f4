"""Several instances: who works on what, and a number that tells them that what labs wish has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

BIG = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the tables, with a lease for each endpoint and each lab that is known."""
    op.create_table("revisions", sa.Column("name", sa.String, primary_key=True), sa.Column("number", BIG, nullable=False))
    op.create_table("instances", sa.Column("id", sa.String, primary_key=True), sa.Column("until_ms", BIG, nullable=False))
    op.create_table(
        "leases",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("name", sa.String, primary_key=True),
        sa.Column("owner", sa.String, nullable=False, server_default=""),
        sa.Column("until_ms", BIG, nullable=False, server_default="0"),
    )
    op.execute("INSERT INTO revisions (name, number) VALUES ('terms', 1)")
    op.execute("INSERT INTO leases (kind, name) SELECT 'endpoint', lab || '/' || name FROM endpoints")
    op.execute("INSERT INTO leases (kind, name) SELECT 'topic', lab FROM subscriptions UNION SELECT 'topic', lab FROM alerts")
