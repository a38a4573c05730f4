"""Whoever reads alerts behind a position misses none, however the commits of several writers overlap: on a real PostgreSQL."""

import asyncio
import random

from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.events.alert import Alert
from services.alerts.database import Database
from services.alerts.dialects import add
from services.alerts.outbox import add_alerts
from services.alerts.tables import ALERTS
from tests.support.alerts import alerts
from tests.support.assessments import score

WRITERS = 8
COMMITS = 15


def _row(name: str) -> dict[str, object]:
    return {"id": name, "lab": "google", "vendor": "v", "document": b"{}", "delivered": False}


async def _seen_by_position(database: Database, name: str) -> list[str]:
    """What a reader finds behind the last position that it saw, until `name` is there."""
    position, seen = 0, list[str]()
    async with asyncio.timeout(20.0):
        while name not in seen:
            async with database.reading() as connection:
                query = ALERTS.select().where(ALERTS.c.position > position).order_by(ALERTS.c.position)
                for row in await connection.execute(query):
                    position = row.position
                    seen.append(row.id)
            await asyncio.sleep(0.001)
    return seen


def test_a_reader_by_position_misses_nothing_that_overlapping_writers_commit(postgres_url: str) -> None:
    async def run() -> None:
        async with alerts(postgres_url) as one, alerts(postgres_url) as other:
            draw = random.Random(1)

            async def write(number: int) -> None:
                database = (one, other)[number % 2].database
                for commit in range(COMMITS):
                    async with database.transaction() as connection:
                        await _keep(connection, f"{number}-{commit}")
                        await asyncio.sleep(draw.random() * 0.01)  # committed long after the position was given

            reading = asyncio.create_task(_seen_by_position(one.database, "last"))
            await asyncio.gather(*(write(number) for number in range(WRITERS)))
            async with other.database.transaction() as connection:
                await _keep(connection, "last")
            seen = await reading
            assert len(seen) == len(set(seen)) == WRITERS * COMMITS + 1

    asyncio.run(run())


def test_without_turns_the_reader_would_miss_one(postgres_url: str) -> None:
    async def run() -> None:
        async with alerts(postgres_url) as one, alerts(postgres_url) as other:
            async with one.database.transaction() as slow:
                await slow.execute(add(slow, ALERTS), [_row("first")])
                async with other.database.transaction() as quick:
                    await quick.execute(add(quick, ALERTS), [_row("second")])
                assert await _seen_by_position(one.database, "second") == ["second"]
            async with other.database.transaction() as connection:
                await connection.execute(add(connection, ALERTS), [_row("last")])
            position_of_second = 2
            async with one.database.reading() as connection:
                behind = ALERTS.select().where(ALERTS.c.position > position_of_second)
                assert [row.id for row in await connection.execute(behind)] == ["last"]

    asyncio.run(run())


async def _keep(connection: AsyncConnection, name: str) -> None:
    told = score(60.0)
    await add_alerts(
        connection,
        [Alert(name, "google", "desk", "grade", "v", "V", 1, name, None, told, (), "2025-06-12T00:00:00Z")],
    )
