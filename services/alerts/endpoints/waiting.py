"""What waits for endpoints in the database.

Of each vendor only the oldest delivery is looked at, its head, so that none overtakes another. Heads are found by seeking from vendor to vendor in
the index `deliveries_outbox`: a look costs as much as there are vendors, however much waits behind them for an endpoint that is dead.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, bindparam, case, exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.events.alert import Alert, parse_alert
from services.alerts.database import Database
from services.alerts.domain.endpoint import Key
from services.alerts.domain.notice import Notice, parse_notice
from services.alerts.tables import ALERTS, DELIVERIES, ENDPOINTS

MOST_AVAILABLE: Final = 500  # that are looked at for one message; a digest holds no more
MOST_KEYS: Final = 64  # that are asked for at once


@dataclass(frozen=True, slots=True)
class Delivery:
    """An alert, or a notice, that waits for an endpoint since `due_ms`, after so many attempts."""

    content: Alert | Notice
    attempts: int
    due_ms: int

    @property
    def vendor(self) -> str:
        """Whose order it keeps; of a notice, nobody's."""
        return self.content.vendor if isinstance(self.content, Alert) else ""

    @property
    def group(self) -> str:
        """What people are told together with it."""
        return self.content.group if isinstance(self.content, Alert) else ""


def _waits(deliveries: Any, at: Any, *, by_vendor: bool = True) -> Any:
    """A delivery to the endpoint that a row is of, and of its vendor."""
    there = and_(deliveries.c.lab == at.c.lab, deliveries.c.name == at.c.name, deliveries.c.state == "pending")
    return and_(there, deliveries.c.vendor == at.c.vendor) if by_vendor else there


def _heads() -> Any:
    """Lab, endpoint, vendor and position of each vendor's oldest delivery to the endpoints `keys`."""

    def first(column: Any, *conditions: Any) -> Any:
        return select(column).where(*conditions).order_by(column).limit(1).scalar_subquery()

    def waits_at(at: Any) -> Any:
        return _waits(DELIVERIES, at, by_vendor=False)

    asked = tuple_(ENDPOINTS.c.lab, ENDPOINTS.c.name).in_(bindparam("keys", expanding=True))
    begin = select(ENDPOINTS.c.lab, ENDPOINTS.c.name, first(DELIVERIES.c.vendor, waits_at(ENDPOINTS)).label("vendor"))
    vendors = begin.where(asked).cte("vendors", recursive=True)
    following = first(DELIVERIES.c.vendor, waits_at(vendors), DELIVERIES.c.vendor > vendors.c.vendor)
    vendors = vendors.union_all(select(vendors.c.lab, vendors.c.name, following).where(vendors.c.vendor.is_not(None)))
    oldest = first(DELIVERIES.c.position, _waits(DELIVERIES, vendors))
    found = select(vendors.c.lab, vendors.c.name, vendors.c.vendor, oldest.label("position"))
    return found.where(vendors.c.vendor.is_not(None)).cte("heads")


# made once: building a statement costs more than SQLite takes to answer it
_HEADS: Final = _heads()
_IS_HEAD: Final = and_(_waits(DELIVERIES, _HEADS), DELIVERIES.c.position == _HEADS.c.position)
_WAITS_UNTIL: Final = case((DELIVERIES.c.due_ms <= bindparam("now_ms"), 0), else_=DELIVERIES.c.due_ms)
_PLACE: Final = func.row_number().over(
    partition_by=(DELIVERIES.c.lab, DELIVERIES.c.name), order_by=(_WAITS_UNTIL, DELIVERIES.c.position)
)
_RANKED: Final = select(DELIVERIES, _PLACE.label("place")).join_from(_HEADS, DELIVERIES, _IS_HEAD).subquery("ranked")
_DUE: Final = (
    select(_RANKED.c.lab, _RANKED.c.name, ALERTS.c.document, _RANKED.c.notice, _RANKED.c.attempts, _RANKED.c.due_ms)
    .join_from(_RANKED, ALERTS, ALERTS.c.id == _RANKED.c.alert, isouter=True)
    .where(_RANKED.c.place <= bindparam("most"))
    .order_by(_RANKED.c.lab, _RANKED.c.name, _RANKED.c.place)
)
_NEXT_DUE: Final = (
    select(func.min(DELIVERIES.c.due_ms))
    .join_from(_HEADS, DELIVERIES, _IS_HEAD)
    .where(DELIVERIES.c.vendor.not_in(bindparam("busy", expanding=True)))
)
_OLDER: Final = DELIVERIES.alias("older")
_HELD_UP: Final = exists().where(
    _waits(_OLDER, DELIVERIES), _OLDER.c.position <= DELIVERIES.c.position, _OLDER.c.due_ms > bindparam("now_ms")
)
_HEAD: Final = DELIVERIES.alias("head")
_BEGINS: Final = exists().where(
    _waits(_HEAD, _HEADS), _HEAD.c.position == _HEADS.c.position, _HEAD.c.due_ms <= bindparam("now_ms")
)
_AVAILABLE: Final = (
    select(ALERTS.c.document, DELIVERIES.c.notice, DELIVERIES.c.attempts, DELIVERIES.c.due_ms)
    .select_from(_HEADS)
    .join(DELIVERIES, _waits(DELIVERIES, _HEADS))
    .join(ALERTS, ALERTS.c.id == DELIVERIES.c.alert, isouter=True)
    .where(_BEGINS, ~_HELD_UP)
    .order_by(DELIVERIES.c.position)
    .limit(MOST_AVAILABLE)
)


async def heads(connection: AsyncConnection, keys: Collection[Key], now_ms: int, most: int) -> dict[Key, list[Delivery]]:
    """Of each vendor the oldest delivery that waits, at most so many for an endpoint: those that are due in order, then by when they will be."""
    found: dict[Key, list[Delivery]] = {key: [] for key in keys}
    values = {"keys": _padded(sorted(found)), "now_ms": now_ms, "most": most}
    for lab, name, *delivery in await connection.execute(_DUE, values):
        found[lab, name].append(_delivery(*delivery))
    return found


def _padded(keys: list[Key]) -> list[Key]:
    """To a power of two, so that few statements are prepared."""
    return keys + keys[-1:] * ((1 << (len(keys) - 1).bit_length()) - len(keys))


async def available(connection: AsyncConnection, key: Key, now_ms: int) -> tuple[Delivery, ...]:
    """All that may be sent now, in order: what is due, and behind nothing of its vendor that is not. Of much the oldest."""
    return tuple(_delivery(*row) for row in await connection.execute(_AVAILABLE, {"keys": [key], "now_ms": now_ms}))


async def next_due_ms(connection: AsyncConnection, key: Key, busy: Collection[str]) -> int | None:
    """When something is due of vendors that are not busy; None: nothing of them waits."""
    found: int | None = (await connection.execute(_NEXT_DUE, {"keys": [key], "busy": list(busy)})).scalar()
    return found


def _delivery(alert: bytes | None, notice: bytes | None, attempts: int, due_ms: int) -> Delivery:
    return Delivery(parse_alert(alert) if alert is not None else parse_notice(notice or b""), attempts, due_ms)


class Look:
    """One look into the database for all endpoints that look at the same moment, or while the last look lasts."""

    def __init__(self, database: Database, *, most: int) -> None:
        """`most`: heads that are wanted for an endpoint."""
        self._database, self._most = database, most
        self._asking: list[tuple[Key, int, asyncio.Future[list[Delivery]]]] = []
        self._looking: asyncio.Task[None] | None = None

    async def heads(self, key: Key, now_ms: int) -> list[Delivery]:
        """See `heads`. Raises DatabaseUnavailable."""
        found: asyncio.Future[list[Delivery]] = asyncio.get_running_loop().create_future()
        self._asking.append((key, now_ms, found))
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), name="looks what waits for endpoints")
        return await found

    async def _look(self) -> None:
        await asyncio.sleep(0)  # others ask too
        while self._asking:
            asked, self._asking = self._asking[:MOST_KEYS], self._asking[MOST_KEYS:]
            try:
                found = await self._database.read(
                    heads, {key for key, _, _ in asked}, max(now_ms for _, now_ms, _ in asked), self._most
                )
            except Exception as error:  # noqa: BLE001 - told to who asked
                _settle(asked, error)
            else:
                _settle(asked, found)
        self._looking = None


def _settle(
    asked: Sequence[tuple[Key, int, "asyncio.Future[list[Delivery]]"]], found: dict[Key, list[Delivery]] | Exception
) -> None:
    for key, _, future in asked:
        if not future.done():
            future.set_exception(found) if isinstance(found, Exception) else future.set_result(found[key])
