"""The database is brought to the newest revision at every start, from wherever it stands, or refused."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from services.alerts.database import Database
from services.alerts.domain.conditions import BY_RULE, ShortRule
from services.alerts.domain.subscription import Subscription
from services.alerts.migrations import SchemaMismatch
from services.alerts.outbox import alerts_behind
from services.alerts.state import subscriptions_of
from services.alerts.tables import METADATA
from tests.support.alerts import alerts
from tests.support.assessments import assessment, score

DATA = Path(__file__).parent / "data"
_FIRST_RULES: tuple[ShortRule, ...] = ("score_drop", "grade", "outlook", "watch")  # all that there were
DESK = Subscription(lab="google", name="desk", conditions=tuple(BY_RULE[rule] for rule in _FIRST_RULES))


def _differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), METADATA))


def test_the_migrations_make_the_tables_that_the_code_declares(database_url: str) -> None:
    async def run() -> list[object]:
        database = await Database.open(database_url)
        async with database.reading() as connection:
            found = await connection.run_sync(_differences)
        await database.close()
        return found

    assert asyncio.run(run()) == []


def test_a_missing_column_would_be_found(database_url: str) -> None:
    async def run() -> list[object]:
        database = await Database.open(database_url)
        async with database.transaction() as connection:
            await connection.execute(text("ALTER TABLE attempts DROP COLUMN fault"))
        async with database.reading() as connection:
            found = await connection.run_sync(_differences)
        await database.close()
        return found

    assert "fault" in str(asyncio.run(run()))


def test_a_file_from_before_revisions_is_taken_over_with_all_that_is_in_it(sqlite_url: str, tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "alerts.db")
    old.executescript((DATA / "alerts-schema-version-2.sql").read_text())
    old.close()

    async def run() -> None:
        async with alerts(sqlite_url) as parts:
            assert await parts.database.read(subscriptions_of, "google") == (DESK,)
            known = await parts.vendor("scale-ai")
            assert known is not None
            assert [told.alert.rule for told in await parts.database.read(alerts_behind, "google", 0, 10)] == [
                "score_drop",
                "grade",
            ]
            async with parts.database.reading() as connection:
                assert await connection.run_sync(_differences) == []
            # and it goes on from there
            fallen = score(known.headline.confirmed - 50.0, grade="N5")
            assert len(await parts.take_in(assessment(known.version + 1, fallen, vendor="scale-ai"))) == 2
        async with alerts(sqlite_url) as parts:
            assert len(await parts.database.read(alerts_behind, "google", 0, 10)) == 4

    asyncio.run(run())


def test_a_file_of_an_older_version_still_is_refused(sqlite_url: str, tmp_path: Path) -> None:
    old = sqlite3.connect(tmp_path / "alerts.db")
    old.executescript("CREATE TABLE schema_version (version INTEGER); INSERT INTO schema_version VALUES (1)")
    old.close()
    with pytest.raises(SchemaMismatch, match="schema version 1"):
        asyncio.run(Database.open(sqlite_url))


def test_a_revision_that_is_not_known_is_refused_and_left_alone(database_url: str) -> None:
    async def run() -> str:
        database = await Database.open(database_url)
        async with database.transaction() as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        await database.close()
        with pytest.raises(SchemaMismatch, match="revision 9999, which this version of alerts does not know"):
            await Database.open(database_url)
        engine = create_async_engine(database_url)
        async with engine.connect() as raw:
            found: str = (await raw.execute(select(text("version_num")).select_from(text("alembic_version")))).scalar_one()
        await engine.dispose()
        return found

    assert asyncio.run(run()) == "9999"


def test_instances_that_start_at_once_migrate_once(postgres_url: str) -> None:
    async def run() -> None:
        opened = await asyncio.gather(*(Database.open(postgres_url) for _ in range(5)))
        async with opened[0].reading() as connection:
            assert await connection.run_sync(_differences) == []
        await asyncio.gather(*(database.close() for database in opened))

    asyncio.run(run())
