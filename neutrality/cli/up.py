"""`neutrality up`: the whole product on one machine, live, with the reference scenario.

The order: the stack, the labs' subscriptions, the readers (scores from Kafka, each lab's alerts as server-sent events), the scenario, the
summary; then it watches until Ctrl-C. `--demo` ends instead, and is strict: whatever the scenario calls for and did not come is a failure.
"""

import signal
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from neutrality.broker.errors import BrokerError
from neutrality.cli import words
from neutrality.cli.addresses import ALERTS_PORT, INGEST_PORT, KAFKA_PORT, METRICS_PORT, AsJson
from neutrality.cli.documents import print_json
from neutrality.cli.exits import Exit, end
from neutrality.cli.folders import cache_folder
from neutrality.cli.live import JsonView, LiveView
from neutrality.cli.signals import StopSignal
from neutrality.cli.story import Patience, Story
from neutrality.cli.subscriptions import AlertsError, put_subscription
from neutrality.cli.supervisor import ServiceGaveUp
from neutrality.client import Client, IngestError
from neutrality.events.assessment import Assessment
from neutrality.scenario import Expectations, load_expectations, load_scenario

if TYPE_CHECKING:
    from neutrality.cli.stack import Stack

SCENARIO: Final = "scale-ai-2025"
SUBSCRIPTION: Final = "scenario"
DEMO_CLOCK: Final = datetime(
    2025, 6, 13, 12, tzinfo=UTC
)  # half a day after the last row: watches and cooling periods stand as they did
_VENDOR: Final = "scale-ai"
_BEFORE, _AFTER = "before", "after rows 10 and 11"
_LOOK_S: Final = 0.2


class _Interrupted(Exception):  # noqa: N818 - no error: the user asked
    """Ctrl-C or SIGTERM while something was under way."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What the parts of one run share."""

    stack: "Stack"
    view: LiveView | JsonView
    console: Console
    stop: StopSignal
    expectations: Expectations
    demo: bool
    patience: Patience

    def watch(self) -> None:
        """Start again what crashed, and see whether we are to stop."""
        if self.stop.is_set:
            raise _Interrupted
        self.stack.watch()

    def rest(self, seconds: float) -> None:
        """Wait, but go on watching."""
        until_s = time.monotonic() + seconds
        while time.monotonic() < until_s:
            self.watch()
            self.stop.wait(_LOOK_S)


def up(
    *,
    demo: Annotated[
        bool, typer.Option("--demo", help="Play the scenario in its own time over fresh data, check what it calls for, and end.")
    ] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="What is kept between runs; by default a folder in the user's cache.", file_okay=False)
    ] = None,
    kafka_port: Annotated[int, typer.Option(min=1, max=65535, help="Kafka's port.")] = KAFKA_PORT,
    ingest_port: Annotated[int, typer.Option(min=1, max=65535, help="Ingest's port.")] = INGEST_PORT,
    alerts_port: Annotated[int, typer.Option(min=1, max=65535, help="Alerts' port.")] = ALERTS_PORT,
    metrics_port: Annotated[int, typer.Option(min=1, max=65535, help="The port of scoring's metrics.")] = METRICS_PORT,
    play: Annotated[bool, typer.Option("--play/--no-play", help="Play the scenario of the Meta-Scale AI deal.")] = True,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1.0, help="Seconds to wait for what a step must cause.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Start Kafka and the three services, play the scenario into them, and show live what happens.

    Needs no Docker and no Java. Stays up until Ctrl-C; the data is kept, and a second run goes on from it without counting
    anything twice. With --demo it ends by itself: 0 if every score and alert that the scenario calls for came, 1 with what
    is missing if not.

    Example: neutrality up --kafka-port 39092
    """
    from neutrality.broker.embedded import EmbeddedKafkaError  # noqa: PLC0415 - only here is the extra `embedded` needed
    from neutrality.cli.stack import Ports, Stack, StackError  # noqa: PLC0415 - the same

    stop = StopSignal.install(signal.SIGINT, signal.SIGTERM)
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)
    expectations = load_expectations(SCENARIO)
    labs = (*expectations.labs, "meta")
    view = JsonView(labs) if as_json else LiveView(console, labs)
    stack = Stack(
        folder=data_dir or cache_folder("demo" if demo else "up"),
        ports=Ports(kafka_port, ingest_port, alerts_port, metrics_port),
        tell=view.notice,
        clock_starts_at=DEMO_CLOCK if demo else None,
    )
    run = _Run(stack, view, console, stop, expectations, demo, Patience(expected_s=timeout_s if demo else min(5.0, timeout_s)))
    failures: list[str] = []
    try:
        stack.lock()
        if demo:
            stack.forget()
        stack.start()
        failures = _go(run, play=play)
    except (EmbeddedKafkaError, StackError, ServiceGaveUp, IngestError, AlertsError, BrokerError) as error:
        end(str(error), Exit.FAILED)
    except (_Interrupted, KeyboardInterrupt):
        if demo:
            end("interrupted before the scenario was seen through", Exit.FAILED)
    finally:
        if stack.services:
            view.notice("stopping")
        stack.stop()
    if demo and failures:
        end("the scenario calls for what did not come:\n  " + "\n  ".join(failures), Exit.FAILED)


def _go(run: _Run, *, play: bool) -> list[str]:
    """Everything between start and stop; the failures of the scenario."""
    from neutrality.cli.readers import Readers  # noqa: PLC0415 - needs the services to run

    for lab in run.expectations.labs:
        put_subscription(run.stack.alerts_url, lab, SUBSCRIPTION)
    failures: list[str] = []
    with Readers(run.stack.bootstrap_servers, run.stack.alerts_url, run.expectations.labs, run.view.notice) as readers:
        run.view.remember(readers.known.values())
        with Client(run.stack.ingest_url, sleep=run.rest) as client:
            story = Story(
                load_scenario(SCENARIO),
                run.expectations,
                post=client.send,
                happenings=readers.happenings,
                view=run.view,
                watch=run.watch,
                patience=run.patience,
            )
            if play:
                _play(run, story)
                failures = story.failures
            _summarize(run, story)
        if not run.demo:
            _show_addresses(run)
            while not run.stop.wait(_LOOK_S):
                story.follow()
    return failures


def _play(run: _Run, story: Story) -> None:
    if story.was_played():
        run.view.notice(f"the scenario {SCENARIO} was played before; its events are handed in again, which must change nothing")
        same = story.play_again()
        run.view.notice("nothing was counted twice: all scores are as they were" if same else "the scores changed")
        return
    story.play()


def _summarize(run: _Run, story: Story) -> None:
    console = run.console
    now = run.view.newest.get(_VENDOR)
    if now is None:
        return
    before, after = story.checkpoints.get(_BEFORE), story.checkpoints.get(_AFTER)
    console.print()
    console.print(words.labs_table(now, (*run.expectations.labs, "meta"), before))
    others = [assessment for vendor, assessment in sorted(run.view.newest.items()) if vendor != _VENDOR]
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


def _show_addresses(run: _Run) -> None:
    stack = run.stack
    lines = (
        ("ingest API", f"{stack.ingest_url}/docs"),
        ("alerts API", f"{stack.alerts_url}/docs"),
        ("metrics", "  ".join(f"{url}/metrics" for url in (stack.ingest_url, stack.scoring_url, stack.alerts_url))),
        ("Kafka", stack.bootstrap_servers),
        ("logs", str(stack.folder / "logs")),
        ("try", f"neutrality explain {_VENDOR} --for google --bootstrap-servers {stack.bootstrap_servers}"),
    )
    if isinstance(run.view, JsonView):
        print_json({"what": "up", **{label.replace(" ", "_").lower(): value for label, value in lines}})
    run.console.print()
    for label, value in lines:
        run.console.print(f"[bold]{label:<11}[/] {escape(value)}")
    run.console.print("[dim]up; Ctrl-C ends everything[/]")
