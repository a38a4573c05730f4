"""`neutrality doctor`: looks at a deployment from outside, and says of each thing that is wrong what to do about it."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Annotated, Final

import httpx
import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.markup import escape

from neutrality.acls import CHANGELOG, SCORING_GROUP
from neutrality.broker.errors import BrokerError
from neutrality.broker.inspection import inspect
from neutrality.cli.addresses import (
    DEFAULT_ALERTS_URL,
    DEFAULT_BOOTSTRAP,
    DEFAULT_INGEST_URL,
    AlertsUrl,
    AsJson,
    BootstrapServers,
    IngestUrl,
)
from neutrality.cli.documents import print_json
from neutrality.cli.exits import Exit
from neutrality.diagnosis import Finding, Level, ServiceState, judge_cluster, judge_schemas, judge_service
from neutrality.topics import CONTRACTS, MESSAGES, OWNERSHIP, TOPICS

_SOURCES: Final = (OWNERSHIP.name, CONTRACTS.name, MESSAGES.name)
_STYLES: Final[dict[Level, str]] = {"ok": "green", "note": "cyan", "warning": "yellow", "failure": "red"}
_LIMIT_S: Final = 5.0
_REVISION: Final = "alerts_database_revision"


def doctor(
    *,
    group: Annotated[str, typer.Option(help="Scoring's group, if it is not the default.")] = SCORING_GROUP,
    also: Annotated[
        list[str] | None,
        typer.Option("--alerts-instance", help="The address of a further instance of alerts; several times for more."),
    ] = None,
    ca_file: Annotated[
        Path | None, typer.Option("--ca-file", envvar="NEUTRALITY_CA_FILE", help="Of the services' certificates.", exists=True)
    ] = None,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
    ingest_url: IngestUrl = DEFAULT_INGEST_URL,
    alerts_url: AlertsUrl = DEFAULT_ALERTS_URL,
    as_json: AsJson = False,
) -> None:
    """Check a deployment: brokers, versions, topics, partitions, retention, grants, database schema, clocks, lag, disks.

    Changes nothing. Ends with 1 if there is a failure; warnings and notes are told.

    Example: neutrality doctor --alerts-instance http://127.0.0.1:8803
    """
    findings: list[Finding] = []
    try:
        changelog = CHANGELOG.replace(SCORING_GROUP, group)
        state = inspect(bootstrap_servers, {topic.name for topic in TOPICS} | {changelog}, group=group, sources=_SOURCES)
    except BrokerError as error:
        findings.append(Finding("failure", "Kafka", str(error), "see docs/runbook.md#broker-errors"))
    else:
        findings += judge_cluster(state)
    revisions: dict[str, tuple[str, ...]] = {}
    with httpx.Client(timeout=_LIMIT_S, verify=True if ca_file is None else str(ca_file)) as client:
        for name, url in (("ingest", ingest_url), *(("alerts", url) for url in (alerts_url, *(also or ())))):
            service = _ask(client, name, url)
            findings += judge_service(service)
            if known := tuple(_revisions(service)):
                revisions[url] = known
    findings += judge_schemas(revisions)
    if as_json:
        print_json({"findings": findings, "failures": sum(finding.level == "failure" for finding in findings)})
    else:
        _show(findings)
    if any(finding.level == "failure" for finding in findings):
        raise typer.Exit(Exit.FAILED)


def _ask(client: httpx.Client, name: str, url: str) -> ServiceState:
    try:
        began = datetime.now(UTC)
        ready = client.get(f"{url.rstrip('/')}/health/ready")
        took = datetime.now(UTC) - began
        metrics = client.get(f"{url.rstrip('/')}/metrics")
    except httpx.HTTPError as error:
        return ServiceState(name, url, problem=str(error) or type(error).__name__)
    skew = None
    if (date := ready.headers.get("date")) is not None:
        # its date is cut to seconds: on the average half a second more
        skew = parsedate_to_datetime(date) + timedelta(seconds=0.5) - (began + took / 2)
    found = {
        f"{sample.name}{''.join(f'{{{value}}}' for value in sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(metrics.text)
        for sample in family.samples
    }
    return ServiceState(name, url, ready.is_success, skew=skew, metrics=found)


def _revisions(service: ServiceState) -> Iterator[str]:
    for name, value in service.metrics.items():
        if value and (found := re.fullmatch(_REVISION + r"\{(.+)\}", name)):
            yield found[1]


def _show(findings: list[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    for finding in findings:
        console.print(f"[{_STYLES[finding.level]}]{finding.level:<8}[/] {escape(finding.subject)}: {escape(finding.says)}")
        if finding.do:
            console.print(f"         {escape(finding.do)}", style="dim")
    failures = sum(finding.level == "failure" for finding in findings)
    console.print(f"[red]{failures} failures[/]" if failures else "[green]no failure[/]")
