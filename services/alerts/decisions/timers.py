"""Works off what is due later: conditions that have settled, releases, ends of silences, reminders and escalations.

A timer is a row. What comes of it is written, and the row moved or taken away, in one transaction: after a crash it is due still, and nothing is done
twice. Timers that were due while nobody ran are worked off at the start, the longest due first.

A condition settles where the scores of its vendor are read: what is remembered of them is there. All else is any instance's.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment
from neutrality.events.vocabulary import iso
from services.alerts import state
from services.alerts.decisions import store
from services.alerts.decisions.decider import Batch, Decider
from services.alerts.decisions.store import Due, Kind, Timer, Unsent
from services.alerts.decisions.wishes import Wishes
from services.alerts.domain.endpoint import Endpoint
from services.alerts.domain.following import reminder_due, reminder_of, still_holds
from services.alerts.domain.schedule import release_time
from services.alerts.domain.silence import muting
from services.alerts.endpoints import store as endpoints
from services.alerts.news import news_of
from services.alerts.outbox import alert_of

MOST_AT_ONCE: Final = 500  # timers in one transaction
_Work = Callable[[AsyncConnection, Batch, Wishes, Timer], Awaitable[None]]


async def work_off(connection: AsyncConnection, batch: Batch, wishes: Wishes, decider: Decider, timers: Sequence[Timer]) -> None:
    """What comes of due timers; what is to be sent is in the batch afterwards. Their vendors were recalled."""
    for timer in timers:
        batch.timers.setdefault(timer.key, None)
        if timer.key.kind == "settle":
            batch.partitions[timer.key.subject] = timer.due.partition or 0
            await decider.settle(connection, batch, wishes, timer.key)
        else:
            await _WORK[timer.key.kind](connection, batch, wishes, timer)


async def _release(connection: AsyncConnection, batch: Batch, _wishes: Wishes, timer: Timer) -> None:
    """What waited for this moment goes out, in the order in which it was raised."""
    held = await store.unsent_of_group(connection, timer.key.lab, timer.key.subject)
    await _send(connection, batch, held)


async def _end_silence(connection: AsyncConnection, batch: Batch, wishes: Wishes, timer: Timer) -> None:
    """The newest of each kind that still holds is sent, or waits for its hour; another silence may go on muting it.

    What makes good a loss that nobody was told of is not sent either.
    """
    muted = await store.unsent_of_silence(connection, timer.key.lab, timer.key.subject)
    newest = {_kind(one): one for one in muted}
    losses = {_kind(one) for one in muted if one.alert.points > 0.0}
    current = await state.assessments_of(connection, {one.alert.vendor for one in muted})
    due: list[Unsent] = []
    for one in muted:
        makes_good = one.alert.points == 0.0 and _kind(one) in losses
        stale = one.alert.rule != "correction" and (newest[_kind(one)] is not one or makes_good)
        if await _goes_out(connection, batch, wishes, one, None if stale else current.get(one.alert.vendor)):
            due.append(one)
    await _send(connection, batch, due)


def _kind(one: Unsent) -> tuple[str, str, str]:
    return one.alert.subscription, one.alert.rule, one.alert.vendor


async def _goes_out(connection: AsyncConnection, batch: Batch, wishes: Wishes, one: Unsent, current: Assessment | None) -> bool:
    """Whether an alert that was muted is sent now. `current` is None if a newer one stands for it."""
    alert, lab = one.alert, one.alert.lab
    subscription = wishes.subscriptions.get((lab, alert.subscription))
    if current is None or subscription is None or not still_holds(alert, current):
        why = f"{one.why}; it no longer held when the silence ended"
        await store.settle_outcome(connection, [alert.id], "cancelled", why)
        return False
    if (silence := muting(wishes.silences.get(lab, ()), alert, current.categories, batch.now)) is not None:
        why, ends_ms = f"{silence.terms.by}: {silence.terms.reason}", store.to_ms(silence.ends)
        await store.settle_outcome(connection, [alert.id], "silenced", why, silence=silence.id, due_ms=ends_ms)
        return False
    if (at := release_time(batch.now, alert.severity, subscription.schedule)) > batch.now:
        due = Due(store.to_ms(at))
        await store.settle_outcome(connection, [alert.id], "held", f"goes out at {iso(at)}", due_ms=due.due_ms)
        batch.timers[store.TimerKey("release", lab, alert.subscription, alert.group)] = due
        return False
    return True


async def _send(connection: AsyncConnection, batch: Batch, unsent: Collection[Unsent]) -> None:
    alerts = [replace(one.alert, deferred=True) for one in unsent if one.alert.id not in batch.cancelled]
    if alerts:
        await store.no_longer_unsent(connection, [alert.id for alert in alerts])
        batch.sent += alerts


async def _remind(connection: AsyncConnection, batch: Batch, wishes: Wishes, timer: Timer) -> None:
    alert, reminders = await _open(connection, batch, timer)
    subscription = wishes.subscriptions.get((timer.key.lab, timer.key.name))
    due = None if alert is None or subscription is None else reminder_due(subscription, alert, batch.now)
    if alert is not None and due is not None:
        await store.set_attention(connection, alert.lab, alert.id, reminders=reminders + 1)
        batch.sent.append(reminder_of(alert, reminders + 1, batch.now))
        batch.timers[timer.key] = Due(store.to_ms(due))


async def _escalate(connection: AsyncConnection, batch: Batch, wishes: Wishes, timer: Timer) -> None:
    alert, _ = await _open(connection, batch, timer)
    subscription = wishes.subscriptions.get((timer.key.lab, timer.key.name))
    if alert is None or subscription is None or subscription.escalation is None:
        return
    wanted: Iterable[tuple[Endpoint, Alert]] = (
        (endpoint, alert)
        for endpoint in wishes.endpoints.get(alert.lab, ())
        if endpoint.name in subscription.escalation.endpoints
    )
    await endpoints.deliver(connection, wanted, store.to_ms(batch.now))
    news_of(connection).labs.add(alert.lab)


async def _open(connection: AsyncConnection, batch: Batch, timer: Timer) -> tuple[Alert | None, int]:
    """The alert of a timer if it still calls for attention, and how often it was reminded of."""
    lab, identity = timer.key.lab, timer.key.subject
    found = (await store.attention(connection, lab, [identity])).get(identity)
    alert = await alert_of(connection, lab, identity)
    if found is None or found.state != "open" or alert is None:
        return None, 0
    current = (await state.assessments_of(connection, [alert.vendor])).get(alert.vendor)
    if current is not None and not still_holds(alert, current):
        await store.set_attention(connection, lab, identity, state="over", at_ms=store.to_ms(batch.now))
        return None, 0
    return alert, found.reminders


_WORK: Final[dict[Kind, _Work]] = {"release": _release, "silence": _end_silence, "remind": _remind, "escalate": _escalate}
