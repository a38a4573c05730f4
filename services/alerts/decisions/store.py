"""What decisions keep in the database: memories, portfolios, silences, alerts that were not sent, timers, and what calls for attention."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

import msgspec
import orjson
from sqlalchemy import ColumnElement, bindparam, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.events.alert import Alert, parse_alert
from neutrality.events.assessment import Assessment, assessment_to_bytes
from services.alerts.decisions.tables import ATTENTION, BASELINES, MEMORIES, PURCHASES, SILENCES, TIMERS, UNSENT
from services.alerts.dialects import put
from services.alerts.domain.following import calls_for_acknowledgement
from services.alerts.domain.memory import Memory
from services.alerts.domain.portfolio import Portfolio, Purchase
from services.alerts.domain.routing import Outcome, Routed
from services.alerts.domain.silence import Silence, SilenceTerms
from services.alerts.state import read_assessment
from services.alerts.tables import ALERTS

MemoryKey = tuple[str, str, str]  # lab, subscription, vendor
Kind = Literal["settle", "release", "silence", "remind", "escalate"]


class TimerKey(NamedTuple):
    """What a timer is for. `name`: the subscription; `subject`: the vendor, the group, the silence or the alert."""

    kind: Kind
    lab: str
    name: str
    subject: str


class Due(NamedTuple):
    """When, in ms since 1970. `partition`: of the scores, whose reader alone may work it off."""

    due_ms: int
    partition: int | None = None


class Timer(NamedTuple):
    """What is due, and when it was."""

    key: TimerKey
    due: Due


@dataclass(frozen=True, slots=True)
class Unsent:
    """An alert that was not sent (yet), with what became of it and why."""

    number: int
    alert: Alert
    outcome: Outcome
    why: str
    silence: str | None
    due_ms: int | None


def to_ms(at: datetime) -> int:
    """Milliseconds since 1970."""
    return int(at.timestamp() * 1000)


def from_ms(at_ms: int) -> datetime:
    """The instant."""
    return datetime.fromtimestamp(at_ms / 1000.0, UTC)


# memories
async def memories_of(connection: AsyncConnection, vendors: Sequence[str]) -> dict[MemoryKey, Memory]:
    """What subscriptions remember of vendors."""
    query = select(MEMORIES.c.lab, MEMORIES.c.name, MEMORIES.c.vendor, MEMORIES.c.document)
    rows = await connection.execute(query.where(MEMORIES.c.vendor.in_(vendors)))
    return {(lab, name, vendor): msgspec.json.decode(document, type=Memory) for lab, name, vendor, document in rows}


async def keep_memories(connection: AsyncConnection, memories: Mapping[MemoryKey, Memory | None]) -> None:
    """Write what is remembered from here on; None: nothing."""
    kept = [
        {"lab": lab, "name": name, "vendor": vendor, "baseline": memory.baseline, "document": msgspec.json.encode(memory)}
        for (lab, name, vendor), memory in memories.items()
        if memory is not None
    ]
    if kept:
        await connection.execute(put(connection, MEMORIES), kept)
    gone = [{"of_lab": key[0], "of_name": key[1], "of": key[2]} for key, memory in memories.items() if memory is None]
    if gone:
        await connection.execute(_FORGET, gone)


_FORGET: Final = delete(MEMORIES).where(
    MEMORIES.c.lab == bindparam("of_lab"), MEMORIES.c.name == bindparam("of_name"), MEMORIES.c.vendor == bindparam("of")
)


async def keep_baselines(connection: AsyncConnection, baselines: Iterable[Assessment]) -> None:
    """Keep assessments that settling conditions began from."""
    rows = [{"vendor": one.vendor, "version": one.version, "assessment": assessment_to_bytes(one)} for one in baselines]
    if rows:
        await connection.execute(put(connection, BASELINES), rows)


async def baseline(connection: AsyncConnection, vendor: str, version: int) -> Assessment | None:
    """One of them; None if it is not there."""
    query = select(BASELINES.c.assessment).where(BASELINES.c.vendor == vendor, BASELINES.c.version == version)
    document: bytes | None = (await connection.execute(query)).scalar()
    return None if document is None else read_assessment(document)


async def forget_subscription(connection: AsyncConnection, lab: str, name: str) -> None:
    """What a subscription remembers, and what it lets settle: it begins anew."""
    await connection.execute(delete(MEMORIES).where(MEMORIES.c.lab == lab, MEMORIES.c.name == name))
    await connection.execute(delete(TIMERS).where(TIMERS.c.kind == "settle", TIMERS.c.lab == lab, TIMERS.c.name == name))


# portfolios
async def portfolios(connection: AsyncConnection, lab: str | None = None) -> dict[str, dict[str, Purchase]]:
    """Every lab's, or one's: by lab and vendor."""
    query = select(PURCHASES).order_by(PURCHASES.c.lab, PURCHASES.c.vendor)
    found: dict[str, dict[str, Purchase]] = {}
    for row in await connection.execute(query if lab is None else query.where(PURCHASES.c.lab == lab)):
        found.setdefault(row.lab, {})[row.vendor] = Purchase.model_validate_json(row.document)
    return found


async def portfolio(connection: AsyncConnection, lab: str) -> Portfolio:
    """One lab's."""
    return (await portfolios(connection, lab)).get(lab, {})


async def put_purchase(connection: AsyncConnection, lab: str, vendor: str, purchase: Purchase) -> None:
    """Write it anew."""
    row = {"lab": lab, "vendor": vendor, "document": purchase.model_dump_json().encode()}
    await connection.execute(put(connection, PURCHASES), row)


async def remove_purchase(connection: AsyncConnection, lab: str, vendor: str) -> bool:
    """Whether there was one."""
    gone = await connection.execute(delete(PURCHASES).where(PURCHASES.c.lab == lab, PURCHASES.c.vendor == vendor))
    return gone.rowcount > 0


# silences
async def silences(connection: AsyncConnection, lab: str | None = None, *, after_ms: int = 0) -> tuple[Silence, ...]:
    """All, or one lab's, that end after a time, by end."""
    query = select(SILENCES).where(SILENCES.c.ends_ms > after_ms).order_by(SILENCES.c.ends_ms, SILENCES.c.id)
    rows = await connection.execute(query if lab is None else query.where(SILENCES.c.lab == lab))
    return tuple(
        Silence(row.id, row.lab, SilenceTerms.model_validate_json(row.terms), from_ms(row.starts_ms), from_ms(row.ends_ms))
        for row in rows
    )


async def put_silence(connection: AsyncConnection, silence: Silence) -> None:
    """Write it anew, with the timer of its end."""
    row = {
        "lab": silence.lab,
        "id": silence.id,
        "terms": silence.terms.model_dump_json().encode(),
        "starts_ms": to_ms(silence.starts),
        "ends_ms": to_ms(silence.ends),
    }
    await connection.execute(put(connection, SILENCES), row)
    await set_timers(connection, {TimerKey("silence", silence.lab, "", silence.id): Due(to_ms(silence.ends))})


# alerts that were not sent
async def keep_unsent(connection: AsyncConnection, routed: Collection[Routed]) -> None:
    """Write what is not sent now, with the timers of releases."""
    rows = [
        {
            "id": one.alert.id,
            "lab": one.alert.lab,
            "subscription": one.alert.subscription,
            "outcome": one.outcome,
            "why": one.why or "",
            "group": one.alert.group,
            "silence": one.silence,
            "due_ms": None if one.due is None else to_ms(one.due),
            "raised_ms": to_ms(datetime.fromisoformat(one.alert.raised_at)),
            "document": orjson.dumps(one.alert),
        }
        for one in routed
    ]
    if not rows:
        return
    await connection.execute(UNSENT.insert(), rows)
    held: dict[TimerKey, Due | None] = {
        TimerKey("release", one.alert.lab, one.alert.subscription, one.alert.group): Due(to_ms(one.due))
        for one in routed
        if one.outcome == "held" and one.due is not None
    }
    await set_timers(connection, held)


async def waiting(connection: AsyncConnection, ids: Iterable[str]) -> frozenset[str]:
    """Which of these alerts wait or are silenced."""
    query = select(UNSENT.c.id).where(UNSENT.c.id.in_(list(ids)), UNSENT.c.outcome.in_(("held", "silenced")))
    return frozenset((await connection.execute(query)).scalars())


async def unsent_of_group(connection: AsyncConnection, lab: str, group: str) -> tuple[Unsent, ...]:
    """The alerts that wait for one release, in the order in which they were raised."""
    return await _unsent(connection, UNSENT.c.lab == lab, UNSENT.c.group == group, UNSENT.c.outcome == "held")


async def unsent_of_silence(connection: AsyncConnection, lab: str, silence: str) -> tuple[Unsent, ...]:
    """The alerts that a silence muted, in the order in which they were raised."""
    return await _unsent(connection, UNSENT.c.lab == lab, UNSENT.c.silence == silence, UNSENT.c.outcome == "silenced")


async def unsent_page(connection: AsyncConnection, lab: str, outcome: str, before: int | None, limit: int) -> tuple[Unsent, ...]:
    """A lab's with one outcome, newest first, from before a number on."""
    query = select(UNSENT).where(UNSENT.c.lab == lab, UNSENT.c.outcome == outcome).order_by(UNSENT.c.number.desc()).limit(limit)
    rows = await connection.execute(query if before is None else query.where(UNSENT.c.number < before))
    return tuple(_unsent_of(row) for row in rows)


async def unsent_alert(connection: AsyncConnection, lab: str, alert: str) -> Unsent | None:
    """One of a lab's."""
    return next(iter(await _unsent(connection, UNSENT.c.lab == lab, UNSENT.c.id == alert)), None)


async def _unsent(connection: AsyncConnection, *which: Any) -> tuple[Unsent, ...]:
    rows = await connection.execute(select(UNSENT).where(*which).order_by(UNSENT.c.number))
    return tuple(_unsent_of(row) for row in rows)


def _unsent_of(row: Any) -> Unsent:
    return Unsent(row.number, parse_alert(row.document), row.outcome, row.why, row.silence, row.due_ms)


async def settle_outcome(
    connection: AsyncConnection,
    ids: Iterable[str],
    outcome: Outcome,
    why: str,
    *,
    silence: str | None = None,
    due_ms: int | None = None,
) -> None:
    """Something else becomes of alerts that were not sent."""
    values = {"outcome": outcome, "why": why, "silence": silence, "due_ms": due_ms}
    await connection.execute(update(UNSENT).where(UNSENT.c.id.in_(list(ids))).values(values))


async def cancel_held(connection: AsyncConnection, lab: str, subscription: str, why: str) -> None:
    """What a subscription holds is not sent any more."""
    which = (UNSENT.c.lab == lab, UNSENT.c.subscription == subscription, UNSENT.c.outcome.in_(("held", "silenced")))
    await connection.execute(update(UNSENT).where(*which).values(outcome="cancelled", why=why, due_ms=None))


async def no_longer_unsent(connection: AsyncConnection, ids: Sequence[str]) -> None:
    """They are sent now."""
    await connection.execute(delete(UNSENT).where(UNSENT.c.id.in_(ids)))


# timers
async def set_timers(connection: AsyncConnection, timers: Mapping[TimerKey, Due | None]) -> None:
    """Set timers to a time; None: take them away."""
    rows = [{**key._asdict(), **due._asdict()} for key, due in timers.items() if due is not None]
    if rows:
        await connection.execute(put(connection, TIMERS), rows)
    gone = [{f"of_{name}": value for name, value in key._asdict().items()} for key, due in timers.items() if due is None]
    if gone:
        await connection.execute(_TAKE_AWAY, gone)


_TAKE_AWAY: Final = delete(TIMERS).where(*(TIMERS.c[name] == bindparam(f"of_{name}") for name in TimerKey._fields))


async def due_timers(connection: AsyncConnection, now_ms: int, partitions: Iterable[int], limit: int) -> tuple[Timer, ...]:
    """What is due, the longest first: of these partitions, and of none. They are this transaction's: others see the next ones."""
    query = select(TIMERS).where(TIMERS.c.due_ms <= now_ms, _may_work_off(partitions))
    query = query.order_by(TIMERS.c.due_ms, TIMERS.c.kind, TIMERS.c.lab).limit(limit)
    rows = await connection.execute(query.with_for_update(skip_locked=True))
    return tuple(Timer(TimerKey(row.kind, row.lab, row.name, row.subject), Due(row.due_ms, row.partition)) for row in rows)


async def next_timer_ms(connection: AsyncConnection, partitions: Iterable[int]) -> int | None:
    """When the next timer is due, of these partitions or of none."""
    found: int | None = (await connection.execute(select(func.min(TIMERS.c.due_ms)).where(_may_work_off(partitions)))).scalar()
    return found


def _may_work_off(partitions: Iterable[int]) -> ColumnElement[bool]:
    return or_(TIMERS.c.partition.is_(None), TIMERS.c.partition.in_(sorted(partitions)))


# attention
class Attention(NamedTuple):
    """Whether somebody should look at an alert, or has. `state`: open, acknowledged, or over (it no longer matters)."""

    alert: str
    subscription: str
    state: str
    reminders: int
    person: str | None
    note: str | None
    key: str | None
    at_ms: int | None


async def call_attention(connection: AsyncConnection, alerts: Sequence[Alert], now_ms: int) -> None:
    """To what is released now and calls for it; each alert stands for older ones of its rule, vendor and subscription, and those it corrects."""
    if not alerts:
        return
    same = [
        {"of_lab": one.lab, "of_subscription": one.subscription, "of_vendor": one.vendor, "of_rule": one.rule, "now": now_ms}
        for one in alerts
    ]
    await connection.execute(_SUPERSEDE, same)
    corrected = [{"of_lab": one.lab, "of": other, "now": now_ms} for one in alerts for other in one.corrects]
    if corrected:
        await connection.execute(_CORRECTED, corrected)
    rows = [
        {
            "lab": one.lab, "alert": one.id, "subscription": one.subscription, "rule": one.rule, "vendor": one.vendor,
            "state": "open", "reminders": 0, "person": None, "note": None, "key": None, "at_ms": None,
        }
        for one in alerts
        if calls_for_acknowledgement(one)
    ]  # fmt: skip
    if rows:
        await connection.execute(put(connection, ATTENTION), rows)


_SUPERSEDE: Final = (
    update(ATTENTION)
    .where(
        ATTENTION.c.lab == bindparam("of_lab"),
        ATTENTION.c.state == "open",
        ATTENTION.c.subscription == bindparam("of_subscription"),
        ATTENTION.c.vendor == bindparam("of_vendor"),
        ATTENTION.c.rule == bindparam("of_rule"),
        ATTENTION.c.rule != "correction",
    )
    .values(state="over", at_ms=bindparam("now"))
)
_CORRECTED: Final = (
    update(ATTENTION)
    .where(ATTENTION.c.lab == bindparam("of_lab"), ATTENTION.c.alert == bindparam("of"), ATTENTION.c.state == "open")
    .values(state="over", at_ms=bindparam("now"))
)


async def attention(connection: AsyncConnection, lab: str, alerts: Iterable[str]) -> dict[str, Attention]:
    """Of some of a lab's alerts, by alert; those that call for none are left out."""
    columns = [ATTENTION.c[name] for name in Attention._fields]
    rows = await connection.execute(select(*columns).where(ATTENTION.c.lab == lab, ATTENTION.c.alert.in_(list(alerts))))
    return {row.alert: Attention(*row) for row in rows}


async def attention_page(
    connection: AsyncConnection, lab: str, state: str, before: int | None, limit: int
) -> list[tuple[int, Alert, Attention]]:
    """A lab's alerts in one state, newest first, from before a position on; each with its position."""
    columns = [ATTENTION.c[name] for name in Attention._fields]
    query = (
        select(ALERTS.c.position, ALERTS.c.document, *columns)
        .join_from(ATTENTION, ALERTS, ALERTS.c.id == ATTENTION.c.alert)
        .where(ATTENTION.c.lab == lab, ATTENTION.c.state == state)
        .order_by(ALERTS.c.position.desc())
        .limit(limit)
    )
    rows = await connection.execute(query if before is None else query.where(ALERTS.c.position < before))
    return [(position, parse_alert(document), Attention(*rest)) for position, document, *rest in rows]


async def set_attention(connection: AsyncConnection, lab: str, alert: str, **values: Any) -> None:
    """Write another state of an alert."""
    await connection.execute(update(ATTENTION).where(ATTENTION.c.lab == lab, ATTENTION.c.alert == alert).values(values))


async def forget_decisions(connection: AsyncConnection, before_ms: int) -> int:
    """What was not sent and silences of before a time, and baselines that nothing settles from; 0: there is no more."""
    used = exists().where(MEMORIES.c.vendor == BASELINES.c.vendor, MEMORIES.c.baseline == BASELINES.c.version)
    await connection.execute(delete(BASELINES).where(~used))
    await connection.execute(delete(UNSENT).where(UNSENT.c.raised_ms < before_ms, UNSENT.c.outcome.not_in(("held", "silenced"))))
    await connection.execute(delete(SILENCES).where(SILENCES.c.ends_ms < before_ms))
    return 0
