"""Prometheus' own tool on our rules: they are well-formed, and each alert fires on what it is for and not beside it."""

import re
import subprocess

import pytest
import yaml

from tests.support.compose import DEPLOY, ROOT, require_engine

RULES = DEPLOY / "prometheus"


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    mount = f"{RULES}:/rules:ro"
    command = ["docker", "run", "--rm", "--entrypoint", "promtool", "--volume", mount, "prom/prometheus:latest", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(autouse=True)
def _engine() -> None:
    require_engine()


def test_configuration_and_rules_are_well_formed() -> None:
    done = promtool("check", "config", "/rules/prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_on_what_it_is_for() -> None:
    done = promtool("test", "rules", "/rules/tests/alerting.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_and_says_which_section_of_the_runbook_is_its_own() -> None:
    groups = yaml.safe_load((RULES / "alerting.yml").read_text())["groups"]
    rules = {rule["alert"]: rule for group in groups for rule in group["rules"]}
    cases = yaml.safe_load((RULES / "tests/alerting.yml").read_text())["tests"]
    fired = {item["alertname"] for case in cases for item in case.get("alert_rule_test", ()) if item.get("exp_alerts")}
    assert fired == set(rules)
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/runbook.md").read_text(), re.MULTILINE)
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for rule in rules.values():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/runbook.md"
        assert anchor in anchors
