"""What SQLite and PostgreSQL do not say alike. Statements elsewhere are common to both; only this module and `database` know which of them it is.

`with_for_update` is common too: SQLite, which has one writer at a time, leaves it out.
"""

from enum import IntEnum
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, Integer, Table, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

BIG: Final = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts rows by INTEGER alone, which has 64 bits there


class Turn(IntEnum):
    """What writers of several instances take turns for, until their transactions end. Numbers of PostgreSQL's advisory locks."""

    MIGRATING = 7_263_001
    TERMS = 7_263_002
    POSITIONS = 7_263_003  # the last one that a transaction takes


async def take_turn(connection: AsyncConnection, turn: Turn, *, shared: bool = False) -> None:
    """Wait until no other transaction has this turn; those that share it do not wait for one another.

    On SQLite every transaction that writes is alone.
    """
    if connection.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock_shared if shared else func.pg_advisory_xact_lock
        await connection.execute(select(lock(int(turn))))


async def notify(connection: AsyncConnection, channel: str, payload: bytes) -> None:
    """Tell whoever listens, once this is committed. SQLite has one instance alone."""
    if connection.dialect.name == "postgresql":
        await connection.execute(select(func.pg_notify(channel, payload.decode())))


def insert_into(dialect: str, table: Table) -> Any:
    """`INSERT` with `on_conflict_do_update` and `on_conflict_do_nothing`; `dialect`: the connection's `dialect.name`."""
    return (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)


def put(connection: AsyncConnection, table: Table) -> Any:
    """Insert rows, or overwrite those of the same primary key."""
    return _put(connection.dialect.name, table)


def add(connection: AsyncConnection, table: Table) -> Any:
    """Insert rows; one that is there already stays as it is."""
    return _add(connection.dialect.name, table)


@cache  # building a statement costs more than SQLite takes to answer it
def _put(dialect: str, table: Table) -> Any:
    statement = insert_into(dialect, table)
    keys = [column.name for column in table.primary_key]
    rest = {column.name: statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=keys, set_=rest)


@cache
def _add(dialect: str, table: Table) -> Any:
    return insert_into(dialect, table).on_conflict_do_nothing()
