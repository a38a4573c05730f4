"""The audit: what the events say, worked out twice, against what was published. Incremental: each run takes in only what is new.

First the inputs are read to their end, then the scores: what scoring publishes in between may be newer than what is expected of it, and
what it has not published yet may be missing. A difference counts for sure once a later run finds it again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from neutrality.events.assessment import Assessment
from neutrality.events.structs import Entity
from neutrality.model.direct import TOLERANCE_POINTS, DirectModel
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import Methodology
from neutrality.model.vertex import Vertex
from neutrality.verification.comparison import SCORES, Bounds, Difference, differences
from neutrality.verification.log import EventLog, Reason
from neutrality.verification.standing import ScoreLog

_SOLVE_AGAIN: Final = timedelta(minutes=10)  # of model time, though nothing came: the formulas notice what time alone has changed


@dataclass(frozen=True, slots=True)
class Findings:
    """What a run found. `lag` is the number of input records that were written while it ran."""

    at: datetime
    vendors: int
    events: int
    rejected: Mapping[Reason, int]
    unreadable: int
    lag: int
    differences: tuple[Difference, ...]


class Audit:
    """Keeps what was read so far. Not for use from several threads."""

    def __init__(self, events: EventLog, scores: ScoreLog, methodology: Methodology) -> None:
        """Nothing is read before the first run; `close` closes both logs."""
        self._events, self._scores, self._methodology = events, scores, methodology
        self._runner: LocalRunner | None = None
        self._direct = DirectModel(methodology)
        self._bounds: Bounds = {}
        self._solved: tuple[datetime, int] | None = None
        self._taken = 0

    @property
    def vertices(self) -> Mapping[str, Vertex]:
        """The state of all entities in process."""
        return {} if self._runner is None else self._runner.vertices

    def run(self, at: datetime) -> Findings:
        """Read what is new, let time pass until `at`, and compare. Raises BrokerUnavailable."""
        new = self._events.read_new()
        self._taken += len(new)
        if self._runner is None:
            self._runner = LocalRunner(self._methodology, at)
        self._runner.pass_time(at)
        self._runner.apply_together(new)
        self._direct.add(new)
        self._scores.read_new()
        in_process = self._runner.standing_assessments()
        if self._solved is None or self._solved[1] != self._runner.reactions or at - self._solved[0] >= _SOLVE_AGAIN:
            self._bounds = self._solve(at, in_process)
            self._solved = at, self._runner.reactions
        published = self._scores.standing
        return Findings(
            at=at,
            vendors=len(in_process),
            events=self._taken,
            rejected=dict(self._events.rejected),
            unreadable=self._scores.unreadable,
            lag=self._events.lag(),
            differences=differences(published, in_process, self._former(published.keys() - in_process.keys()), self._bounds),
        )

    def close(self) -> None:
        """Let go of the connections."""
        self._events.close()
        self._scores.close()

    def _solve(self, at: datetime, in_process: Mapping[str, Assessment]) -> Bounds:
        """Least and most of each score by the formulas. Where levels were cut, what they leave out lies between the two."""
        full = self._direct.solve(at)
        cut = {vendor for vendor, found in in_process.items() if "levels_cut" in found.flags}
        to_the_last_level = self._direct.solve(at, levels=self._methodology.limits.levels) if cut else full
        bounds: dict[str, dict[tuple[str | None, str], tuple[float, float]]] = {}
        for vendor in full.retained:
            named = in_process[vendor].labs if vendor in in_process else ()
            of_vendor = bounds[vendor] = {}
            for lab in (None, *named):
                for view in SCORES:
                    ends = [(full if vendor not in cut else end).score(vendor, lab, view) for end in (full, to_the_last_level)]
                    of_vendor[lab, view] = min(ends) - TOLERANCE_POINTS, max(ends) + TOLERANCE_POINTS
        return bounds

    def _former(self, candidates: set[str]) -> set[str]:
        """Those that some report called a vendor, though they are none now."""
        return {
            entity
            for entity in candidates
            if entity in self.vertices
            and any(
                isinstance(report.event.data, Entity) and report.event.data.is_vendor
                for report in self.vertices[entity].reports.values()
            )
        }
