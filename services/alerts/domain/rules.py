"""Whether a new assessment is worth an alert. `decide` looks at one subscription; time and ids are arguments.

- `score_drop`: the confirmed score towards the lab has fallen by at least the subscribed points since the reference. The reference is the
  score at the last such alert, or the highest since: small falls in a row do not slip under, and a recovery is not forgotten.
- `grade`: the grade is another. A first rating is news only if it is N3 or worse.
- `outlook`, `watch`: they are others; on first sight, a watch is news.

A vendor that is seen for the first time raises no alert otherwise: there is nothing that it changed from.
"""

from dataclasses import dataclass
from typing import Final, Literal

from neutrality.events.alert import Alert, Rule, alert_id
from neutrality.events.assessment import Assessment, Score
from services.alerts.domain.reasons import reasons_for
from services.alerts.domain.subscription import Subscription

_BAD_FIRST_RATINGS: Final = ("N3", "N4", "N5")
_SAME: Final = 1e-9
_SHOWN: Final = 0.05  # scores are shown with one decimal


@dataclass(frozen=True, slots=True)
class Decision:
    """The alerts that a new assessment calls for, and the reference from which the next fall is measured."""

    alerts: tuple[Alert, ...]
    reference: float


def decide(
    previous: Assessment | None, current: Assessment, subscription: Subscription, reference: float | None, *, raised_at: str
) -> Decision:
    """Apply the subscription's rules. `reference` is the one of the last decision, None if there was none."""
    before = None if previous is None else previous.score_for(subscription.lab)
    after = current.score_for(subscription.lab)
    if reference is None:
        reference = after.confirmed if before is None else before.confirmed
    fell = reference - after.confirmed >= subscription.drop_points - _SAME
    fired: dict[Rule, bool] = {
        "score_drop": fell,
        "grade": _grade_is_news(before, after),
        "outlook": before is not None and before.outlook != after.outlook,
        "watch": after.watch is not None if before is None else before.watch != after.watch,
    }
    alerts = tuple(
        _alert(rule, previous, current, subscription, reference, raised_at=raised_at)
        for rule in subscription.rules
        if fired[rule]
    )
    return Decision(alerts, after.confirmed if fell else max(reference, after.confirmed))


def _grade_is_news(before: Score | None, after: Score) -> bool:
    if before is None or before.grade == "NR":
        return after.grade in _BAD_FIRST_RATINGS
    return before.grade != after.grade


def _alert(
    rule: Rule,
    previous: Assessment | None,
    current: Assessment,
    subscription: Subscription,
    reference: float,
    *,
    raised_at: str,
) -> Alert:
    view: Literal["confirmed", "projected"] = "confirmed" if rule in ("score_drop", "grade") else "projected"
    reasons = reasons_for(previous, current, subscription.lab, view)
    before = None if previous is None else previous.score_for(subscription.lab)
    why = f": {reasons[0].summary}" if reasons else ""
    return Alert(
        id=alert_id(subscription.lab, subscription.name, rule, current.vendor, current.version),
        lab=subscription.lab,
        subscription=subscription.name,
        rule=rule,
        vendor=current.vendor,
        vendor_name=current.name,
        version=current.version,
        title=f"{_headline(rule, current.name, subscription.lab, before, current.score_for(subscription.lab), reference)}{why}",
        before=before,
        after=current.score_for(subscription.lab),
        reasons=reasons,
        raised_at=raised_at,
        cause=current.cause,
    )


def _headline(rule: Rule, name: str, lab: str, before: Score | None, after: Score, reference: float) -> str:
    if rule == "watch":
        state = "is off watch" if after.watch is None else f"is on watch {after.watch}"
        return f"{name} {state} for {lab}"
    if rule == "outlook":
        return f"The outlook of {name} for {lab} is now {after.outlook}"
    if before is None:
        return f"{name} is rated {after.confirmed:.1f} ({after.grade}) for {lab}"
    if rule == "grade":
        return f"{name} was regraded from {before.grade} to {after.grade} for {lab} ({before.confirmed:.1f} to {after.confirmed:.1f})"
    if reference - before.confirmed > _SHOWN:
        return f"{name} fell in steps from {reference:.1f} to {after.confirmed:.1f} ({after.grade}) for {lab}"
    moved = "fell" if after.confirmed < before.confirmed else "rose"
    return f"{name} {moved} from {before.confirmed:.1f} ({before.grade}) to {after.confirmed:.1f} ({after.grade}) for {lab}"
