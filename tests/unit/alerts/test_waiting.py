"""What waits for endpoints is found in its order, and at a cost that does not grow with what waits behind."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.events.alert import Alert
from services.alerts.database import Database
from services.alerts.domain.endpoint import Key
from services.alerts.endpoints.waiting import Look, heads
from services.alerts.outbox import add_alerts
from services.alerts.tables import ALERTS, DELIVERIES, ENDPOINTS
from tests.support.assessments import alert

NOW_MS = 1_000_000
HERE: Key = ("google", "here")
DEAD: Key = ("google", "dead")


async def endpoint(connection: AsyncConnection, key: Key) -> None:
    row = {"lab": key[0], "name": key[1], "terms": b"", "secrets": b"", "disabled": None, "failing_since_ms": None}
    await connection.execute(insert(ENDPOINTS), row)


async def wait(connection: AsyncConnection, key: Key, alerts: list[Alert], due_ms: int) -> None:
    await add_alerts(connection, alerts)
    rows = [
        {
            "lab": key[0],
            "name": key[1],
            "alert": one.id,
            "vendor": one.vendor,
            "state": "pending",
            "attempts": 0,
            "due_ms": due_ms,
        }
        for one in alerts
    ]
    positions = {row.id: row.position for row in await connection.execute(ALERTS.select())}
    await connection.execute(insert(DELIVERIES), [row | {"position": positions[row["alert"]], "notice": None} for row in rows])


def told(number: int, vendor: str) -> Alert:
    return alert(vendor=vendor, version=number)


def test_of_each_vendor_the_oldest_is_found_those_that_are_due_first(database_url: str) -> None:
    async def run() -> dict[Key, list[tuple[str, int]]]:
        database = await Database.open(database_url)
        async with database.transaction() as connection:
            for key in (HERE, DEAD):
                await endpoint(connection, key)
            await wait(connection, HERE, [told(1, "a"), told(1, "b")], NOW_MS + 5)
            await wait(connection, HERE, [told(2, "a"), told(1, "c"), told(2, "c")], NOW_MS)
            await wait(connection, DEAD, [told(3, "a")], NOW_MS + 9)
        async with database.reading() as connection:
            found = await heads(connection, [HERE, DEAD, ("openai", "none")], NOW_MS, 2)
        await database.close()
        contents = {key: [one.content for one in deliveries] for key, deliveries in found.items()}
        return {key: [(one.vendor, one.version) for one in of if isinstance(one, Alert)] for key, of in contents.items()}

    found = asyncio.run(run())
    assert found == {HERE: [("c", 1), ("a", 1)], DEAD: [("a", 3)], ("openai", "none"): []}


def test_a_look_costs_as_much_as_there_are_vendors_whatever_waits_behind_them(tmp_path: Path) -> None:
    async def steps(waiting: int) -> int:
        database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / f'{waiting}.db'}")
        async with database.transaction() as connection:
            await endpoint(connection, DEAD)
            await wait(connection, DEAD, [told(number, f"v{number % 10}") for number in range(waiting)], NOW_MS + 5)
        counted = 0

        def count() -> None:
            nonlocal counted
            counted += 1

        async with database.reading() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            driver._connection.set_progress_handler(count, 10)
            await heads(connection, [DEAD], NOW_MS, 9)
        await database.close()
        return counted

    few, many = asyncio.run(steps(50)), asyncio.run(steps(5_000))
    assert few == pytest.approx(many, rel=0.2)


def test_those_who_look_at_the_same_moment_look_once(tmp_path: Path) -> None:
    async def run() -> tuple[list[int], int]:
        database = await Database.open(f"sqlite+aiosqlite:///{tmp_path / 'alerts.db'}")
        reads = 0
        read = database.read

        async def counted(*given: Any, **named: Any) -> Any:
            nonlocal reads
            reads += 1
            return await read(*given, **named)

        database.read = counted  # type: ignore[method-assign]
        async with database.transaction() as connection:
            for key in (HERE, DEAD):
                await endpoint(connection, key)
            await wait(connection, HERE, [told(1, "a"), told(1, "b")], NOW_MS)
        look = Look(database, most=9)
        found = await asyncio.gather(*(look.heads(key, NOW_MS) for key in (HERE, DEAD, HERE)))
        await database.close()
        return list(map(len, found)), reads

    assert asyncio.run(run()) == ([2, 0, 2], 1)
