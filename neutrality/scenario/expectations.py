"""What must hold after a step of a scenario: scores to one decimal, and the alerts that labs must have got.

Pure: whoever plays a scenario asks which expectations are unmet by what arrived so far, and says so.
"""

from collections.abc import Iterable
from importlib.resources import files

from pydantic import BaseModel, ConfigDict

from neutrality.events.alert import Alert, Rule
from neutrality.events.assessment import Assessment, Grade, Outlook, Watch

_ROUNDING = 0.05  # scores are stated to one decimal


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ExpectedScores(_Frozen):
    """Scores of one vendor after the step `after`; keys are labs. `story` is how the worked example calls that moment."""

    after: str
    vendor: str
    confirmed: dict[str, float]
    grades: dict[str, Grade] = {}
    outlooks: dict[str, Outlook] = {}
    watches: dict[str, Watch | None] = {}
    story: str | None = None

    def unmet(self, assessment: Assessment | None) -> tuple[str, ...]:
        """What is not as expected, one sentence each; empty if all is."""
        if assessment is None:
            return (f"{self.vendor} has no score yet",)
        found = []
        for lab, value in self.confirmed.items():
            score = assessment.score_for(lab).confirmed
            if abs(score - value) > _ROUNDING:
                found.append(f"{self.vendor} for {lab} is {score:.1f}, not {value:.1f}")
        for field, wanted in (("grade", self.grades), ("outlook", self.outlooks), ("watch", self.watches)):
            for lab, word in wanted.items():
                is_now = getattr(assessment.score_for(lab), field)
                if is_now != word:
                    found.append(f"{field} of {self.vendor} for {lab} is {is_now or 'none'}, not {word or 'none'}")
        return tuple(found)


class ExpectedAlert(_Frozen):
    """An alert that each of `labs` must have got once the step `after` was told.

    `claim` must be among its reasons, `says` in the words of that reason, `publisher` among that reason's evidence.
    """

    after: str
    labs: tuple[str, ...]
    rule: Rule
    vendor: str
    claim: str
    says: str
    publisher: str

    def met_by(self, alert: Alert) -> bool:
        """Whether this alert, to whichever of the labs, is what was expected."""
        if alert.rule != self.rule or alert.vendor != self.vendor or alert.lab not in self.labs:
            return False
        return any(
            reason.claim_id == self.claim
            and self.says in reason.summary
            and any(item.get("publisher") == self.publisher for item in reason.evidence)
            for reason in alert.reasons
        )

    def missing(self, alerts: Iterable[Alert]) -> tuple[str, ...]:
        """The labs that did not get it, in order."""
        reached = {alert.lab for alert in alerts if self.met_by(alert)}
        return tuple(lab for lab in self.labs if lab not in reached)

    def describe(self, lab: str) -> str:
        """For messages: what this lab should have got."""
        return f"{lab}: a {self.rule} alert on {self.vendor} that names '{self.says}' on the word of {self.publisher} (row {self.after})"


class Expectations(_Frozen):
    """All that a scenario calls for. `labs` are those that subscribe."""

    labs: tuple[str, ...]
    scores: tuple[ExpectedScores, ...]
    alerts: tuple[ExpectedAlert, ...]

    def scores_after(self, step: str) -> tuple[ExpectedScores, ...]:
        """The scores that must hold after a step."""
        return tuple(item for item in self.scores if item.after == step)

    def alerts_after(self, step: str) -> tuple[ExpectedAlert, ...]:
        """The alerts that a step must cause."""
        return tuple(item for item in self.alerts if item.after == step)


def load_expectations(name: str) -> Expectations:
    """The expectations of a scenario of the package. Raises FileNotFoundError for a name without any."""
    return Expectations.model_validate_json(files("neutrality.scenario").joinpath(f"{name}.expected.json").read_bytes())
