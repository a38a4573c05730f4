"""What a trial showed, and whether it has passed. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from neutrality.cli.exits import Exit
from tests.trials.plan import Kind, Plan

MAX_STALL_S: Final = 30.0
TOLD: Final = 3  # differences and tracebacks that are quoted

# Errors whose tracebacks belong to what happens, by the name of their class: none so far, aiokafka and scoring tell an outage in one line each.
EXPECTED_ERRORS: Final[Mapping[Kind, frozenset[str]]] = {}


@dataclass(frozen=True, slots=True)
class Verified:
    """How `neutrality verify --json` ended; no document if it printed none."""

    code: int
    document: Mapping[str, Any] | None
    errors: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that counts."""

    vendors: int
    seconds: float = 0.0
    settled: bool = False
    stall_s: float = 0.0
    lane_stall_s: float = 0.0
    looks: int = 0
    restarts: int = 0
    stale_refused: int = 0
    sent_again: int = 0
    rejected: int = 0
    verified: Verified | None = None
    tracebacks: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial that has ended."""

    plan: Plan
    evidence: Evidence
    failures: tuple[str, ...] = field(default=())

    @property
    def differences(self) -> int | None:
        """How many verify found; None if it did not get so far."""
        verified = self.evidence.verified
        return None if verified is None or verified.document is None else len(verified.document["differences"])


def judge(plan: Plan, evidence: Evidence) -> Outcome:
    """The outcome, with all that speaks against it."""
    return Outcome(plan, evidence, tuple(_against(plan, evidence)))


def _against(plan: Plan, evidence: Evidence) -> Iterator[str]:
    yield from evidence.failures
    if not evidence.settled:
        yield "not all was applied and committed in the end"
    if evidence.stall_s > MAX_STALL_S:
        yield f"nothing moved for {evidence.stall_s:.1f} s though work was left"
    if evidence.rejected:
        yield f"scoring rejected {evidence.rejected} records"
    if evidence.tracebacks:
        yield f"{len(evidence.tracebacks)} tracebacks: {'; '.join(sorted(set(evidence.tracebacks))[:TOLD])}"
    if evidence.verified is None:
        yield "it was not verified"
    else:
        yield from _against_scores(plan, evidence, evidence.verified)


def _against_scores(plan: Plan, evidence: Evidence, verified: Verified) -> Iterator[str]:
    document = verified.document
    if document is None:
        yield f"verify ended with {verified.code}: {verified.errors}"
        return
    if differences := document["differences"]:
        yield f"verify found {len(differences)} differences: {'; '.join(map(str, differences[:TOLD]))}"
    elif verified.code != Exit.OK:
        yield f"verify ended with {verified.code}"
    # an audit of half the log would find nothing either
    if document["vendors_checked"] != evidence.vendors:
        yield f"verify checked {document['vendors_checked']} vendors, not {evidence.vendors}"
    if not plan.size.events <= document["events"] <= plan.size.events + evidence.sent_again:
        yield f"verify read {document['events']} events, not {plan.size.events}"
    for name in ("scores_unreadable", "lag"):
        if document[name]:
            yield f"verify says {name}: {document[name]}"
    if any(document["rejected"].values()):
        yield f"verify rejected events: {document['rejected']}"
