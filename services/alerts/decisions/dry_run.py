"""Runs a subscription over the history of scores, a page at a time, so that what is decided meanwhile does not wait."""

import asyncio
from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerts.decisions.store import from_ms, to_ms
from services.alerts.domain.dry_run import DryRun, Moment
from services.alerts.domain.history import Step, assessment_of, parse_step, reasons_of
from services.alerts.domain.portfolio import Portfolio
from services.alerts.domain.severity import load_severity_scale
from services.alerts.domain.subscription import Subscription
from services.alerts.history import stood_at
from services.alerts.tables import HISTORY

MOST_VERSIONS: Final = 100_000  # in one run; of more the newest are taken
_PAGE: Final = 200  # some 20 ms


async def run_over_history(
    connection: AsyncConnection, wanted: Subscription, purchases: Portfolio, since: datetime, until: datetime
) -> tuple[DryRun, datetime, int]:
    """The run, when it began, and how many versions it saw. It begins later than asked if there are too many."""
    watched = _watched(wanted, purchases)
    begins_ms = await _begin(connection, watched, to_ms(since), to_ms(until))
    known = [assessment_of(step) for step in await stood_at(connection, begins_ms)]
    run = DryRun(wanted, purchases, load_severity_scale(), known)
    versions, last = 0, (begins_ms, "", 0)
    place = tuple_(HISTORY.c.at_ms, HISTORY.c.vendor, HISTORY.c.version)
    while True:
        query = select(HISTORY.c.at_ms, HISTORY.c.vendor, HISTORY.c.version, HISTORY.c.document)
        query = query.where(*watched, HISTORY.c.at_ms > begins_ms, HISTORY.c.at_ms <= to_ms(until), place > last)
        rows = (await connection.execute(query.order_by(HISTORY.c.at_ms, HISTORY.c.vendor, HISTORY.c.version).limit(_PAGE))).all()
        for row in rows:
            run.take(_moment(parse_step(row.document), wanted.lab))
        versions += len(rows)
        if len(rows) < _PAGE:
            run.end(until)
            return run, from_ms(begins_ms), versions
        last = rows[-1].at_ms, rows[-1].vendor, rows[-1].version
        await asyncio.sleep(0)


def _watched(wanted: Subscription, purchases: Collection[str]) -> list[ColumnElement[bool]]:
    """What can be left out before it is looked at."""
    if wanted.watches_everything or wanted.categories:
        return []
    return [HISTORY.c.vendor.in_(sorted({*(wanted.vendors or ()), *(purchases if wanted.portfolio else ())}))]


async def _begin(connection: AsyncConnection, watched: list[Any], since_ms: int, until_ms: int) -> int:
    """From when on there are not too many versions; not before the history begins."""
    there = (*watched, HISTORY.c.at_ms > since_ms, HISTORY.c.at_ms <= until_ms)
    newest = select(HISTORY.c.at_ms).where(*there).order_by(HISTORY.c.at_ms.desc()).offset(MOST_VERSIONS).limit(1)
    too_early: int | None = (await connection.execute(newest)).scalar()
    first: int | None = (await connection.execute(select(func.min(HISTORY.c.at_ms)))).scalar()
    return max(since_ms, too_early or 0, 0 if first is None else first - 1)


def _moment(step: Step, lab: str) -> Moment:
    reasons = step.reasons_for(lab)
    views = {"confirmed": reasons_of(reasons.confirmed), "projected": reasons_of(reasons.projected)}
    return Moment(from_ms(step.at_ms), assessment_of(step), views)  # type: ignore[arg-type] # its keys are views
