"""A lab takes all of its data with it, and leaves nothing behind."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import func, select
from typer.testing import CliRunner

from neutrality.cli.main import app
from services.alerts.cleaning import Cleaner, Kept
from services.alerts.database import Database
from services.alerts.lab_data import tables_of_labs
from services.alerts.outbox import oldest_undelivered
from services.alerts.tables import ALERTS, ATTEMPTS, DELIVERIES, HISTORY, LEASES, METADATA
from tests.support.alerts import AlertsParts
from tests.support.assessments import assessment, score
from tests.support.receiver import receiver
from tests.unit.alerts.test_webhooks import put, raise_alert, serving, until_settled

LABS = ("google", "openai")
NOBODYS = {"alembic_version", "vendors", "history", "offsets", "revisions", "instances", "leases", "baselines"}


async def rows_of(database: Database, lab: str) -> dict[str, int]:
    async with database.reading() as connection:
        return {
            table.name: (await connection.execute(select(func.count()).select_from(table).where(table.c.lab == lab))).scalar_one()
            for table in tables_of_labs()
        }


async def peopled(parts: AlertsParts, client: Any, url: str) -> None:
    for lab in LABS:
        terms = {"conditions": [{"rule": "grade"}], "reminders": {"every": 3600}}
        assert (await client.put(f"/labs/{lab}/subscriptions/of-{lab}", json=terms)).status_code in (201, 422)
        await client.put(f"/labs/{lab}/subscriptions/plain-{lab}", json={})
        assert (await client.put(f"/labs/{lab}/portfolio/scale-ai", json={"buys": f"secret of {lab}"})).is_success
        await put(client, f"at-{lab}", f"{url}/{lab}", lab)
    await parts.take_in(assessment(1, score(95.0)), assessment(2, score(20.0, grade="N5")))
    for lab in LABS:
        async with asyncio.timeout(10.0):
            while (await client.get(f"/labs/{lab}/endpoints/at-{lab}")).json()["deliveries"]["delivered"] == 0:
                await asyncio.sleep(0.02)


def test_every_table_is_a_labs_or_nobodys() -> None:
    assert {table.name for table in tables_of_labs()}.isdisjoint(NOBODYS)
    assert METADATA.tables.keys() - {table.name for table in tables_of_labs()} <= NOBODYS


def test_an_export_holds_all_of_a_lab_and_nothing_of_another(database_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver() as there:
            await peopled(parts, client, there.url)
            file = tmp_path / "google.json"
            done = await asyncio.to_thread(
                CliRunner().invoke, app, ["labs", "export", "google", "-o", str(file), "--alerts-url", str(client.base_url)]
            )
            assert done.exit_code == 0, done.output
            found = orjson.loads(file.read_bytes())
            counts = await rows_of(parts.database, "google")
            assert {name: len(rows) for name, rows in found["tables"].items()} == counts
            assert counts["alerts"] > 0
            assert counts["attempts"] > 0
            assert found["tables"]["purchases"][0]["document"]["buys"] == "secret of google"
            assert "secrets" not in found["tables"]["endpoints"][0]
            assert "openai" not in file.read_text()
            assert (await client.get("/labs/nobody/export")).status_code == 404

    asyncio.run(run())


def test_a_removed_lab_leaves_nothing_and_the_others_stay(database_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver() as there:
            await peopled(parts, client, there.url)
            before = await rows_of(parts.database, "openai")
            where = ["--alerts-url", str(client.base_url), "--file", str(tmp_path / "labs.json")]
            made = await asyncio.to_thread(CliRunner().invoke, app, ["labs", "create", "google", *where[2:]])
            assert made.exit_code == 0
            done = await asyncio.to_thread(CliRunner().invoke, app, ["labs", "delete", "google", "--yes", *where])
            assert (done.exit_code, "topic: removed" in done.stdout, "API keys: removed" in done.stdout) == (0, True, True)
            assert parts.removed_topics == ["google"]
            await parts.take_in(assessment(3, score(95.0)))
            await asyncio.sleep(0.3)
            assert set((await rows_of(parts.database, "google")).values()) == {0}
            async with parts.database.reading() as connection:
                names = (await connection.execute(select(LEASES.c.name))).scalars().all()
            assert not [name for name in names if "google" in name]
            after = await rows_of(parts.database, "openai")
            assert all(after[name] >= count for name, count in before.items())
            assert after["alerts"] > before["alerts"]
            again = await asyncio.to_thread(CliRunner().invoke, app, ["labs", "delete", "google", "--yes", *where])
            assert (again.exit_code, "nothing is kept of google" in again.stderr) == (1, True)

    asyncio.run(run())


def test_what_was_kept_for_long_enough_goes_and_what_still_waits_or_holds_stays(database_url: str) -> None:
    async def run() -> None:
        async with serving(database_url) as (parts, client), receiver() as there:
            await put(client, "soc", there.url)
            for version in range(1, 5):
                await raise_alert(parts, version=version)
            await until_settled(client, "soc")
            async with asyncio.timeout(10.0):
                while await parts.database.read(oldest_undelivered) is not None:
                    await asyncio.sleep(0.05)
            async with parts.database.transaction() as connection:
                await connection.execute(ALERTS.update().values(delivered=ALERTS.c.position != 2))

            async def counts() -> list[int]:
                async with parts.database.reading() as connection:
                    return [
                        (await connection.execute(select(func.count()).select_from(table))).scalar_one()
                        for table in (ALERTS, DELIVERIES, ATTEMPTS, HISTORY)
                    ]

            def cleaner(days: float) -> Cleaner:
                kept = timedelta(days=days)
                return Cleaner(parts.database, Kept(kept, kept, kept), clock=lambda: datetime.now(UTC) + timedelta(minutes=1))

            assert await counts() == [4, 4, 4, 4]
            await cleaner(36_500).clean()
            assert await counts() == [4, 4, 4, 4]
            await cleaner(1e-9).clean()
            # the alert that Kafka does not have yet, and the step that holds
            assert await counts() == [1, 1, 0, 1]

    asyncio.run(run())
