"""Playing a scenario: what it calls for and did not come is told; what came is shown once."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime
from queue import Queue
from typing import Any

from rich.console import Console

from neutrality.cli.live import LiveView
from neutrality.cli.story import Happening, Patience, Stir, Story
from neutrality.events.alert import Alert, Reason, Rule, alert_id
from neutrality.events.assessment import Assessment, attribute
from neutrality.events.cloudevent import event_from_document
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from neutrality.scenario import load_expectations, load_scenario

NAME = "scale-ai-2025"
QUICK = Patience(still_s=0.0, expected_s=0.2)


class Product:
    """The product in process: the model at once, and the alerts that the scenario calls for unless it is `deaf`."""

    def __init__(self, *, deaf: tuple[str, ...] = ()) -> None:
        self.happenings: Queue[Happening] = Queue()
        self._runner = LocalRunner(load_methodology(), datetime(2025, 6, 13, 12, tzinfo=UTC))
        self._deaf = deaf

    def post(self, documents: Sequence[dict[str, Any]]) -> None:
        before = dict(self._runner.assessments)
        self._runner.apply([event_from_document(document) for document in documents])
        self.happenings.put(Stir())
        for vendor, now in self._runner.assessments.items():
            if now != before.get(vendor):
                self.happenings.put(now)
                for lab in load_expectations(NAME).labs:
                    if lab not in self._deaf:
                        self._alert(lab, before.get(vendor), now)

    def _alert(self, lab: str, before: Assessment | None, now: Assessment) -> None:
        rules: tuple[tuple[Rule, str], ...] = (
            ("watch", "watch"),
            ("outlook", "outlook"),
            ("grade", "grade"),
            ("score_drop", "confirmed"),
        )
        for rule, field in rules:
            was = before.score_for(lab) if before is not None else None
            score = now.score_for(lab)
            if was is None or getattr(was, field) == getattr(score, field):
                continue
            reasons = []
            for row in attribute(now, lab, "projected"):
                note = now.claim(row.claim_id)
                if note is not None:
                    fields = (
                        row.claim_id,
                        row.lab,
                        row.channel,
                        row.through,
                        row.points,
                        note.summary,
                        note.status,
                        note.credibility,
                    )
                    reasons.append(Reason(*fields, note.evidence))
            identity = alert_id(lab, "s", rule, now.vendor, now.version)
            title = f"{rule} of {now.name}"
            alert = Alert(
                identity,
                lab,
                "s",
                rule,
                now.vendor,
                now.name,
                now.version,
                title,
                was,
                score,
                tuple(reasons),
                "2025-06-13T12:00:00Z",
            )
            self.happenings.put(alert)
            self.happenings.put(alert)  # at least once


def play(product: Product) -> tuple[Story, str]:
    shown = io.StringIO()
    expectations = load_expectations(NAME)
    view = LiveView(Console(file=shown, width=200), (*expectations.labs, "meta"))
    story = Story(
        load_scenario(NAME),
        expectations,
        post=product.post,
        happenings=product.happenings,
        view=view,
        watch=lambda: None,
        patience=QUICK,
    )
    story.play()
    return story, shown.getvalue()


def test_a_scenario_seen_through_has_no_failures() -> None:
    story, shown = play(Product())
    assert story.failures == []
    assert "Row 10: Meta takes 49 % of Scale AI (announced)" in shown
    assert "Scale AI for google: 100.0 → 60.8  N1 → N3" in shown
    assert "to microsoft, openai, xai: watch of Scale AI" in shown


def test_the_checkpoints_hold_the_worked_example() -> None:
    story, _ = play(Product())
    labs = ("google", "openai", "meta")
    assert [round(story.checkpoints["before"].score_for(lab).confirmed, 1) for lab in labs] == [100.0, 91.4, 91.4]
    assert [round(story.checkpoints["after rows 10 and 11"].score_for(lab).confirmed, 1) for lab in labs] == [38.9, 35.6, 91.4]


def test_an_alert_that_does_not_arrive_is_a_failure_that_names_the_lab() -> None:
    story, _ = play(Product(deaf=("xai",)))
    assert story.failures
    assert all("to xai" in failure for failure in story.failures)
    assert any("watch alert on scale-ai that names 'Meta takes 49 %'" in failure for failure in story.failures)


def test_an_alert_that_comes_twice_is_shown_once() -> None:
    story, shown = play(Product())
    assert shown.count("to google: watch of Scale AI") == 2  # raised by row 10, and gone with row 11
    assert story.alerts_seen > 0


def test_a_scenario_that_was_played_is_recognised_and_playing_again_changes_nothing() -> None:
    product = Product()
    story, _ = play(product)
    assert story.was_played()
    assert story.play_again()
