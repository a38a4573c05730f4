"""SQLite in the event loop's own thread: the connections that SQLAlchemy's aiosqlite dialect is given.

aiosqlite hands every step of every statement to a thread and back: some six changes of thread for a statement that SQLite answers in ten
microseconds, and under load each waits for the interpreter. Here a statement is answered where it is asked. Only a commit, which waits for the
disk, has a thread.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

_STATEMENTS: Final = 512  # that stay prepared in each connection


class _Cursor:
    """See aiosqlite.Cursor."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    async def __aenter__(self) -> Self:
        return self

    def __getattr__(self, name: str) -> Any:  # description, rowcount, lastrowid, arraysize
        return getattr(self._cursor, name)

    async def execute(self, operation: str, parameters: Sequence[Any] = ()) -> Self:
        self._cursor.execute(operation, parameters)
        return self

    async def executemany(self, operation: str, rows: Sequence[Sequence[Any]]) -> Self:
        self._cursor.executemany(operation, rows)
        return self

    async def fetchall(self) -> list[Any]:
        return self._cursor.fetchall()

    async def close(self) -> None:
        self._cursor.close()


class InLoopConnection:
    """See aiosqlite.Connection; as much of it as SQLAlchemy's dialect asks for."""

    def __init__(self, connection: sqlite3.Connection, committing: ThreadPoolExecutor) -> None:
        """`committing`: the thread for commits."""
        self._connection = connection  # by this name the dialect sees that it is open
        self._committing = committing

    def cursor(self) -> _Cursor:
        """A cursor."""
        return _Cursor(self._connection.cursor())

    async def create_function(self, *given: Any, **named: Any) -> None:
        """See sqlite3."""
        self._connection.create_function(*given, **named)

    async def commit(self) -> None:
        """Ends when it is on the disk."""
        await asyncio.get_running_loop().run_in_executor(self._committing, self._connection.commit)

    async def rollback(self) -> None:
        """Of a commit that is under way: waits for its end."""
        self._connection.rollback()

    async def close(self) -> None:
        """Close it."""
        self._connection.close()

    def stop(self) -> None:
        """Close it where no loop runs any more."""
        self._connection.close()


def connector(path: str, committing: ThreadPoolExecutor, *, busy_limit_s: float) -> Callable[..., Awaitable[InLoopConnection]]:
    """For `create_async_engine(async_creator=...)`: opens connections that begin no transaction of their own."""

    async def connect(*_given: Any, **_named: Any) -> InLoopConnection:
        opened = sqlite3.connect(
            path, timeout=busy_limit_s, isolation_level=None, check_same_thread=False, cached_statements=_STATEMENTS
        )
        return InLoopConnection(opened, committing)

    return connect
