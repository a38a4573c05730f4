"""Databases for alerts' tests: a SQLite file, and a database of its own on a real PostgreSQL, for each test.

PostgreSQL comes in a container. Without an engine for containers its tests are skipped, but fail where `CI` is set.
"""

import asyncio
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from testcontainers.community.postgres import PostgresContainer
from testcontainers.core.docker_client import DockerClient

from neutrality.broker.embedded.ports import pick_free_port

IMAGE = "postgres:17"


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a running server, as SQLAlchemy takes it."""
    try:
        DockerClient().client.ping()
    except Exception as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"no engine for containers answers: {error}")
    container = PostgresContainer(IMAGE, driver="asyncpg")
    # a test's data need not outlive the machine
    container.with_command("postgres -c fsync=off -c max_connections=300").with_bind_ports(5432, pick_free_port())
    with container as running:
        yield running.get_connection_url()


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """An empty database there."""
    name = f"test_{secrets.token_hex(6)}"
    _run(postgres, f"CREATE DATABASE {name}")
    yield make_url(postgres).set(database=name).render_as_string(hide_password=False)
    _run(postgres, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """A file that is not there yet."""
    return f"sqlite+aiosqlite:///{tmp_path / 'alerts.db'}"


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """Each in turn."""
    url: str = request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url")
    return url


def _run(server: str, statement: str) -> None:
    async def run() -> None:
        engine = create_async_engine(server, isolation_level="AUTOCOMMIT")
        async with engine.connect() as connection:
            await connection.execute(text(statement))
        await engine.dispose()

    asyncio.run(run())
