"""What one subscription remembers of one vendor between two assessments.

A mark is what a condition was last told of, or measures from: a score (fall, rise), a word (grade, outlook, watch; `above` or `below` a level), or
names (rivals over a level, channels of which something is known). It moves when there is no news, or when the news is told; not while it settles.
"""

from dataclasses import dataclass, field
from typing import Final

from neutrality.events.alert import Severity

Mark = float | str | tuple[str, ...] | None
MOST_TOLD: Final = 50  # alerts that may still be corrected; older ones are history


@dataclass(frozen=True, slots=True)
class ToldClaim:
    """A claim as an alert named it: the report that stood then, and how far it had come."""

    claim_id: str
    recorded_time: str
    status: str


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that would be corrected if one of its claims were taken back."""

    alert: str
    severity: Severity
    claims: tuple[ToldClaim, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """`marks` by condition; `since_ms`: from when on each condition that settles has held.

    `baseline`: the version before the first of these, if any settles; None: nothing was known before.
    """

    marks: dict[str, Mark] = field(default_factory=dict)
    since_ms: dict[str, int] = field(default_factory=dict)
    baseline: int | None = None
    told: tuple[Told, ...] = ()
