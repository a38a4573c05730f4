"""`neutrality up`: the whole product on one machine, live, with the reference scenario.

The order: the stack, then what `playing` does; then it watches until Ctrl-C. `--demo` ends instead, and is strict: whatever the scenario calls
for and did not come is a failure.
"""

import signal
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console
from rich.markup import escape

from neutrality.broker.errors import BrokerError
from neutrality.cli.addresses import ALERTS_PORT, BOARD_PORT, INGEST_PORT, KAFKA_PORT, METRICS_PORT, AsJson
from neutrality.cli.alert_stream import AlertsError
from neutrality.cli.documents import print_json
from neutrality.cli.exits import Exit, end
from neutrality.cli.folders import cache_folder
from neutrality.cli.live import JsonView, LiveView
from neutrality.cli.playing import SCENARIO, Addresses, Interrupted, Playing
from neutrality.cli.signals import StopSignal
from neutrality.cli.story import Patience
from neutrality.cli.supervisor import ServiceGaveUp
from neutrality.client import IngestError
from neutrality.scenario import load_expectations

if TYPE_CHECKING:
    from neutrality.cli.stack import Stack

DEMO_CLOCK: Final = datetime(
    2025, 6, 13, 12, tzinfo=UTC
)  # half a day after the last row: watches and cooling periods stand as they did


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
    board_port: Annotated[int, typer.Option(min=1, max=65535, help="The board's port.")] = BOARD_PORT,
    play: Annotated[bool, typer.Option("--play/--no-play", help="Play the scenario of the Meta-Scale AI deal.")] = True,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1.0, help="Seconds to wait for what a step must cause.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Start Kafka and the four services, play the scenario into them, and show live what happens.

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
        ports=Ports(kafka_port, ingest_port, alerts_port, metrics_port, board_port),
        tell=view.notice,
        clock_starts_at=DEMO_CLOCK if demo else None,
    )
    playing = Playing(
        Addresses(stack.bootstrap_servers, stack.ingest_url, stack.alerts_url),
        view,
        console,
        stop,
        expectations,
        Patience(expected_s=timeout_s if demo else min(5.0, timeout_s)),
        attend=stack.watch,
    )
    failures: list[str] = []
    try:
        stack.lock()
        if demo:
            stack.forget()
        stack.start()
        failures = playing.run(play=play, follow=not demo, summarized=partial(_show_addresses, stack, view, console, demo=demo))
    except (EmbeddedKafkaError, StackError, ServiceGaveUp, IngestError, AlertsError, BrokerError) as error:
        end(str(error), Exit.FAILED)
    except (Interrupted, KeyboardInterrupt):
        if demo:
            end("interrupted before the scenario was seen through", Exit.FAILED)
    finally:
        if stack.services:
            view.notice("stopping")
        stack.stop()
    if demo and failures:
        end("the scenario calls for what did not come:\n  " + "\n  ".join(failures), Exit.FAILED)


def _show_addresses(stack: "Stack", view: LiveView | JsonView, console: Console, *, demo: bool) -> None:
    if demo:
        return
    lines = (
        ("board", stack.board_url),
        ("ingest API", f"{stack.ingest_url}/docs"),
        ("alerts API", f"{stack.alerts_url}/docs"),
        (
            "metrics",
            "  ".join(f"{url}/metrics" for url in (stack.ingest_url, stack.scoring_url, stack.alerts_url, stack.board_url)),
        ),
        ("Kafka", stack.bootstrap_servers),
        ("logs", str(stack.folder / "logs")),
        ("try", f"neutrality explain scale-ai --for google --bootstrap-servers {stack.bootstrap_servers}"),
    )
    if isinstance(view, JsonView):
        print_json({"what": "up", **{label.replace(" ", "_").lower(): value for label, value in lines}})
    console.print()
    for label, value in lines:
        console.print(f"[bold]{label:<11}[/] {escape(value)}")
    console.print("[dim]up; Ctrl-C ends everything[/]")
