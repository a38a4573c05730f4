"""`neutrality verify`: whether the published scores are those that the events call for."""

import gc
import os
import signal
import time
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from prometheus_client import CollectorRegistry, start_http_server
from rich.console import Console
from rich.markup import escape

from neutrality.broker.access import Where
from neutrality.broker.errors import BrokerError
from neutrality.broker.kafka import KafkaPublisher, KafkaReader
from neutrality.cli.addresses import DEFAULT_BOOTSTRAP, AsJson, BootstrapServers
from neutrality.cli.documents import print_json
from neutrality.cli.event_log import INPUTS, parse_instant
from neutrality.cli.exits import Exit, end, errors
from neutrality.cli.signals import StopSignal
from neutrality.model.methodology import load_methodology
from neutrality.model.vertex import Vertex
from neutrality.topics import SCORES
from neutrality.verification.healing import Healing, heal
from neutrality.verification.log import EventLog
from neutrality.verification.standing import ScoreLog

if TYPE_CHECKING:
    from neutrality.verification.patrol import Patrol, Round

_CLIENT = "neutrality-verify"
_RETRY = timedelta(seconds=1)
_RETRY_WITH_HEALING = timedelta(seconds=5)  # two looks apart, so that what is only late is not taken for lost
_NICENESS = 15  # the audit must not take time from scoring
_HEAL_DEADLINE = timedelta(seconds=30)


def verify(
    *,
    at: Annotated[
        datetime | None,
        typer.Option(
            parser=parse_instant,
            metavar="TIME",
            envvar="NEUTRALITY_VERIFY_AT",
            help="The cluster's time when this starts; now if left out.",
        ),
    ] = None,
    wait_s: Annotated[
        float, typer.Option("--wait", min=0.0, help="Seconds to look again while there are differences: scoring may be at work.")
    ] = 0.0,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on until Ctrl-C, at low priority, reading only what is new.")
    ] = False,
    interval_s: Annotated[float, typer.Option("--interval", min=0.1, help="With --follow: seconds between runs.")] = 30.0,
    repair: Annotated[
        bool,
        typer.Option(
            "--heal", help="With --wait or --follow: reapply the inputs of vendors with a difference in two runs running."
        ),
    ] = False,
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="With --follow: serve Prometheus metrics on this port; 0 picks a free one."),
    ] = None,
    metrics_host: Annotated[str, typer.Option(help="The address that the metrics are served on.")] = "127.0.0.1",
    metrics_certificate: Annotated[
        Path | None, typer.Option(help="Its certificate (PEM), to serve them over TLS.", exists=True, dir_okay=False)
    ] = None,
    metrics_key: Annotated[Path | None, typer.Option(help="The certificate's key.", exists=True, dir_okay=False)] = None,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
    as_json: AsJson = False,
) -> None:
    """Compare the published scores with what the events call for; end with 1 and the differences if there are any.

    Every score is worked out anew from the two input topics: in process by the stream's own rules, which must agree bit for
    bit, and by the formulas (sparse linear algebra), which must agree to within 0.0001 points.

    Example: neutrality verify --wait 30
    """
    if repair and not follow and wait_s <= 0.0:
        end("--heal needs a second look at what it heals: give --wait or --follow", Exit.USAGE)
    if metrics_port is not None and not follow:
        end("--metrics-port serves a process that stays: give --follow", Exit.USAGE)
    if (metrics_certificate is None) != (metrics_key is None):
        end("--metrics-certificate and --metrics-key belong together", Exit.USAGE)
    registry = CollectorRegistry()
    serve = partial(
        start_http_server,
        metrics_port or 0,
        addr=metrics_host,
        registry=registry,
        certfile=None if metrics_certificate is None else str(metrics_certificate),
        keyfile=None if metrics_key is None else str(metrics_key),
    )
    patrol = _patrol(bootstrap_servers, at, registry, repair=repair)
    tell: Callable[[Round], None] = _print_json if as_json else _show
    gc.disable()  # of millions of objects none is in a cycle, and looking for one takes a third of the time
    try:
        last = (
            _follow(patrol, tell, interval_s, None if metrics_port is None else serve)
            if follow
            else _look(patrol, tell, wait_s, _RETRY_WITH_HEALING if repair else _RETRY)
        )
    except BrokerError as error:
        end(f"Kafka at {bootstrap_servers} cannot be read: {error}; is `neutrality up` running?", Exit.UNREACHABLE)
    finally:
        gc.enable()
        patrol.close()
    if last is not None and last.findings.differences:
        raise typer.Exit(Exit.FAILED)


def _patrol(bootstrap_servers: Where, at: datetime | None, registry: CollectorRegistry, *, repair: bool) -> "Patrol":
    """Put the parts together. Ends the command if the extra is not installed."""
    try:
        from neutrality.verification.audit import Audit  # noqa: PLC0415 - needs NumPy and SciPy, which no other command does
        from neutrality.verification.metrics import VerifyMetrics  # noqa: PLC0415
        from neutrality.verification.patrol import Patrol  # noqa: PLC0415
    except ImportError as error:
        end(f"{error.name} is missing; install neutrality-watch[verify]", Exit.FAILED)
    began = datetime.now(UTC)

    def clock() -> datetime:
        now = datetime.now(UTC)
        return now if at is None else at + (now - began)

    def open_audit() -> Audit:
        inputs = EventLog(KafkaReader(bootstrap_servers, INPUTS, client_id=_CLIENT))
        try:
            scores = ScoreLog(KafkaReader(bootstrap_servers, (SCORES.name,), client_id=_CLIENT))
        except BrokerError:
            inputs.close()
            raise
        return Audit(inputs, scores, load_methodology())

    def reapply(vendors: Collection[str], vertices: Mapping[str, Vertex]) -> Healing:
        return heal(
            vendors,
            vertices,
            open_inputs=lambda: KafkaReader(bootstrap_servers, INPUTS, client_id=_CLIENT),
            open_publisher=lambda: KafkaPublisher(bootstrap_servers, client_id=_CLIENT, deadline=_HEAL_DEADLINE),
        )

    return Patrol(open_audit, clock, metrics=VerifyMetrics(registry), wall_clock_s=time.time, heal=reapply if repair else None)


def _look(patrol: "Patrol", tell: "Callable[[Round], None]", wait_s: float, retry: timedelta) -> "Round":
    """Until there is no difference, but no longer than `wait_s`; only the last look is told."""
    deadline = time.monotonic() + wait_s
    while True:
        found = patrol.walk()
        if found.healing is not None:
            errors().print(_healed(found.healing), style="yellow", markup=False)
        if not found.findings.differences or time.monotonic() >= deadline:
            tell(found)
            return found
        time.sleep(min(retry.total_seconds(), max(0.0, deadline - time.monotonic())))


def _follow(
    patrol: "Patrol", tell: "Callable[[Round], None]", interval_s: float, serve: Callable[[], tuple[Any, Any]] | None
) -> "Round | None":
    """Until a signal. Kafka being away is told and waited out."""
    os.nice(_NICENESS)
    stop = StopSignal.install(signal.SIGINT, signal.SIGTERM)
    if serve is not None:
        try:
            server, _ = serve()
        except OSError as error:
            end(f"the metrics cannot be served: {error.strerror}", Exit.USAGE)
        errors().print(f"metrics on port {server.server_port}", markup=False)
    last = None
    while not stop.is_set:
        try:
            last = patrol.walk()
            tell(last)
        except BrokerError as error:
            errors().print(f"neutrality: {error}", markup=False, style="red")
        gc.collect(1)  # what a round leaves behind, not what it keeps
        stop.wait(interval_s)
    return last


def _document(found: "Round") -> dict[str, Any]:
    findings = found.findings
    return {
        "at": findings.at,
        "vendors_checked": findings.vendors,
        "events": findings.events,
        "rejected": findings.rejected,
        "scores_unreadable": findings.unreadable,
        "lag": findings.lag,
        "differences": findings.differences,
        "persistent": found.persistent,
        "healing": found.healing,
        "given_up": found.given_up,
    }


def _print_json(found: "Round") -> None:
    print_json(_document(found))


def _show(found: "Round") -> None:
    console = Console(highlight=False, soft_wrap=True)
    findings = found.findings
    for item in findings.differences:
        said = f"published {item.published!r}, in process {item.in_process!r}"
        direct = "" if item.direct is None else f", direct {item.direct!r}"
        console.print(f"[red]{item.kind:<10}[/]  {escape(item.vendor)}  {escape(item.field)}: {escape(said + direct)}")
    if found.healing is not None:
        console.print(_healed(found.healing), style="yellow", markup=False)
    if found.given_up:
        console.print(f"[red]could not be healed:[/] {escape(', '.join(found.given_up))}")
    wrong = len({item.vendor for item in findings.differences})
    rejected = sum(findings.rejected.values())
    console.print(
        f"{findings.vendors} vendors checked against {findings.events} events ({rejected} records rejected): "
        + (f"[red]{wrong} differ[/]" if wrong else "[green]no difference[/]")
    )


def _healed(healing: Healing) -> str:
    return f"reapplied {healing.records} records about {healing.entities} entities for {', '.join(healing.vendors)}"
