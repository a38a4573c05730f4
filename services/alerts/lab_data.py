"""All that is kept of one lab: given out as one document, and removed.

Which that is follows from the tables: every row with the lab's name in its column `lab`. What names no lab is no lab's own.
"""

from collections.abc import AsyncIterator
from typing import Any, Final

import orjson
from sqlalchemy import Table, and_, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.decisions import tables as _tables  # noqa: F401 - they are among METADATA's from here on
from services.alerts.leases import ENDPOINT, TOPIC
from services.alerts.news import news_of
from services.alerts.tables import ENDPOINTS, LEASES, METADATA

SECRET: Final = frozenset({("endpoints", "secrets")})  # shown once, when they were made
_PAGE: Final = 500


def tables_of_labs() -> tuple[Table, ...]:
    """Those that hold rows of labs, by name."""
    return tuple(table for name, table in sorted(METADATA.tables.items()) if "lab" in table.columns)


async def export(connection: AsyncConnection, lab: str, at: str) -> AsyncIterator[bytes]:
    """One JSON document, in pieces: `{"lab", "exported_at", "tables": {name: [row]}}`. Documents within rows are put in place."""
    yield b'{"lab":' + orjson.dumps(lab) + b',"exported_at":' + orjson.dumps(at) + b',"tables":{'
    for number, table in enumerate(tables_of_labs()):
        yield (b"," if number else b"") + orjson.dumps(table.name) + b":["
        columns = [column for column in table.columns if (table.name, column.name) not in SECRET]
        query = select(*columns).where(table.c.lab == lab).order_by(*table.primary_key.columns).limit(_PAGE)
        seen = 0
        while rows := (await connection.execute(query.offset(seen))).mappings().all():
            yield b",".join(
                ([b""] if seen else [])
                + [orjson.dumps({str(name): _plain(value) for name, value in row.items()}) for row in rows]
            )
            seen += len(rows)
        yield b"]"
    yield b"}}\n"


async def remove(connection: AsyncConnection, lab: str) -> int:
    """All rows of a lab, and what is worked on for it; how many rows. In a transaction in which labs' wishes may be changed."""
    names = (await connection.execute(select(ENDPOINTS.c.name).where(ENDPOINTS.c.lab == lab))).scalars().all()
    news = news_of(connection)
    news.endpoints.update((lab, name) for name in names)
    news.labs.add(lab)
    removed = 0
    for table in tables_of_labs():
        removed += (await connection.execute(delete(table).where(table.c.lab == lab))).rowcount
    of_endpoints = and_(LEASES.c.kind == ENDPOINT, LEASES.c.name.startswith(f"{lab}/", autoescape=True))
    await connection.execute(delete(LEASES).where(or_(and_(LEASES.c.kind == TOPIC, LEASES.c.name == lab), of_endpoints)))
    return removed


async def is_known(connection: AsyncConnection, lab: str) -> bool:
    """Whether there is any row of it."""
    for table in tables_of_labs():
        if (await connection.execute(select(func.count()).select_from(table).where(table.c.lab == lab))).scalar_one():
            return True
    return False


def _plain(value: Any) -> Any:
    return orjson.Fragment(value) if isinstance(value, bytes) else value
