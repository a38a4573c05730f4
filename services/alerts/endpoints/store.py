"""Endpoints, deliveries and attempts in the database. A delivery is one alert on its way to one endpoint; it is made with its alert's commit.

A delivery may be of a notice instead: that another endpoint was disabled. It is made with the commit of that, and holds the notice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    Integer,
    Select,
    String,
    and_,
    bindparam,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.events.alert import Alert
from services.alerts import dialects, leases
from services.alerts.dialects import BIG, Turn, insert_into, take_turn
from services.alerts.domain.attempts import Attempt, State
from services.alerts.domain.endpoint import TERMS, Endpoint, Key
from services.alerts.domain.notice import Notice
from services.alerts.endpoints.sealing import Sealer
from services.alerts.news import news_of
from services.alerts.tables import ALERTS, ATTEMPTS, DELIVERIES, ENDPOINTS


@dataclass(frozen=True, slots=True)
class Standing:
    """How an endpoint stands after an attempt."""

    failing_since_ms: int | None
    disabled: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an attempt, and what it makes of the delivery (of an alert, or a notice) and, if it changes, of the endpoint.

    A delivery that was not due at `was_due_ms` was asked for again meanwhile, and goes on waiting.
    """

    key: Key
    alert: str
    attempt: Attempt
    at_ms: int
    was_due_ms: int
    state: State
    due_ms: int
    endpoint: "Standing | None" = None
    notice: Notice | None = None


async def put(connection: AsyncConnection, endpoint: Endpoint, sealer: Sealer) -> None:
    """Write an endpoint anew."""
    values = {
        "lab": endpoint.lab,
        "name": endpoint.name,
        "terms": endpoint.terms.model_dump_json().encode(),
        "secrets": sealer.seal(endpoint.secrets),
        "disabled": endpoint.disabled,
        "failing_since_ms": endpoint.failing_since_ms,
    }
    await connection.execute(dialects.put(connection, ENDPOINTS), values)
    await leases.offer(connection, leases.ENDPOINT, [f"{endpoint.lab}/{endpoint.name}"])
    news_of(connection).endpoints.add((endpoint.lab, endpoint.name))


async def remove(connection: AsyncConnection, key: Key) -> bool:
    """An endpoint with its deliveries and its log; whether there was one."""
    for table in (ATTEMPTS, DELIVERIES):
        await connection.execute(delete(table).where(table.c.lab == key[0], table.c.name == key[1]))
    await leases.withdraw(connection, leases.ENDPOINT, f"{key[0]}/{key[1]}")
    news_of(connection).endpoints.add(key)
    gone = await connection.execute(delete(ENDPOINTS).where(ENDPOINTS.c.lab == key[0], ENDPOINTS.c.name == key[1]))
    return gone.rowcount > 0


async def endpoints(
    connection: AsyncConnection, sealer: Sealer, lab: str | None = None, name: str | None = None
) -> tuple[Endpoint, ...]:
    """All, a lab's, or one; by lab and name."""
    query = select(ENDPOINTS).order_by(ENDPOINTS.c.lab, ENDPOINTS.c.name)
    if lab is not None:
        query = query.where(ENDPOINTS.c.lab == lab)
    if name is not None:
        query = query.where(ENDPOINTS.c.name == name)
    return tuple(
        Endpoint(
            row.lab,
            row.name,
            TERMS.validate_json(row.terms),
            sealer.unseal(row.secrets),
            row.disabled,
            row.failing_since_ms,
        )
        for row in await connection.execute(query)
    )


async def disabled(connection: AsyncConnection, lab: str) -> list[tuple[str, str, str]]:
    """Name, kind and reason of each of a lab's endpoints that is disabled, by name."""
    query = select(ENDPOINTS.c.name, ENDPOINTS.c.terms, ENDPOINTS.c.disabled).order_by(ENDPOINTS.c.name)
    rows = await connection.execute(query.where(ENDPOINTS.c.lab == lab, ENDPOINTS.c.disabled.is_not(None)))
    return [(name, TERMS.validate_json(terms).kind, why) for name, terms, why in rows]


async def endpoint_names(connection: AsyncConnection, lab: str) -> set[str]:
    """What a lab's endpoints are called."""
    return set((await connection.execute(select(ENDPOINTS.c.name).where(ENDPOINTS.c.lab == lab))).scalars())


async def deliver(connection: AsyncConnection, wanted: Iterable[tuple[Endpoint, Alert]], now_ms: int) -> None:
    """New deliveries of alerts that this transaction has written; none to an endpoint that is disabled by now."""
    rows = [{"to_lab": endpoint.lab, "to_name": endpoint.name, "of": alert.id, "now_ms": now_ms} for endpoint, alert in wanted]
    if rows:
        await connection.execute(_deliver(connection.dialect.name), rows)


async def deliver_again(connection: AsyncConnection, key: Key, first: int, last: int, now_ms: int) -> int:
    """A lab's alerts of these positions, both included, whatever became of them before; how many."""
    query = _new(literal(key[0]), literal(key[1]), literal(now_ms, BIG)).where(
        ALERTS.c.lab == key[0], ALERTS.c.position.between(first, last)
    )
    anew = {"state": "pending", "attempts": 0, "due_ms": now_ms}
    statement = insert_into(connection.dialect.name, DELIVERIES).from_select(_COLUMNS, query)
    done = await connection.execute(statement.on_conflict_do_update(index_elements=["lab", "name", "alert"], set_=anew))
    news_of(connection).labs.add(key[0])
    return done.rowcount


_COLUMNS = ("lab", "name", "alert", "vendor", "position", "state", "attempts", "due_ms")


def _new(lab: Any, name: Any, now_ms: Any) -> Select[Any]:
    return select(lab, name, ALERTS.c.id, ALERTS.c.vendor, ALERTS.c.position, literal("pending"), literal(0, Integer), now_ms)


@cache
def _deliver(dialect: str) -> Any:
    there = (ENDPOINTS.c.lab == bindparam("to_lab"), ENDPOINTS.c.name == bindparam("to_name"), ENDPOINTS.c.disabled.is_(None))
    query = _new(bindparam("to_lab", type_=String), bindparam("to_name", type_=String), bindparam("now_ms", type_=BIG)).where(
        ALERTS.c.id == bindparam("of"), exists().where(*there)
    )
    return insert_into(dialect, DELIVERIES).from_select(_COLUMNS, query).on_conflict_do_nothing()


async def tell_others(connection: AsyncConnection, notice: Notice, now_ms: int) -> None:
    """Make deliveries of a notice to the lab's other endpoints that are not disabled themselves."""
    others = select(ENDPOINTS.c.name).where(
        ENDPOINTS.c.lab == notice.lab, ENDPOINTS.c.name != notice.endpoint, ENDPOINTS.c.disabled.is_(None)
    )
    row = {
        "lab": notice.lab,
        "alert": notice.id,
        "vendor": "",
        "position": 0,
        "state": "pending",
        "attempts": 0,
        "due_ms": now_ms,
    }
    document = orjson.dumps(asdict(notice))
    rows = [row | {"name": name, "notice": document} for name in (await connection.execute(others)).scalars()]
    if rows:
        await connection.execute(dialects.add(connection, DELIVERIES), rows)
        news_of(connection).labs.add(notice.lab)


async def record(connection: AsyncConnection, outcomes: Sequence[Outcome]) -> None:
    """Write what came of some attempts. Those to an endpoint that is gone by now leave nothing."""
    await take_turn(connection, Turn.TERMS, shared=True)  # no endpoint goes, nor its lab, until this is committed
    there = select(ENDPOINTS.c.lab, ENDPOINTS.c.name).where(
        tuple_(ENDPOINTS.c.lab, ENDPOINTS.c.name).in_({one.key for one in outcomes})
    )
    known = {(lab, name) for lab, name in await connection.execute(there)}
    outcomes = [one for one in outcomes if one.key in known]
    if not outcomes:
        return
    await connection.execute(insert(ATTEMPTS), [_attempt_row(one) for one in outcomes])
    rows = [
        {
            "of_lab": one.key[0],
            "of_name": one.key[1],
            "of": one.alert,
            "was_due_ms": one.was_due_ms,
            "to_state": one.state,
            "to_due_ms": one.due_ms,
        }
        for one in outcomes
    ]
    await connection.execute(_SETTLE, rows)
    for key, standing in {one.key: one.endpoint for one in outcomes if one.endpoint is not None}.items():
        values = {"failing_since_ms": standing.failing_since_ms, "disabled": standing.disabled}
        await connection.execute(update(ENDPOINTS).where(ENDPOINTS.c.lab == key[0], ENDPOINTS.c.name == key[1]).values(values))
    for one in outcomes:
        if one.notice is not None:
            await tell_others(connection, one.notice, one.at_ms)


_SETTLE = (
    update(DELIVERIES)
    .where(
        DELIVERIES.c.lab == bindparam("of_lab"),
        DELIVERIES.c.name == bindparam("of_name"),
        DELIVERIES.c.alert == bindparam("of"),
        DELIVERIES.c.due_ms == bindparam("was_due_ms"),
    )
    .values(state=bindparam("to_state"), due_ms=bindparam("to_due_ms"), attempts=DELIVERIES.c.attempts + 1)
)


async def log_test(connection: AsyncConnection, key: Key, identity: str, attempt: Attempt, at_ms: int) -> None:
    """Write a test's attempt; it moves nothing."""
    await connection.execute(insert(ATTEMPTS), [_attempt_row(Outcome(key, identity, attempt, at_ms, at_ms, "delivered", at_ms))])


def _attempt_row(one: Outcome) -> dict[str, Any]:
    return {
        "lab": one.key[0],
        "name": one.key[1],
        "alert": one.alert,
        "at_ms": one.at_ms,
        "status": one.attempt.status,
        "fault": one.attempt.fault,
        "duration_ms": round(one.attempt.duration_s * 1000.0, 1),
    }


async def attempts(connection: AsyncConnection, key: Key, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The log of an endpoint, newest first, from before a number on."""
    state = DELIVERIES.c.state
    same = and_(DELIVERIES.c.lab == ATTEMPTS.c.lab, DELIVERIES.c.name == ATTEMPTS.c.name, DELIVERIES.c.alert == ATTEMPTS.c.alert)
    query = (
        select(ATTEMPTS, state, DELIVERIES.c.due_ms)
        .join_from(ATTEMPTS, DELIVERIES, same, isouter=True)
        .where(ATTEMPTS.c.lab == key[0], ATTEMPTS.c.name == key[1])
    )
    if before is not None:
        query = query.where(ATTEMPTS.c.number < before)
    rows = await connection.execute(query.order_by(ATTEMPTS.c.number.desc()).limit(limit))
    return [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's public name for it


async def counts(connection: AsyncConnection, key: Key) -> dict[str, int]:
    """An endpoint's deliveries by state."""
    query = select(DELIVERIES.c.state, func.count()).where(DELIVERIES.c.lab == key[0], DELIVERIES.c.name == key[1])
    rows = await connection.execute(query.group_by(DELIVERIES.c.state))
    return {row[0]: row[1] for row in rows}
