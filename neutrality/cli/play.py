"""`neutrality play`: the reference scenario, into services that run already, in compose or elsewhere."""

import signal
from typing import Annotated

import typer
from rich.console import Console

from neutrality.broker.errors import BrokerError
from neutrality.cli.addresses import (
    DEFAULT_ALERTS_URL,
    DEFAULT_BOOTSTRAP,
    DEFAULT_INGEST_URL,
    AlertsUrl,
    AsJson,
    BootstrapServers,
    IngestUrl,
)
from neutrality.cli.alert_stream import AlertsError
from neutrality.cli.exits import Exit, end
from neutrality.cli.live import JsonView, LiveView
from neutrality.cli.playing import SCENARIO, Addresses, Interrupted, Playing
from neutrality.cli.signals import StopSignal
from neutrality.cli.story import Patience
from neutrality.client import IngestError
from neutrality.scenario import load_expectations


def play(
    *,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Fail if a score or an alert that the scenario calls for did not come; scoring's clock must stand in June 2025.",
        ),
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Go on showing what happens, until Ctrl-C.")] = False,
    timeout_s: Annotated[float, typer.Option("--timeout", min=1.0, help="Seconds to wait for what a step must cause.")] = 30.0,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
    ingest_url: IngestUrl = DEFAULT_INGEST_URL,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    as_json: AsJson = False,
) -> None:
    """Play the Meta-Scale AI deal into running services, and show live what comes of it.

    Played twice it changes nothing. It subscribes the scenario's labs.

    Example: neutrality play --follow
    """
    stop = StopSignal.install(signal.SIGINT, signal.SIGTERM)
    console = Console(highlight=False, soft_wrap=True, quiet=as_json)
    expectations = load_expectations(SCENARIO)
    labs = (*expectations.labs, "meta")
    playing = Playing(
        Addresses(bootstrap_servers, ingest_url, alerts_url),
        JsonView(labs) if as_json else LiveView(console, labs),
        console,
        stop,
        expectations,
        Patience(expected_s=timeout_s if strict else min(5.0, timeout_s)),
        attend=lambda: None,
    )
    try:
        failures = playing.run(play=True, follow=follow, summarized=lambda: None)
    except (IngestError, AlertsError, BrokerError) as error:
        end(str(error), Exit.FAILED)
    except (Interrupted, KeyboardInterrupt):
        end("interrupted before the scenario was seen through", Exit.FAILED)
    if strict and failures:
        end("the scenario calls for what did not come:\n  " + "\n  ".join(failures), Exit.FAILED)
