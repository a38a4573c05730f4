"""Alerts in the order of decisions, and which of them Kafka has: statements over a connection.

An alert's `position` is its place in the order, which is the order of commits too: whoever reads behind a position misses nothing. Streams
resume by it.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.events.alert import Alert, parse_alert
from services.alerts.dialects import Turn, add, take_turn
from services.alerts.news import news_of
from services.alerts.tables import ALERTS


@dataclass(frozen=True, slots=True)
class StoredAlert:
    """An alert and its place in the order of decisions."""

    position: int
    alert: Alert


async def add_alerts(connection: AsyncConnection, alerts: Sequence[Alert]) -> None:
    """Write alerts at the end of the order, for every channel; one whose id is known is not written again.

    Other transactions wait for the end of this one before they do the same.
    """
    if alerts:
        await take_turn(connection, Turn.POSITIONS)  # a position is never seen before a lower one
        rows = [
            {
                "id": one.id,
                "lab": one.lab,
                "vendor": one.vendor,
                "document": orjson.dumps(one),
                "delivered": False,
                "raised_ms": int(datetime.fromisoformat(one.raised_at).timestamp() * 1000),
            }
            for one in alerts
        ]
        await connection.execute(add(connection, ALERTS), rows)
        news_of(connection).labs.update(alert.lab for alert in alerts)


async def alerts_behind(connection: AsyncConnection, lab: str, after: int, limit: int) -> tuple[StoredAlert, ...]:
    """A lab's alerts behind a position, in order."""
    query = select(ALERTS.c.position, ALERTS.c.document).where(ALERTS.c.lab == lab, ALERTS.c.position > after)
    return _stored(await connection.execute(query.order_by(ALERTS.c.position).limit(limit)))


async def position_of(connection: AsyncConnection, lab: str, alert_id: str) -> int | None:
    """Where one of a lab's alerts stands; None if the lab has no such alert."""
    query = select(ALERTS.c.position).where(ALERTS.c.lab == lab, ALERTS.c.id == alert_id)
    return (await connection.execute(query)).scalar()


async def alert_of(connection: AsyncConnection, lab: str, alert_id: str) -> Alert | None:
    """One of a lab's alerts; None if the lab has no such alert."""
    query = select(ALERTS.c.document).where(ALERTS.c.lab == lab, ALERTS.c.id == alert_id)
    document: bytes | None = (await connection.execute(query)).scalar()
    return None if document is None else parse_alert(document)


async def last_position(connection: AsyncConnection) -> int:
    """Position of the newest alert of all; 0 if there is none."""
    return (await connection.execute(select(func.max(ALERTS.c.position)))).scalar() or 0


async def undelivered(connection: AsyncConnection, labs: Collection[str], after: int, limit: int) -> tuple[StoredAlert, ...]:
    """Alerts of these labs behind a position that Kafka is not known to have, in order."""
    query = select(ALERTS.c.position, ALERTS.c.document).where(
        ALERTS.c.delivered.is_(False), ALERTS.c.position > after, ALERTS.c.lab.in_(sorted(labs))
    )
    return _stored(await connection.execute(query.order_by(ALERTS.c.position).limit(limit)))


async def oldest_undelivered(connection: AsyncConnection) -> Alert | None:
    """The first of all labs that Kafka is not known to have."""
    query = select(ALERTS.c.document).where(ALERTS.c.delivered.is_(False)).order_by(ALERTS.c.position).limit(1)
    found = (await connection.execute(query)).scalar()
    return None if found is None else parse_alert(found)


async def mark_delivered(connection: AsyncConnection, positions: Sequence[int]) -> None:
    """Kafka has these."""
    await connection.execute(update(ALERTS).where(ALERTS.c.position.in_(positions)).values(delivered=True))


def _stored(rows: Iterable[Any]) -> tuple[StoredAlert, ...]:
    return tuple(StoredAlert(position, parse_alert(document)) for position, document in rows)
