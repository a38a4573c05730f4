"""What is shared out between instances: partitions of the scores, topics of labs, endpoints. Each is one instance's at a time.

A lease is a row with an owner and an end. The owner moves the end on as long as it lives; after a crash it lapses, and another takes it. Each
instance takes its share of each kind, and hands over what is too much once another comes. Claims skip rows that another claims at that moment:
they wait for nobody.

A lease saves double work; it is no proof. What must not happen twice is decided in its own transaction (`state.move_offsets`).
Clocks of instances should agree within a second or two.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from typing import Final, Protocol

import structlog
from sqlalchemy import ColumnElement, delete, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.database import Database, DatabaseUnavailable
from services.alerts.dialects import add, put
from services.alerts.news import News
from services.alerts.tables import INSTANCES, LEASES

SCORE_PARTITION: Final = "score partition"
TOPIC: Final = "topic"
ENDPOINT: Final = "endpoint"
LEASE_S: Final = 6.0  # how long what a killed instance did stands still
RENEW_S: Final = 1.5
FINISH_S: Final = 5.0  # at the stop, for what is in hand

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Holder(Protocol):
    """Works on what it holds of one kind."""

    def hold(self, names: frozenset[str]) -> None:
        """Work on these; begin nothing on others from now on."""
        ...

    async def finish(self, names: frozenset[str]) -> None:
        """Returns once nothing is in hand of these, which it holds no longer."""
        ...


async def offer(connection: AsyncConnection, kind: str, names: Collection[str]) -> None:
    """There is something to be worked on; it may be known already."""
    await connection.execute(
        add(connection, LEASES), [{"kind": kind, "name": name, "owner": "", "until_ms": 0} for name in names]
    )


async def withdraw(connection: AsyncConnection, kind: str, name: str) -> None:
    """There is no longer."""
    await connection.execute(delete(LEASES).where(LEASES.c.kind == kind, LEASES.c.name == name))


class Leases:
    """`run` holds this instance's share until it is cancelled, and gives all back then."""

    def __init__(
        self,
        database: Database,
        instance: str,
        holders: Mapping[str, Holder],
        *,
        clock: Callable[[], datetime],
        lease_s: float = LEASE_S,
        renew_s: float = RENEW_S,
    ) -> None:
        """`holders` by kind; `instance` is another for each process. A lease lapses `lease_s` after it was renewed, every `renew_s`."""
        self._database = database
        self._instance = instance
        self._holders = holders
        self._clock = clock
        self._lease_ms, self._renew_s = int(lease_s * 1000), renew_s
        self._held: dict[str, frozenset[str]] = dict.fromkeys(holders, frozenset())
        self._leaving: dict[str, frozenset[str]] = dict.fromkeys(holders, frozenset())
        self._handing_over: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self.are_renewed = False

    def hear(self, news: News) -> None:
        """Endpoints came or went."""
        if news.endpoints:
            self._wake.set()

    def held(self, kind: str) -> frozenset[str]:
        """What is this instance's."""
        return self._held[kind]

    async def run(self) -> None:
        """Renew, claim and hand over."""
        try:
            while True:
                self._wake.clear()
                try:
                    await self.tick()
                    self.are_renewed = True
                except DatabaseUnavailable as error:
                    self.are_renewed = False
                    log.warning("leases_not_renewed", error=str(error))
                try:
                    await asyncio.wait_for(self._wake.wait(), self._renew_s)
                except TimeoutError:
                    continue
        finally:
            await self._give_back()

    async def tick(self) -> None:
        """Once: move the ends on, hand over what is too much, take what is free. Raises DatabaseUnavailable."""
        now_ms = int(self._clock().timestamp() * 1000)
        surplus: dict[str, frozenset[str]] = {}
        async with self._database.transaction() as connection:
            others = await self._is_alive(connection, now_ms)
            mine = await self._renew(connection, now_ms)
            for kind in self._holders:
                total = (await connection.execute(select(func.count()).where(LEASES.c.kind == kind))).scalar_one()
                share = -(-total // (others + 1))
                kept = mine.setdefault(kind, set())
                kept -= self._leaving[kind]
                surplus[kind] = frozenset(sorted(kept)[share:])
                kept -= surplus[kind]
                if len(kept) < share:
                    kept |= await self._claim(connection, kind, share - len(kept), now_ms)
        for kind, holder in self._holders.items():
            if mine[kind] != self._held[kind]:
                self._held[kind] = frozenset(mine[kind])
                holder.hold(self._held[kind])
            if surplus[kind]:
                self._leaving[kind] |= surplus[kind]
                handing_over = asyncio.create_task(self._hand_over(kind, surplus[kind]))
                self._handing_over.add(handing_over)
                handing_over.add_done_callback(self._handing_over.discard)

    async def _hand_over(self, kind: str, names: frozenset[str]) -> None:
        """What is in hand is brought to its end first, so that nothing is sent by two."""
        log.info("leases_handed_over", kind=kind, count=len(names))
        await self._holders[kind].finish(names)
        try:
            await self._release(LEASES.c.kind == kind, LEASES.c.name.in_(sorted(names)))
        except DatabaseUnavailable as error:
            log.warning("leases_not_given_back", error=str(error))
        self._leaving[kind] -= names

    async def _is_alive(self, connection: AsyncConnection, now_ms: int) -> int:
        """Say that this instance is; how many others are."""
        here = {"id": self._instance, "until_ms": now_ms + self._lease_ms}
        await connection.execute(put(connection, INSTANCES), here)
        dead = select(INSTANCES.c.id).where(INSTANCES.c.until_ms < now_ms).with_for_update(skip_locked=True)
        await connection.execute(delete(INSTANCES).where(INSTANCES.c.id.in_(dead)))
        living = select(func.count()).where(INSTANCES.c.until_ms >= now_ms, INSTANCES.c.id != self._instance)
        return int((await connection.execute(living)).scalar_one())

    async def _renew(self, connection: AsyncConnection, now_ms: int) -> dict[str, set[str]]:
        """Move the ends on; what is this instance's, by kind."""
        renewed = update(LEASES).where(LEASES.c.owner == self._instance).values(until_ms=now_ms + self._lease_ms)
        mine: dict[str, set[str]] = {}
        for kind, name in await connection.execute(renewed.returning(LEASES.c.kind, LEASES.c.name)):
            mine.setdefault(kind, set()).add(name)
        return mine

    async def _claim(self, connection: AsyncConnection, kind: str, count: int, now_ms: int) -> set[str]:
        """Take so many that are free, or whose owner is dead."""
        free = (
            select(LEASES.c.kind, LEASES.c.name)
            .where(LEASES.c.kind == kind, LEASES.c.owner != self._instance, LEASES.c.until_ms < now_ms)
            .order_by(LEASES.c.name)
            .limit(count)
            .with_for_update(skip_locked=True)
        )
        claimed = (
            update(LEASES)
            .where(tuple_(LEASES.c.kind, LEASES.c.name).in_(free))
            .values(owner=self._instance, until_ms=now_ms + self._lease_ms)
        )
        return set((await connection.execute(claimed.returning(LEASES.c.name))).scalars())

    async def _release(self, *which: ColumnElement[bool]) -> None:
        async with self._database.transaction() as connection:
            freed = update(LEASES).where(LEASES.c.owner == self._instance, *which).values(owner="", until_ms=0)
            await connection.execute(freed)

    async def _give_back(self) -> None:
        """At the stop: others need not wait until the leases lapse."""
        for holder in self._holders.values():
            holder.hold(frozenset())
        finishing = [holder.finish(self._held[kind]) for kind, holder in self._holders.items()]
        with contextlib.suppress(TimeoutError):  # what takes longer is done again by another
            await asyncio.wait_for(asyncio.gather(*finishing, *self._handing_over), FINISH_S)
        try:
            await self._release()
            async with self._database.transaction() as connection:
                await connection.execute(delete(INSTANCES).where(INSTANCES.c.id == self._instance))
        except DatabaseUnavailable as error:
            log.warning("leases_not_given_back", error=str(error))
