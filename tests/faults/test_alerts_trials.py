"""Alerts killed under load beside broken endpoints: the short form of `make alerts-trials`."""

from pathlib import Path

import pytest

from tests.alerts_trials.trial import Plan, run_trial


@pytest.mark.timeout(180)
def test_every_alert_reaches_the_healthy_endpoints_in_order_though_alerts_is_killed(tmp_path: Path) -> None:
    outcome = run_trial(Plan(kills=1, labs=5, subscriptions=50, vendors=50, rate=100, seconds=8.0), tmp_path)
    assert outcome.failures == ()
    assert outcome.expected > 200


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("postgres")  # skipped where no containers are
def test_two_instances_over_postgresql_do_too_though_one_is_killed(tmp_path: Path) -> None:
    plan = Plan(kills=1, labs=5, subscriptions=50, vendors=50, rate=100, seconds=8.0, database="postgresql", instances=2)
    outcome = run_trial(plan, tmp_path)
    assert outcome.failures == ()
    assert outcome.expected > 200
