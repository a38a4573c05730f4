"""The database's revisions, one a file in `versions`, run at every start. Alembic (https://alembic.sqlalchemy.org).

A new one is a file with the next number, which makes of the tables before it what `services.alerts.tables` says now; a test compares the two.
What was released is never changed. There is no way down: a backup is the way back.
"""

from typing import Final

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, column, inspect, select, table, text

_VERSION_BEFORE_ALEMBIC: Final = 2
_REVISION_OF_THAT: Final = "0001"


class SchemaMismatch(Exception):  # noqa: N818 - named for what it is
    """The database was made by another version of this service. Fate: stop."""

    retriable = False


def migrate(connection: Connection) -> None:
    """Bring the tables to the newest revision, in the transaction of the caller, who sees to it that nobody else does.

    Raises:
        SchemaMismatch: they are of a version that this one does not know.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "services.alerts:migrations")
    config.set_main_option("path_separator", "os")
    script = ScriptDirectory.from_config(config)
    _adopt(connection, config)
    known = {revision.revision for revision in script.walk_revisions()}
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in known:
        raise SchemaMismatch(
            f"the database is at revision {found}, which this version of alerts does not know; a newer one wrote it: "
            "run that, or restore a backup from before"
        )
    if found != script.get_current_head():
        command.upgrade(config, "head")


def _adopt(connection: Connection, config: Config) -> None:
    """Take over a file from before Alembic, which carries a number of its own."""
    if not inspect(connection).has_table("schema_version"):
        return
    version = connection.execute(select(column("version")).select_from(table("schema_version"))).scalar()
    if version != _VERSION_BEFORE_ALEMBIC:
        raise SchemaMismatch(
            f"the database has schema version {version}; this version of alerts can take over {_VERSION_BEFORE_ALEMBIC} alone; "
            "move the file away, and alerts reads all scores again"
        )
    command.stamp(config, _REVISION_OF_THAT)
    connection.execute(text("DROP TABLE schema_version"))
