"""The history of scores in the database: written in the transaction that takes an assessment in, asked by vendor and time."""

from collections.abc import Sequence

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.dialects import add
from services.alerts.domain.history import Step, parse_step, step_to_bytes
from services.alerts.tables import HISTORY

_SCAN = 500  # versions that are read at once


async def keep(connection: AsyncConnection, steps: Sequence[Step]) -> None:
    """Write steps."""
    rows = [
        {"vendor": step.vendor, "version": step.version, "at_ms": step.at_ms, "document": step_to_bytes(step)} for step in steps
    ]
    if rows:
        await connection.execute(add(connection, HISTORY), rows)


async def stood_at(connection: AsyncConnection, at_ms: int, vendor: str | None = None) -> tuple[Step, ...]:
    """The last step of every vendor, or of one, up to a time; by vendor."""
    newest = select(HISTORY.c.vendor, func.max(HISTORY.c.version).label("version")).where(HISTORY.c.at_ms <= at_ms)
    if vendor is not None:
        newest = newest.where(HISTORY.c.vendor == vendor)
    last = newest.group_by(HISTORY.c.vendor).subquery()
    same = and_(HISTORY.c.vendor == last.c.vendor, HISTORY.c.version == last.c.version)
    rows = await connection.execute(select(HISTORY.c.document).join_from(HISTORY, last, same).order_by(HISTORY.c.vendor))
    return tuple(map(parse_step, rows.scalars()))


async def steps_towards(
    connection: AsyncConnection, vendor: str, lab: str | None, *, since_ms: int, until_ms: int, after: int | None, limit: int
) -> tuple[tuple[Step, ...], int | None]:
    """Versions that changed a vendor's score towards a lab, in order, and behind which version to go on (None: there are no more).

    Begins behind the version `after`; without one, with the step that held at `since_ms`, so that a line can be drawn from there.
    """
    found: list[Step] = []
    if after is None:
        before = (await stood_at(connection, since_ms, vendor))[:1]
        found += before
        last, after = (before[0], before[0].version) if before else (None, 0)
    else:
        last = await _step(connection, vendor, after)
    while len(found) < limit:
        query = select(HISTORY.c.document).where(
            HISTORY.c.vendor == vendor, HISTORY.c.version > after, HISTORY.c.at_ms > since_ms, HISTORY.c.at_ms <= until_ms
        )
        page = [parse_step(row) for row in (await connection.execute(query.order_by(HISTORY.c.version).limit(_SCAN))).scalars()]
        for step in page:
            if len(found) == limit:
                return tuple(found), found[-1].version
            if last is None or step.score_for(lab) != last.score_for(lab):
                found.append(step)
            last = step
        if len(page) < _SCAN:
            return tuple(found), None
        after = page[-1].version
    return tuple(found), found[-1].version


async def _step(connection: AsyncConnection, vendor: str, version: int) -> Step | None:
    query = select(HISTORY.c.document).where(HISTORY.c.vendor == vendor, HISTORY.c.version == version)
    document = (await connection.execute(query)).scalar()
    return None if document is None else parse_step(document)
