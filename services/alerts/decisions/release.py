"""Hands alerts over to the channels, within the transaction that decides it: their place in the streams, their deliveries, and what follows them."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.events.alert import Alert
from services.alerts.decisions import store
from services.alerts.decisions.store import Due, TimerKey
from services.alerts.decisions.wishes import Wishes
from services.alerts.domain.endpoint import Endpoint
from services.alerts.domain.following import escalation_due, reminder_due
from services.alerts.domain.subscription import Subscription
from services.alerts.endpoints import store as endpoints
from services.alerts.outbox import add_alerts


async def release(connection: AsyncConnection, alerts: Sequence[Alert], wishes: Wishes, now: datetime) -> None:
    """In the order given."""
    if not alerts:
        return
    await add_alerts(connection, alerts)
    wanted: list[tuple[Endpoint, Alert]] = []
    timers: dict[TimerKey, Due | None] = {}
    for alert in alerts:
        subscription = wishes.subscriptions.get((alert.lab, alert.subscription))
        wanted += [
            (endpoint, alert) for endpoint in wishes.endpoints.get(alert.lab, ()) if _reaches(alert, subscription, endpoint)
        ]
        if subscription is not None:
            timers |= _what_follows(alert, subscription, now)
    await endpoints.deliver(connection, wanted, store.to_ms(now))
    await store.call_attention(connection, [alert for alert in alerts if alert.reminds is None], store.to_ms(now))
    await store.set_timers(connection, timers)


def _reaches(alert: Alert, subscription: Subscription | None, endpoint: Endpoint) -> bool:
    return endpoint.terms.covers(alert.subscription) and (subscription is None or subscription.reaches(endpoint.name))


def _what_follows(alert: Alert, subscription: Subscription, now: datetime) -> dict[TimerKey, Due | None]:
    dues = {
        "remind": reminder_due(subscription, alert, now),
        "escalate": escalation_due(subscription, alert, now),
    }
    return {
        TimerKey(kind, alert.lab, alert.subscription, alert.id): Due(store.to_ms(due))  # type: ignore[arg-type] # a Kind
        for kind, due in dues.items()
        if due is not None
    }
