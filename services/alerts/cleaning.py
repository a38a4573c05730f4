"""Removes what was kept for long enough, a page a transaction, so that nobody waits for it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import and_, delete, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.database import Database, DatabaseUnavailable
from services.alerts.decisions.store import forget_decisions
from services.alerts.decisions.tables import ATTENTION
from services.alerts.tables import ALERTS, ATTEMPTS, DELIVERIES, HISTORY

EVERY_S: Final = 3600.0
_PAGE: Final = 1_000

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """For how long."""

    history: timedelta
    alerts: timedelta
    attempts: timedelta


class Cleaner:
    """`run` until it is cancelled; several instances may do the same."""

    def __init__(self, database: Database, kept: Kept, *, clock: Callable[[], datetime]) -> None:
        """Who makes it owns the database."""
        self._database, self._kept, self._clock = database, kept, clock

    async def run(self) -> None:
        """Now and every hour."""
        while True:
            try:
                await self.clean()
            except DatabaseUnavailable as error:
                log.warning("cleaning_postponed", error=str(error))
            await asyncio.sleep(EVERY_S)

    async def clean(self) -> None:
        """Once."""
        now = self._clock()
        for forget, kept in (
            (forget_history, self._kept.history),
            (forget_alerts, self._kept.alerts),
            (forget_decisions, self._kept.alerts),
            (forget_attempts, self._kept.attempts),
        ):
            await self._pages(forget, int((now - kept).timestamp() * 1000))

    async def _pages(self, forget: Callable[[AsyncConnection, int], Awaitable[int]], before_ms: int) -> None:
        removed = _PAGE
        while removed == _PAGE:
            async with self._database.transaction() as connection:
                removed = await forget(connection, before_ms)


async def forget_history(connection: AsyncConnection, before_ms: int) -> int:
    """Of each vendor the steps before the one that held at that time; a page of them."""
    held = (
        select(HISTORY.c.vendor, func.max(HISTORY.c.version).label("version"))
        .where(HISTORY.c.at_ms < before_ms)
        .group_by(HISTORY.c.vendor)
        .subquery()
    )
    older = and_(HISTORY.c.vendor == held.c.vendor, HISTORY.c.version < held.c.version)
    found = (
        await connection.execute(select(HISTORY.c.vendor, HISTORY.c.version).join_from(HISTORY, held, older).limit(_PAGE))
    ).all()
    by_vendor: dict[str, list[int]] = {}
    for vendor, version in found:
        by_vendor.setdefault(vendor, []).append(version)
    for vendor, versions in by_vendor.items():
        await connection.execute(delete(HISTORY).where(HISTORY.c.vendor == vendor, HISTORY.c.version.in_(versions)))
    return len(found)


async def forget_alerts(connection: AsyncConnection, before_ms: int) -> int:
    """Alerts that were raised before that time and have reached all that they were for, with what became of them; a page of them."""
    waits = exists().where(DELIVERIES.c.lab == ALERTS.c.lab, DELIVERIES.c.alert == ALERTS.c.id, DELIVERIES.c.state == "pending")
    query = select(ALERTS.c.id).where(ALERTS.c.raised_ms < before_ms, ALERTS.c.delivered.is_(True), ~waits)
    found = (await connection.execute(query.order_by(ALERTS.c.raised_ms).limit(_PAGE))).scalars().all()
    if found:
        await connection.execute(delete(DELIVERIES).where(DELIVERIES.c.alert.in_(found)))
        await connection.execute(delete(ATTENTION).where(ATTENTION.c.alert.in_(found)))
        await connection.execute(delete(ALERTS).where(ALERTS.c.id.in_(found)))
    return len(found)


async def forget_attempts(connection: AsyncConnection, before_ms: int) -> int:
    """Of the log of deliveries what is older; a page of it."""
    found = (await connection.execute(select(ATTEMPTS.c.number).where(ATTEMPTS.c.at_ms < before_ms).limit(_PAGE))).scalars().all()
    if found:
        await connection.execute(delete(ATTEMPTS).where(ATTEMPTS.c.number.in_(found)))
    return len(found)
