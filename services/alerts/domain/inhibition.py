"""Some news hides other news of the same vendor in the same subscription, because it says more.

Another subscription may go to other people: it hides nothing.

| while | these are hidden |
|---|---|
| the vendor is N5 (captive) and the subscription tells grades | outlook, watch |
| a channel was lost in this moment | score_rise, and every grade, level, outlook and watch: they only show that less is known |
| a correction is told in this moment | improvements: they are what the correction says |
"""

from collections.abc import Collection, Sequence
from typing import Final

from neutrality.events.alert import Rule
from neutrality.events.assessment import Score
from services.alerts.domain.decide import Finding

_CAPTIVE_HIDES: Final[Collection[Rule]] = ("outlook", "watch")
_LOSS_HIDES: Final[Collection[Rule]] = ("score_rise", "grade", "level", "outlook", "watch")


def why_inhibited(finding: Finding, others: Sequence[Finding], told_rules: Collection[Rule], after: Score) -> str | None:
    """Why a finding is hidden by what else holds or is found in this moment; None if it is not. `told_rules`: what the subscription tells."""
    rule = finding.condition.rule
    found = {other.condition.rule for other in others if other is not finding}
    if rule in _CAPTIVE_HIDES and after.grade == "N5" and "grade" in told_rules:
        return "the vendor is N5: its grade says more"
    if rule in _LOSS_HIDES and "coverage" in found:
        return "coverage was lost: less is known, which is not a change of the vendor"
    if finding.improves and "correction" in found:
        return "the correction says it"
    return None
