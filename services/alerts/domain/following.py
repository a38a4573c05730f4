"""What follows an alert that was released: reminders and an escalation, until somebody acknowledges it or it no longer matters. Pure.

An alert matters as long as what it says holds, and until a newer one of the same rule, vendor and subscription stands for it. Improvements
are told once.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final

from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment
from neutrality.events.vocabulary import iso
from services.alerts.domain.rules import grade_of, points_of
from services.alerts.domain.schedule import quiet_over
from services.alerts.domain.subscription import Subscription

_SHOWN: Final = 0.05  # scores are shown with one decimal


def calls_for_acknowledgement(alert: Alert) -> bool:
    """Whether somebody should say that they have seen it: it tells of a loss, or takes something back."""
    return alert.reminds is None and (alert.points > 0.0 or bool(alert.corrects))


def reminder_due(subscription: Subscription, alert: Alert, last: datetime) -> datetime | None:
    """When an alert that was last told at `last` is told again: not in quiet hours. None: never."""
    if subscription.remind_every_s is None or not calls_for_acknowledgement(alert):
        return None
    return quiet_over(last + timedelta(seconds=subscription.remind_every_s), alert.severity, subscription.schedule)


def escalation_due(subscription: Subscription, alert: Alert, released: datetime) -> datetime | None:
    """When other endpoints are told; quiet hours are the first channel's, and do not count. None: never."""
    if subscription.escalation is None or not calls_for_acknowledgement(alert):
        return None
    return released + timedelta(seconds=subscription.escalation.after_s)


def still_holds(alert: Alert, current: Assessment) -> bool:
    """Whether what an alert says of its vendor is still so. What the assessment alone cannot tell counts as holding."""
    now = current.score_for(alert.lab)
    if alert.rule == "outlook":
        return now.outlook == alert.after.outlook
    if alert.rule == "watch":
        return now.watch == alert.after.watch
    if alert.rule == "grade":
        return grade_of(now, alert.view) == grade_of(alert.after, alert.view)
    moved = points_of(now, alert.view) - points_of(alert.after, alert.view)
    if alert.rule in ("score_drop", "score_rise", "level"):
        return moved <= _SHOWN if alert.points > 0.0 else moved >= -_SHOWN
    return True


def reminder_of(alert: Alert, number: int, now: datetime) -> Alert:
    """The same, told again, under an id of its own: receivers take an id once."""
    identity = sha256(f"{alert.id}\x1freminder\x1f{number}".encode()).hexdigest()[:32]
    group = sha256(f"{alert.group}\x1freminder\x1f{number}".encode()).hexdigest()[:32]
    return replace(
        alert, id=f"al_{identity}", group=f"gr_{group}", raised_at=iso(now), reminds=alert.id, reminder=number, deferred=True
    )
