"""What a subscription would have sent: its conditions over a stretch of history, with settling, digests and quiet hours as they would have been.

Acknowledgements of the past are not known, so there are no reminders and no escalations; silences are left out, and the portfolio is today's.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from neutrality.events.alert import Reason
from neutrality.events.assessment import Assessment
from services.alerts.domain.conditions import View
from services.alerts.domain.decide import Case, Finding, because, decide
from services.alerts.domain.memory import Memory
from services.alerts.domain.portfolio import Portfolio, stake_in
from services.alerts.domain.reasons import LEAST_POINTS, MAX_REASONS
from services.alerts.domain.routing import Routed, Scene, route
from services.alerts.domain.rules import view_of
from services.alerts.domain.severity import SeverityScale
from services.alerts.domain.subscription import ByVendor, Subscription

_Claim = tuple[str, str, str, str]  # claim, lab, channel, through


@dataclass(frozen=True, slots=True)
class Moment:
    """A version of an assessment, and when it came. `reasons`: what moved it, by view, if the assessment itself attributes nothing."""

    at: datetime
    assessment: Assessment
    reasons: dict[View, tuple[Reason, ...]] | None = None


class DryRun:
    """Takes moments in order of time, and then the `end`; `routed` holds what came of them, in order."""

    def __init__(
        self, subscription: Subscription, portfolio: Portfolio | None, scale: SeverityScale, known: Iterable[Assessment] = ()
    ) -> None:
        """`known`: how vendors stood before."""
        self._subscription, self._portfolio, self._scale = subscription, portfolio, scale
        self._watching = ByVendor([subscription], {subscription.lab: tuple(portfolio or ())})
        self._known = {found.vendor: found for found in known}
        self._memories: dict[str, Memory] = {}
        self._baselines: dict[str, Assessment | None] = {}
        self._due_ms: dict[str, int] = {}
        self._moved: dict[str, dict[View, dict[_Claim, Reason]]] = {}
        self.routed: list[Routed] = []

    def take(self, moment: Moment) -> None:
        """One more version of one vendor."""
        current = moment.assessment
        self._let_settle(moment.at)
        previous = self._known.get(current.vendor)
        if previous is not None and current.version <= previous.version:
            return
        self._known[current.vendor] = current
        if moment.reasons is not None:
            self._note(current.vendor, moment.reasons)
        if self._watching.of(current.vendor, current.categories):
            self._decide(previous, current, moment.at)

    def end(self, at: datetime) -> None:
        """Let settle what is due by then."""
        self._let_settle(at)

    def _note(self, vendor: str, reasons: dict[View, tuple[Reason, ...]]) -> None:
        """Add up what moves the scores while something settles."""
        if vendor not in self._due_ms:
            self._moved.pop(vendor, None)
        together = self._moved.setdefault(vendor, {"confirmed": {}, "projected": {}})
        for view, found in reasons.items():
            for one in found:
                key = one.claim_id, one.lab, one.channel, one.through
                before = together[view].get(key)
                together[view][key] = one if before is None else replace(one, points=before.points + one.points)

    def _explained(self, vendor: str, finding: Finding) -> Finding:
        moved = self._moved.get(vendor)
        if moved is None:
            return finding
        ranked = sorted(moved[view_of(finding.condition)].values(), key=lambda one: (-abs(one.points), one.claim_id))
        reasons = tuple(one for one in ranked[:MAX_REASONS] if abs(one.points) >= LEAST_POINTS)
        return replace(finding, reasons=reasons, title=because(finding.title, reasons))

    def _let_settle(self, now: datetime) -> None:
        while self._due_ms:
            vendor = min(self._due_ms, key=lambda name: (self._due_ms[name], name))
            due = datetime.fromtimestamp(self._due_ms[vendor] / 1000.0, UTC)
            if due > now:
                return
            current = self._known[vendor]
            self._decide(current, current, due)

    def _decide(self, previous: Assessment | None, current: Assessment, now: datetime) -> None:
        vendor = current.vendor
        settled = vendor not in self._due_ms
        case = Case(self._subscription, previous, current, self._memories.pop(vendor, None), self._baselines.get(vendor))
        decision = decide(case, int(now.timestamp() * 1000), self._scale)
        memory = decision.memory
        if decision.findings:
            decision = replace(decision, findings=tuple(self._explained(vendor, one) for one in decision.findings))
            stake = stake_in(self._portfolio, vendor, current.name, self._scale)
            unsent = frozenset(one.alert.id for one in self.routed if one.due is not None and one.due > now)
            routing = route(decision, Scene(self._subscription, current, stake, self._scale, now, unsent=unsent))
            memory = routing.memory
            self.routed = [one for one in self.routed if one.alert.id not in routing.cancelled] + list(routing.routed)
        if memory is not None:
            self._memories[vendor] = memory
        self._due_ms.pop(vendor, None)
        if decision.due_ms is not None:
            self._due_ms[vendor] = decision.due_ms
            if settled:
                self._baselines[vendor] = previous
