"""Compose, from an empty machine: the stack is healthy, the scenario goes through it, Prometheus sees it all, and every query has an answer."""

import json
import math
import re
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from tests.support.compose import BUILT, DEPLOY, IMAGES, Compose, eventually, running

pytestmark = pytest.mark.timeout(420)
LIMIT_BYTES = 250_000_000
OWN = re.compile(r"\b(?:up|(?:ingest|scoring|alerts|neutrality)[_:][a-z0-9_:]+)(?:\{[^}]*\})?")
NO_LABELS_TO_BE = re.compile(r"\b(?:by|without) \([^)]*\)")


@pytest.fixture(scope="module")
def stack() -> Iterator[Compose]:
    yield from running("neutrality-test")


@pytest.fixture(scope="module")
def played(stack: Compose) -> str:
    return stack.neutrality("play", "--strict", "--timeout", "60")


def _panel_queries() -> dict[str, str]:
    found = {}
    for file in sorted((DEPLOY / "grafana/dashboards").glob("*.json")):
        document = json.loads(file.read_bytes())
        places = [(panel.get("title", ""), target["expr"]) for panel in document["panels"] for target in panel.get("targets", ())]
        places += [(item["name"], item["expr"]) for item in document.get("annotations", {}).get("list", ()) if "expr" in item]
        for number, (title, query) in enumerate(places):
            found[f"{file.stem}: {title} ({number})"] = query.replace("$vendor", "scale-ai").replace("$view", "google")
    return found


def _rules(name: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load((DEPLOY / "prometheus" / name).read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_all_containers_are_healthy_and_the_one_that_makes_keys_has_ended_well(stack: Compose) -> None:
    found = {item["Name"].removeprefix("neutrality-test-"): item for item in stack.containers()}
    assert found.pop("alerts-keys-1")["ExitCode"] == 0
    assert {name: item["Health"] for name, item in found.items()} == dict.fromkeys(found, "healthy")
    assert {"scoring-1", "scoring-2", "kafka-1", "postgres-1", "board-1", "prometheus-1", "grafana-1", "verify-1"} <= found.keys()


def test_the_scenario_is_seen_through(stack: Compose, played: str) -> None:
    assert "Scale AI after rows 10 and 11: Google 38.9, OpenAI 35.6, Meta 91.4; before: 100, 91.4, 91.4" in played
    assert "changed nothing" in played or "nothing was counted twice" in stack.neutrality("play")


@pytest.mark.usefixtures("played")
def test_prometheus_scrapes_every_instance(stack: Compose) -> None:
    def all_up() -> bool:
        counts = {item["metric"]["job"]: float(item["value"][1]) for item in stack.query("count by (job) (up == 1)")}
        return counts == {"ingest": 1, "scoring": 2, "alerts": alerts, "board": 1, "verify": 1, "prometheus": 1}

    alerts = len([item for item in stack.containers() if item["Service"] == "alerts"])
    eventually(all_up, within_s=30, what="every target is up")


@pytest.mark.usefixtures("played")
def test_every_query_of_rules_and_dashboards_is_answered_with_data(stack: Compose) -> None:
    queries = _panel_queries()
    queries |= {rule["record"]: rule["expr"] for rule in _rules("recording.yml")}
    for rule in _rules("alerting.yml"):
        # an alert's own expression answers only when it fires; each thing that it looks at must be there
        for selector in OWN.findall(NO_LABELS_TO_BE.sub("", rule["expr"])):
            queries[f"{rule['alert']}: {selector}"] = selector
    assert len(queries) > 80

    def unanswered() -> dict[str, str]:
        return {name: query for name, query in queries.items() if not _has_data(stack.query(query))}

    eventually(lambda: not unanswered(), within_s=60, what="every query has data") if unanswered() else None
    assert unanswered() == {}
    health = httpx.get(f"{stack.prometheus_url}/api/v1/rules").json()["data"]["groups"]
    assert {rule["health"] for group in health for rule in group["rules"]} == {"ok"}


def _has_data(found: list[dict[str, Any]]) -> bool:
    return any(not math.isnan(float(item["value"][1])) for item in found)


@pytest.mark.usefixtures("played")
def test_no_alert_fires_and_the_audit_finds_no_difference(stack: Compose) -> None:
    eventually(
        lambda: any(float(item["value"][1]) >= 5 for item in stack.query("neutrality_verify_vendors_checked")),
        within_s=30,
        what="the audit has seen the vendors",
    )
    assert stack.query("neutrality_verify_persistent_vendors")[0]["value"][1] == "0"
    assert [item["metric"]["alertname"] for item in stack.query('ALERTS{alertstate="firing"}')] == []


def test_grafana_has_read_its_sources_and_dashboards(stack: Compose) -> None:
    assert httpx.get(f"{stack.grafana_url}/api/health").json()["database"] == "ok"


@pytest.mark.parametrize("service", ["ingest", "scoring", "alerts", "board", "verify"])
def test_services_run_as_nobody_in_particular_and_can_write_nothing_but_their_data(stack: Compose, service: str) -> None:
    script = "import os, shutil; print(os.getuid(), [t for t in ('pip', 'gcc', 'cc', 'make', 'apt-get', 'uv', 'git', 'curl') if shutil.which(t)])"
    assert stack.run("exec", "-T", service, "python", "-c", script).strip() == "10001 []"
    refused = stack.run("exec", "-T", service, "sh", "-c", "touch /opt/neutrality/x 2>&1; touch /x 2>&1", check=False)
    assert refused.count("Read-only file system") == 2


@pytest.mark.parametrize("service", ["ingest", "alerts", "board"])
@pytest.mark.usefixtures("stack")
def test_images_are_small(service: str) -> None:
    size = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", f"{IMAGES}/{service}:latest"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(size.stdout) < LIMIT_BYTES


def test_a_stop_is_graceful(stack: Compose) -> None:
    """Last here: exit code 0 says that the process took SIGTERM itself and came to its end in time."""
    services = ["ingest", "scoring", "alerts", "board"]
    stack.run("stop", *services)
    codes = {item["Name"]: item["ExitCode"] for item in stack.containers() if item["Service"] in services}
    assert set(codes.values()) == {0}, codes
    assert set(BUILT) >= set(services)
