"""The database: connections, transactions, and the news that they tell.

SQLite is one instance's: a lock on a file beside it refuses a second one. WAL, so that readers do not wait for the writer, with
`synchronous=FULL`: an offset that was committed must outlive a power cut, or alerts behind it would be skipped for good. PostgreSQL serves several.

What is said to it stands in `state`, `outbox`, `leases` and the stores of webhooks: functions over a connection.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TextIO, TypeVar

import structlog
from asyncpg import InterfaceError, PostgresConnectionError
from sqlalchemy import Connection, delete, event, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoFreeConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.alerts.dialects import Turn, notify, take_turn
from services.alerts.migrations import migrate
from services.alerts.news import News, begin_news, parse_news
from services.alerts.sqlite_in_loop import connector
from services.alerts.tables import INSTANCES, LEASES

CONNECTIONS: Final = 20  # of one instance to PostgreSQL at once; its default takes 100 of all
LOOK_EVERY_S: Final = 5.0  # for what was not heard of
_CHANNEL: Final = "neutrality_alerts"
_BUSY_LIMIT_S: Final = 5.0
_CONNECT_LIMIT_S: Final = 10.0
_STATEMENT_LIMIT_S: Final = 60.0
_IDLE_LIMIT_S: Final = 30
# PostgreSQL's classes and codes of what may be otherwise a moment later: connections, a lost deadlock, a server that comes or goes
_PASSING: Final = ("08", "40", "53300", "57P")

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)
_Given = ParamSpec("_Given")
_Found = TypeVar("_Found")


class DatabaseInUse(Exception):  # noqa: N818 - named for what it is
    """Another instance holds the database. Fate: stop."""

    retriable = False


class DatabaseUnavailable(Exception):  # noqa: N818 - named for what it is
    """The database does not answer, or has given up a transaction; whether that was committed is not known. Fate: look, and try again."""

    retriable = True


class Database:
    """Opened by `open`, closed by `close`; who opens it closes it. All that uses it may raise DatabaseUnavailable."""

    def __init__(
        self, engine: AsyncEngine, instance: str, lock: TextIO | None = None, committing: ThreadPoolExecutor | None = None
    ) -> None:
        """Use `Database.open`. `lock` and `committing`: of a SQLite file."""
        self._committing = committing
        self._engine = engine
        self._instance = instance
        self._lock = lock
        self._listeners: list[Callable[[News], None]] = []
        self._is_file = engine.dialect.name == "sqlite"
        # SQLite lets writers wait, but not in turn
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if self._is_file else nullcontext()
        # a reader needs no transaction around its statement, and PostgreSQL none of the two messages for it
        self._reading = engine if self._is_file else engine.execution_options(isolation_level="AUTOCOMMIT")

    @classmethod
    async def open(cls, url: str | URL, instance: str = "") -> "Database":
        """Connect, and bring the tables to the newest revision. `instance`: who tells news.

        Raises:
            DatabaseInUse: another instance has the SQLite file.
            SchemaMismatch: its tables are of another version.
            DatabaseUnavailable: it cannot be reached.
            DBAPIError, OSError: it cannot be used.
        """
        where = make_url(url)
        is_file = where.get_backend_name() == "sqlite"
        opened = cls._of_file(where, instance) if is_file else cls._of_server(where, instance)
        try:
            async with opened.transaction() as connection:
                await take_turn(connection, Turn.MIGRATING)
                await connection.run_sync(migrate)
                if is_file:  # the file's lock proves that nobody else lives
                    await connection.execute(delete(INSTANCES))
                    await connection.execute(update(LEASES).values(owner="", until_ms=0))
        except BaseException:
            await opened.close()
            raise
        return opened

    @classmethod
    def _of_file(cls, url: URL, instance: str) -> "Database":
        path = Path(url.database or "")
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.with_name(path.name + ".lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise DatabaseInUse(
                f"another instance of alerts uses {path}; stop it, or give this one its own ALERTS_DATABASE_URL"
            ) from error
        committing = ThreadPoolExecutor(1, thread_name_prefix="commits")
        engine = create_async_engine(url, async_creator=connector(str(path), committing, busy_limit_s=_BUSY_LIMIT_S))
        event.listen(engine.sync_engine, "connect", _prepare)
        event.listen(engine.sync_engine, "begin", _begin)
        return cls(engine, instance, lock, committing)

    @classmethod
    def _of_server(cls, url: URL, instance: str) -> "Database":
        driver = {
            "timeout": _CONNECT_LIMIT_S,
            "command_timeout": _STATEMENT_LIMIT_S,
            "server_settings": {
                "application_name": f"neutrality-alerts {instance}".strip(),
                # of an instance whose machine has vanished: its locks must not outlive it by hours
                "idle_in_transaction_session_timeout": str(_IDLE_LIMIT_S * 1000),
                "tcp_keepalives_idle": str(_IDLE_LIMIT_S),
                "tcp_keepalives_interval": "5",
                "tcp_keepalives_count": "3",
            },
        }
        # a connection that the server has dropped is found out before it is used
        engine = create_async_engine(
            url, pool_size=CONNECTIONS, max_overflow=0, pool_pre_ping=True, pool_use_lifo=True, connect_args=driver
        )
        return cls(engine, instance)

    def on_error(self, told: Callable[[], object]) -> None:
        """Call this whenever the database refuses or does not answer."""
        event.listen(self._engine.sync_engine, "handle_error", lambda _context: told() and None)

    async def close(self) -> None:
        """Let go of the file, or of the connections."""
        await self._engine.dispose()
        if self._committing is not None:
            self._committing.shutdown(wait=False)
        if self._lock is not None:
            self._lock.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write: committed at its end, rolled back on an error. On SQLite one at a time.

        What it adds to `news_of(connection)` is told once it is committed.
        """
        with _failures_told():
            async with self._turn, self._engine.begin() as connection:
                news = begin_news(connection)
                yield connection
                if news:
                    await notify(connection, _CHANNEL, news.to_bytes(self._instance))
        if news:
            self._tell(news)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection that only reads; it waits for no writer."""
        with _failures_told():
            async with self._reading.connect() as connection:
                yield connection

    async def read(
        self,
        ask: Callable[Concatenate[AsyncConnection, _Given], Awaitable[_Found]],
        *given: _Given.args,
        **named: _Given.kwargs,
    ) -> _Found:
        """One question."""
        async with self.reading() as connection:
            return await ask(connection, *given, **named)

    def follow(self, listener: Callable[[News], None]) -> None:
        """Have a listener told of commits: of this instance at once, of others while `listen` runs."""
        self._listeners.append(listener)

    async def listen(self) -> None:
        """Tell listeners what other instances commit, and to look everywhere now and then; until it is cancelled."""
        while True:
            try:
                await (asyncio.sleep(LOOK_EVERY_S) if self._is_file else self._hear())
            except DatabaseUnavailable as error:
                log.warning("database_not_heard", error=str(error))
                await asyncio.sleep(1.0)
            self._tell(News(everything=True))

    async def _hear(self) -> None:
        async with self.reading() as connection:
            driver: Any = (await connection.get_raw_connection()).driver_connection
            try:
                await driver.add_listener(_CHANNEL, self._heard)
                while True:
                    self._tell(News(everything=True))  # what was told before it listened
                    await asyncio.sleep(LOOK_EVERY_S)
                    await connection.execute(select(1))  # whether it would still hear
            except (PostgresConnectionError, InterfaceError) as error:  # the driver's own, past SQLAlchemy
                raise DatabaseUnavailable(str(error)) from error
            finally:
                await connection.invalidate()

    def _heard(self, _connection: object, _process: int, _channel: str, payload: str) -> None:
        by, news = parse_news(payload)
        if by != self._instance:
            self._tell(news)

    def _tell(self, news: News) -> None:
        for listener in self._listeners:
            listener(news)


@contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        code = str(getattr(error.orig, "sqlstate", None) or "")
        if error.connection_invalidated or code.startswith(_PASSING):
            raise DatabaseUnavailable(str(error.orig)) from error
        raise
    except (OSError, TimeoutError, NoFreeConnection) as error:
        raise DatabaseUnavailable(str(error) or type(error).__name__) from error


def _prepare(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")
