"""From news to alerts: weigh, inhibit, silence, mind the least severity, and set the time of release; in this order, each with its reason.

What is not sent is kept with the reason. Alerts of one release of a subscription are one group: those of one moment and vendor that go at once, or
all that go with one digest or at the end of quiet hours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Literal

from neutrality.events.alert import SEVERITIES, Alert, Alternative, Severity, Stake, alert_id
from neutrality.events.assessment import Assessment
from neutrality.events.vocabulary import iso
from services.alerts.domain.corrections import remember, told_by
from services.alerts.domain.decide import Decision, Finding
from services.alerts.domain.inhibition import why_inhibited
from services.alerts.domain.memory import Memory, Told
from services.alerts.domain.rules import view_of
from services.alerts.domain.schedule import release_time
from services.alerts.domain.severity import SeverityScale
from services.alerts.domain.silence import Silence, muting
from services.alerts.domain.subscription import Subscription

Outcome = Literal["sent", "held", "inhibited", "silenced", "minor", "cancelled"]


@dataclass(frozen=True, slots=True)
class Scene:
    """What bears on the alerts of one moment. `unsent`: alerts that wait or are silenced, which nobody has been told of yet."""

    subscription: Subscription
    current: Assessment
    stake: Stake
    scale: SeverityScale
    now: datetime
    alternatives: tuple[Alternative, ...] = ()
    silences: tuple[Silence, ...] = ()
    unsent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Routed:
    """An alert and what becomes of it. `due`: when it is released (held), or when its silence ends (silenced)."""

    alert: Alert
    outcome: Outcome
    why: str | None = None
    due: datetime | None = None
    silence: str | None = None


@dataclass(frozen=True, slots=True)
class Routing:
    """What came of a moment. `cancelled` names alerts that were not sent yet and no longer hold; `memory` is what is remembered from here on."""

    routed: tuple[Routed, ...]
    cancelled: tuple[str, ...]
    memory: Memory | None


def route(decision: Decision, scene: Scene) -> Routing:
    """Take what was decided in one moment through the stages."""
    routed: list[Routed] = []
    cancelled: list[str] = []
    for finding in decision.findings:
        corrects = tuple(one for one in finding.corrects if one.alert not in scene.unsent)
        cancelled += [one.alert for one in finding.corrects if one.alert in scene.unsent]
        if corrects or not finding.corrects:  # else nobody was told of what it would correct
            routed.append(_what_becomes_of(finding, corrects, decision.findings, scene))
    return Routing(tuple(routed), tuple(cancelled), _memory_after(decision, routed, scene))


def _memory_after(decision: Decision, routed: Sequence[Routed], scene: Scene) -> Memory | None:
    if "correction" not in scene.subscription.told_rules:
        return decision.memory
    told = [
        told_by(one.alert, scene.current)
        for one in routed
        if one.outcome not in ("inhibited", "minor") and not one.alert.corrects
    ]
    if not told:
        return decision.memory
    kept = decision.memory or Memory()
    return Memory(kept.marks, kept.since_ms, kept.baseline, remember(kept.told, told))


def _what_becomes_of(finding: Finding, corrects: tuple[Told, ...], together: Sequence[Finding], scene: Scene) -> Routed:
    severity = max((one.severity for one in corrects), key=SEVERITIES.index, default=None) or scene.scale.severity(
        finding.points, scene.stake.exposure
    )
    due = release_time(scene.now, severity, scene.subscription.schedule)
    alert = _alert(finding, tuple(one.alert for one in corrects), severity, due, scene)
    if (why := why_inhibited(finding, together, scene.subscription.told_rules, finding.after)) is not None:
        return Routed(alert, "inhibited", why)
    if (silence := muting(scene.silences, alert, scene.current.categories, scene.now)) is not None:
        return Routed(alert, "silenced", f"{silence.terms.by}: {silence.terms.reason}", silence.ends, silence.id)
    least = scene.subscription.minimum_severity
    if not corrects and SEVERITIES.index(severity) < SEVERITIES.index(least):
        return Routed(alert, "minor", f"{severity} is less than {least}")
    if due > scene.now:
        return Routed(alert, "held", f"goes out at {iso(due)}", due)
    return Routed(alert, "sent")


def _alert(finding: Finding, corrects: tuple[str, ...], severity: Severity, due: datetime, scene: Scene) -> Alert:
    lab, name, current = scene.subscription.lab, scene.subscription.name, scene.current
    moment = f"{current.vendor}\x1f{current.version}" if due <= scene.now else iso(due)
    return Alert(
        id=alert_id(lab, name, finding.key, current.vendor, current.version),
        lab=lab,
        subscription=name,
        rule=finding.condition.rule,
        vendor=current.vendor,
        vendor_name=current.name,
        version=current.version,
        title=finding.title,
        before=finding.before,
        after=finding.after,
        reasons=finding.reasons,
        raised_at=iso(scene.now),
        cause=current.cause,
        severity=severity,
        points=finding.points,
        view=view_of(finding.condition),
        group=group_id(lab, name, moment),
        stake=scene.stake,
        alternatives=() if finding.improves or corrects else scene.alternatives,
        corrects=corrects,
        deferred=due > scene.now or (scene.subscription.settling_s > 0 and not corrects),
    )


def group_id(lab: str, subscription: str, moment: str) -> str:
    """One release of a subscription: deterministic, as the alerts' ids are."""
    return "gr_" + sha256(f"{lab}\x1f{subscription}\x1f{moment}".encode()).hexdigest()[:32]
