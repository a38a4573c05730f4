"""Plays a scenario into ingest, step by step, and shows what comes of it.

Readers run in threads of their own and put what they see into one queue: assessments from `neutrality.scores`, alerts as each subscribed lab
gets them, and `Stir` for messages between vertices. This thread plays and prints. After a step it waits

- until it was still for a while: nothing read since the last event was accepted, and
- for what the scenario says must hold then: scores, and an alert to each lab it names; each missing one is kept as a failure.

Playing again over kept data is harmless: the events carry the same (source, id), so nothing is counted twice.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Empty, Queue
from typing import Any, Final, Protocol

from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment
from neutrality.scenario import Expectations, ExpectedScores, Scenario, Step

_POLL_S: Final = 0.05


class Post(Protocol):
    """Hands events to ingest; returns when Kafka has them all."""

    def __call__(self, documents: Sequence[dict[str, Any]], /) -> object:
        """Raises IngestError if one was not accepted."""


@dataclass(frozen=True, slots=True)
class Stir:
    """Something was read that is not told: the stream is at work."""


Happening = Assessment | Alert | Stir


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait: `still_s` without anything read ends a step; `expected_s` for what must hold after it."""

    still_s: float = 0.35
    expected_s: float = 30.0


class View(Protocol):
    """Shows what happens; `newest` is what it showed last of each vendor."""

    newest: dict[str, Assessment]

    def heading(self, title: str) -> None:
        """A step begins."""

    def accepted(self, count: int) -> None:
        """Ingest has taken events, and Kafka has them."""

    def remember(self, assessments: Iterable[Assessment]) -> None:
        """What is known now; nothing is shown."""

    def scored(self, before: dict[str, Assessment], vendors: Iterable[str]) -> None:
        """Show how the scores of these vendors moved since `before`."""

    def alerted(self, alerts: Sequence[Alert]) -> None:
        """Show alerts that reached labs."""


class Story:
    """One playing of one scenario. `watch` is called often, so that crashed services are started again meanwhile."""

    def __init__(
        self,
        scenario: Scenario,
        expectations: Expectations,
        *,
        post: Post,
        happenings: "Queue[Happening]",
        view: View,
        watch: Callable[[], None],
        patience: Patience,
    ) -> None:
        """Nothing is played yet."""
        self._scenario = scenario
        self._expectations = expectations
        self._post = post
        self._happenings = happenings
        self._view = view
        self._watch = watch
        self._patience = patience
        self._alerts: dict[tuple[str, str], Alert] = {}
        self._last_stir_s = 0.0
        self.failures: list[str] = []
        self.checkpoints: dict[str, Assessment] = {}

    @property
    def alerts_seen(self) -> int:
        """Alerts that reached a lab, each counted once."""
        return len(self._alerts)

    def was_played(self) -> bool:
        """Whether the kept scores already know every claim of the scenario about the vendors it follows."""
        for vendor in {expected.vendor for expected in self._expectations.scores}:
            known = self._view.newest.get(vendor)
            if known is None:
                return False
            claims = {document["data"]["claim_id"] for document in self._scenario.documents() if document["subject"] == vendor}
            if claims - {note.claim_id for note in known.claims}:
                return False
        return True

    def play(self) -> None:
        """Tell every step and wait for what it must cause; what did not come is in `failures`."""
        for step in self._scenario.steps:
            self._tell(step)

    def play_again(self) -> bool:
        """Hand in every event once more, at once; whether that changed no score."""
        before = dict(self._view.newest)
        self._post(list(self._scenario.documents()))
        self._settle(before)
        return self._view.newest == before

    def follow(self) -> None:
        """Print what happens now, once; to be called again and again."""
        before = dict(self._view.newest)
        moved, alerts = self._drain(_POLL_S)
        self._show(before, moved, alerts)

    def _tell(self, step: Step) -> None:
        self._view.heading(step.title)
        before = dict(self._view.newest)
        self._post(step.documents)
        self._view.accepted(len(step.documents))
        self._settle(before, step)
        for expected in self._expectations.scores_after(step.key):
            self.failures += [f"after row {step.key}: {what}" for what in expected.unmet(self._view.newest.get(expected.vendor))]
            if expected.story is not None and expected.vendor in self._view.newest:
                self.checkpoints[expected.story] = self._view.newest[expected.vendor]
        for lab, description in self._missing_alerts(step.key):
            self.failures.append(f"no alert to {lab}: {description}")

    def _settle(self, before: dict[str, Assessment], step: Step | None = None) -> None:
        start_s = self._last_stir_s = time.monotonic()
        moved: dict[str, None] = {}
        alerts: list[Alert] = []
        while True:
            more, told = self._drain(_POLL_S)
            moved.update(dict.fromkeys(more))
            alerts += told
            now_s = time.monotonic()
            if now_s - self._last_stir_s < self._patience.still_s:
                continue
            if step is None or not self._is_awaited(step.key) or now_s - start_s > self._patience.expected_s:
                break
        self._show(before, moved, alerts)

    def _is_awaited(self, step: str) -> bool:
        scores: tuple[ExpectedScores, ...] = self._expectations.scores_after(step)
        return bool(self._missing_alerts(step)) or any(item.unmet(self._view.newest.get(item.vendor)) for item in scores)

    def _missing_alerts(self, step: str) -> list[tuple[str, str]]:
        seen = self._alerts.values()
        return [
            (lab, expected.describe(lab)) for expected in self._expectations.alerts_after(step) for lab in expected.missing(seen)
        ]

    def _drain(self, wait_s: float) -> tuple[list[str], list[Alert]]:
        """Take what was read, waiting a little for the first of it: vendors whose scores changed, and new alerts."""
        self._watch()
        moved: list[str] = []
        alerts: list[Alert] = []
        deadline_s = time.monotonic() + wait_s
        while True:
            try:
                happening = self._happenings.get(timeout=max(0.0, deadline_s - time.monotonic()))
            except Empty:
                return moved, alerts
            self._last_stir_s = time.monotonic()
            if isinstance(happening, Alert):
                key = happening.lab, happening.id
                if key not in self._alerts:  # at least once on the way, once for the reader
                    self._alerts[key] = happening
                    alerts.append(happening)
            elif isinstance(happening, Assessment):
                self._view.remember([happening])
                moved.append(happening.vendor)

    def _show(self, before: dict[str, Assessment], moved: Sequence[str] | dict[str, None], alerts: Sequence[Alert]) -> None:
        self._view.scored(before, dict.fromkeys(moved))
        self._view.alerted(alerts)
