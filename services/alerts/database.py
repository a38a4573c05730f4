"""The database: subscriptions, the last assessment of every vendor, how far the scores have been read, and the outbox.

SQLite is one instance's: a lock on a file beside it refuses a second one. WAL, so that readers do not wait for the writer, with
`synchronous=FULL`: an offset that was committed must outlive a power cut, or alerts behind it would be skipped for good. PostgreSQL serves several.

An alert's `position` is its place in the order of decisions, and of commits: whoever reads behind a position misses nothing. Streams resume by it.
The outbox is the alerts that are not `delivered`.
"""

import asyncio
import fcntl
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO

import orjson
from sqlalchemy import Connection, bindparam, delete, event, func, select, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from neutrality.broker.port import TopicPartition
from neutrality.events.alert import Alert, parse_alert
from neutrality.events.assessment import Assessment, InvalidAssessment, assessment_to_bytes, parse_assessment
from services.alerts.dialects import Turn, add, put, take_turn
from services.alerts.domain.subscription import Subscription, SubscriptionTerms
from services.alerts.migrations import SchemaMismatch, migrate
from services.alerts.tables import ALERTS, OFFSETS, REFERENCES, SUBSCRIPTIONS, VENDORS

CONNECTIONS: Final = 20  # of one instance to PostgreSQL at once; its default takes 100 of all
_BUSY_LIMIT_MS: Final = 5_000
_CONNECT_LIMIT_S: Final = 10.0
_STATEMENT_LIMIT_S: Final = 60.0


class DatabaseInUse(Exception):  # noqa: N818 - named for what it is
    """Another instance holds the database. Fate: stop."""

    retriable = False


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert and its place in the order of decisions."""

    position: int
    alert: Alert


class Database:
    """Opened by `open`, closed by `close`; who opens it closes it."""

    def __init__(self, engine: AsyncEngine, lock: TextIO | None = None) -> None:
        """Use `Database.open`. `lock`: of a SQLite file."""
        self._engine = engine
        self._lock = lock
        # SQLite lets writers wait, but not in turn
        self._turn: AbstractAsyncContextManager[Any] = asyncio.Lock() if engine.dialect.name == "sqlite" else nullcontext()

    @classmethod
    async def open(cls, url: str | URL) -> "Database":
        """Connect, and bring the tables to the newest revision.

        Raises:
            DatabaseInUse: another instance has the SQLite file.
            SchemaMismatch: its tables are of another version.
            DBAPIError, OSError: it cannot be reached or used.
        """
        where = make_url(url)
        opened = cls._of_file(where) if where.get_backend_name() == "sqlite" else cls._of_server(where)
        try:
            async with opened.transaction() as connection:
                await take_turn(connection, Turn.MIGRATING)
                await connection.run_sync(migrate)
        except BaseException:
            await opened.close()
            raise
        return opened

    @classmethod
    def _of_file(cls, url: URL) -> "Database":
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
        engine = create_async_engine(url)
        event.listen(engine.sync_engine, "connect", _prepare)
        event.listen(engine.sync_engine, "begin", _begin)
        return cls(engine, lock)

    @classmethod
    def _of_server(cls, url: URL) -> "Database":
        driver = {
            "timeout": _CONNECT_LIMIT_S,
            "command_timeout": _STATEMENT_LIMIT_S,
            "server_settings": {"application_name": "neutrality-alerts"},
        }
        # a connection that the server has dropped is found out before it is used
        engine = create_async_engine(
            url, pool_size=CONNECTIONS, max_overflow=0, pool_pre_ping=True, pool_use_lifo=True, connect_args=driver
        )
        return cls(engine)

    def on_error(self, told: Callable[[], object]) -> None:
        """Call this whenever the database refuses or does not answer."""
        event.listen(self._engine.sync_engine, "handle_error", lambda _context: told() and None)

    async def close(self) -> None:
        """Let go of the file, or of the connections."""
        await self._engine.dispose()
        if self._lock is not None:
            self._lock.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that may write: committed at its end, rolled back on an error. On SQLite one at a time."""
        async with self._turn, self._engine.begin() as connection:
            yield connection

    def reading(self) -> AbstractAsyncContextManager[AsyncConnection]:
        """A connection that only reads; it waits for no writer."""
        return self._engine.connect()

    async def offsets(self) -> dict[TopicPartition, int]:
        """Next offset to read, by partition."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(OFFSETS.c.topic, OFFSETS.c.partition, OFFSETS.c.next_offset))
            return {(topic, partition): offset for topic, partition, offset in rows}

    async def put_subscription(self, wanted: Subscription) -> bool:
        """Make or replace a subscription; whether it is new. Falls are measured anew if the terms have changed."""
        document = wanted.terms().model_dump_json().encode()
        async with self.transaction() as connection:
            key = (SUBSCRIPTIONS.c.lab == wanted.lab, SUBSCRIPTIONS.c.name == wanted.name)
            known = (await connection.execute(select(SUBSCRIPTIONS.c.terms).where(*key))).scalar()
            if known == document:
                return False
            await connection.execute(put(connection, SUBSCRIPTIONS), {"lab": wanted.lab, "name": wanted.name, "terms": document})
            await connection.execute(delete(REFERENCES).where(REFERENCES.c.lab == wanted.lab, REFERENCES.c.name == wanted.name))
            return known is None

    async def delete_subscription(self, lab: str, name: str) -> bool:
        """Remove a subscription; whether there was one. Its alerts stay."""
        async with self.transaction() as connection:
            await connection.execute(delete(REFERENCES).where(REFERENCES.c.lab == lab, REFERENCES.c.name == name))
            gone = await connection.execute(delete(SUBSCRIPTIONS).where(SUBSCRIPTIONS.c.lab == lab, SUBSCRIPTIONS.c.name == name))
            return gone.rowcount > 0

    async def subscriptions(self, lab: str) -> tuple[Subscription, ...]:
        """A lab's subscriptions, by name."""
        async with self._engine.connect() as connection:
            return await subscriptions_of(connection, lab)

    async def vendors(self) -> tuple[Assessment, ...]:
        """The last assessment of every vendor, by vendor."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(VENDORS.c.assessment).order_by(VENDORS.c.vendor))
            return tuple(_assessment(row) for row in rows.scalars())

    async def vendor(self, vendor: str) -> Assessment | None:
        """The last assessment of one vendor."""
        async with self._engine.connect() as connection:
            return (await assessments_of(connection, [vendor])).get(vendor)

    async def alerts(self, lab: str, after: int, limit: int) -> tuple[StoredAlert, ...]:
        """A lab's alerts behind a position, in order."""
        query = select(ALERTS.c.position, ALERTS.c.document).where(ALERTS.c.lab == lab, ALERTS.c.position > after)
        async with self._engine.connect() as connection:
            return _stored(await connection.execute(query.order_by(ALERTS.c.position).limit(limit)))

    async def position_of(self, lab: str, alert_id: str) -> int | None:
        """Where one of a lab's alerts stands; None if the lab has no such alert."""
        async with self._engine.connect() as connection:
            query = select(ALERTS.c.position).where(ALERTS.c.lab == lab, ALERTS.c.id == alert_id)
            found: int | None = (await connection.execute(query)).scalar()
            return found

    async def last_position(self) -> int:
        """Position of the newest alert of all; 0 if there is none."""
        async with self._engine.connect() as connection:
            return (await connection.execute(select(func.max(ALERTS.c.position)))).scalar() or 0

    async def outbox(self, after: int, limit: int) -> tuple[StoredAlert, ...]:
        """Alerts behind a position that are not marked as delivered, in order."""
        query = select(ALERTS.c.position, ALERTS.c.document).where(ALERTS.c.delivered.is_(False), ALERTS.c.position > after)
        async with self._engine.connect() as connection:
            return _stored(await connection.execute(query.order_by(ALERTS.c.position).limit(limit)))

    async def mark_delivered(self, ids: Sequence[str]) -> None:
        """Kafka has these."""
        rows = [{"known": identity} for identity in ids]
        async with self.transaction() as connection:
            await connection.execute(update(ALERTS).where(ALERTS.c.id == bindparam("known")).values(delivered=True), rows)


async def subscriptions_of(connection: AsyncConnection, lab: str | None = None) -> tuple[Subscription, ...]:
    """All subscriptions, or one lab's, in order of (lab, name)."""
    query = select(SUBSCRIPTIONS.c.lab, SUBSCRIPTIONS.c.name, SUBSCRIPTIONS.c.terms).order_by(
        SUBSCRIPTIONS.c.lab, SUBSCRIPTIONS.c.name
    )
    rows = await connection.execute(query if lab is None else query.where(SUBSCRIPTIONS.c.lab == lab))
    return tuple(_subscription(lab_id, name, terms) for lab_id, name, terms in rows)


async def assessments_of(connection: AsyncConnection, vendors: Iterable[str]) -> dict[str, Assessment]:
    """Last assessments by vendor; unknown vendors are left out."""
    rows = await connection.execute(select(VENDORS.c.assessment).where(VENDORS.c.vendor.in_(list(vendors))))
    return {found.vendor: found for found in map(_assessment, rows.scalars())}


async def references_of(connection: AsyncConnection, vendors: Iterable[str]) -> dict[tuple[str, str, str], float]:
    """Reference scores by (lab, subscription, vendor)."""
    rows = await connection.execute(select(REFERENCES).where(REFERENCES.c.vendor.in_(list(vendors))))
    return {(lab, name, vendor): score for lab, name, vendor, score in rows}


async def keep(
    connection: AsyncConnection,
    *,
    assessments: Mapping[str, Assessment],
    references: Mapping[tuple[str, str, str], float],
    alerts: Sequence[Alert],
    offsets: Mapping[TopicPartition, int],
) -> None:
    """Write what a batch led to; an alert whose id is known is not written again."""
    if assessments:
        rows = [{"vendor": a.vendor, "version": a.version, "assessment": assessment_to_bytes(a)} for a in assessments.values()]
        await connection.execute(put(connection, VENDORS), rows)
    if references:
        rows = [{"lab": lab, "name": name, "vendor": vendor, "score": score} for (lab, name, vendor), score in references.items()]
        await connection.execute(put(connection, REFERENCES), rows)
    await add_alerts(connection, alerts)
    rows = [{"topic": topic, "partition": partition, "next_offset": offset} for (topic, partition), offset in offsets.items()]
    await connection.execute(put(connection, OFFSETS), rows)


async def add_alerts(connection: AsyncConnection, alerts: Sequence[Alert]) -> None:
    """Write alerts, at the end of the order; one whose id is known is not written again. Others wait for the end of this transaction to do so."""
    if alerts:
        await take_turn(connection, Turn.POSITIONS)  # a position is never seen before a lower one
        rows = [{"id": a.id, "lab": a.lab, "vendor": a.vendor, "document": orjson.dumps(a), "delivered": False} for a in alerts]
        await connection.execute(add(connection, ALERTS), rows)


def _prepare(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own: it would leave DDL and reads outside
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_LIMIT_MS}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def _subscription(lab: str, name: str, terms: bytes) -> Subscription:
    wanted = SubscriptionTerms.model_validate_json(terms)
    return Subscription(lab=lab, name=name, vendors=wanted.vendors, rules=wanted.rules, drop_points=wanted.drop_points)


def _assessment(document: bytes) -> Assessment:
    found = parse_assessment(document)
    if isinstance(found, InvalidAssessment):
        raise SchemaMismatch(f"a stored assessment cannot be read: {found.detail}")
    return found


def _stored(rows: Iterable[Any]) -> tuple[StoredAlert, ...]:
    return tuple(StoredAlert(position, parse_alert(document)) for position, document in rows)
