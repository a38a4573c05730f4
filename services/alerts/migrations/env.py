"""Alembic runs this for every command, over the connection that `migrate` gives it."""

from alembic import context

from services.alerts.decisions import tables as _decisions  # noqa: F401 - adds to the metadata
from services.alerts.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
