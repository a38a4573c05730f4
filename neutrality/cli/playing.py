"""Plays a scenario into services that run, and follows what comes of it: what `neutrality up` and `neutrality play` share.

The order: the labs' subscriptions, the readers (scores from Kafka, each lab's alerts as server-sent events), the scenario, the summary. With
`strict` whatever the scenario calls for and did not come is a failure that is waited for; without, it is only told, since the services' own
time may be another than the scenario's.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.markup import escape

from neutrality.broker.access import Where
from neutrality.cli import words
from neutrality.cli.alert_stream import put_subscription
from neutrality.cli.live import JsonView, LiveView
from neutrality.cli.signals import StopSignal
from neutrality.cli.story import Patience, Story
from neutrality.client import Client
from neutrality.events.assessment import Assessment
from neutrality.scenario import Expectations, load_scenario

SCENARIO: Final = "scale-ai-2025"
SUBSCRIPTION: Final = "scenario"
_VENDOR: Final = "scale-ai"
_BEFORE, _AFTER = "before", "after rows 10 and 11"
LOOK_S: Final = 0.2


class Interrupted(Exception):  # noqa: N818 - no error: the user asked
    """Ctrl-C or SIGTERM while something was under way."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the services that are played into listen."""

    bootstrap_servers: Where
    ingest_url: str
    alerts_url: str


@dataclass(frozen=True, slots=True)
class Playing:
    """What the parts of one playing share. `attend` is called often: it may start again what crashed."""

    at: Addresses
    view: LiveView | JsonView
    console: Console
    stop: StopSignal
    expectations: Expectations
    patience: Patience
    attend: Callable[[], None]

    def watch(self) -> None:
        """Attend, and see whether we are to stop. Raises Interrupted."""
        if self.stop.is_set:
            raise Interrupted
        self.attend()

    def rest(self, seconds: float) -> None:
        """Wait, but go on watching. Raises Interrupted."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self.watch()
            self.stop.wait(LOOK_S)

    def run(self, *, play: bool, follow: bool, summarized: Callable[[], None]) -> list[str]:
        """Play, call `summarized`, and follow until the stop; returns the failures of the scenario.

        Raises:
            Interrupted: a stop came before all was played.
            IngestError: an event was not accepted.
            AlertsError: a subscription was refused.
            BrokerError: Kafka cannot be read.
        """
        from neutrality.cli.readers import Readers  # noqa: PLC0415 - needs the services to run

        for lab in self.expectations.labs:
            put_subscription(self.at.alerts_url, lab, SUBSCRIPTION)
        failures: list[str] = []
        with Readers(self.at.bootstrap_servers, self.at.alerts_url, self.expectations.labs, self.view.notice) as readers:
            self.view.remember(readers.known.values())
            with Client(self.at.ingest_url, sleep=self.rest) as client:
                story = Story(
                    load_scenario(SCENARIO),
                    self.expectations,
                    post=client.send,
                    happenings=readers.happenings,
                    view=self.view,
                    watch=self.watch,
                    patience=self.patience,
                )
                if play:
                    self._play(story)
                    failures = story.failures
                self._summarize(story)
            summarized()
            while follow and not self.stop.wait(LOOK_S):
                story.follow()
        return failures

    def _play(self, story: Story) -> None:
        if story.was_played():
            self.view.notice(
                f"the scenario {SCENARIO} was played before; its events are handed in again, which must change nothing"
            )
            same = story.play_again()
            self.view.notice("nothing was counted twice: all scores are as they were" if same else "the scores changed")
            return
        story.play()

    def _summarize(self, story: Story) -> None:
        console = self.console
        now = self.view.newest.get(_VENDOR)
        if now is None:
            return
        before, after = story.checkpoints.get(_BEFORE), story.checkpoints.get(_AFTER)
        console.print()
        console.print(words.labs_table(now, (*self.expectations.labs, "meta"), before))
        others = [assessment for vendor, assessment in sorted(self.view.newest.items()) if vendor != _VENDOR]
        if others:
            console.print(words.scores_table(others, None))
        if before is not None and after is not None:
            console.print(
                f"Scale AI after rows 10 and 11: {_three(after, named=True)}; before: {_three(before, named=False)}", style="bold"
            )
            console.print(f"{story.alerts_seen} alerts reached the labs, each with its reason and source")
        for failure in story.failures:
            console.print(f"[red]missing[/] {escape(failure)}")


def _three(assessment: Assessment, *, named: bool) -> str:
    found = []
    for lab, name in (("google", "Google"), ("openai", "OpenAI"), ("meta", "Meta")):
        value = f"{assessment.score_for(lab).confirmed:.1f}".removesuffix(".0")
        found.append(f"{name} {value}" if named else value)
    return ", ".join(found)
