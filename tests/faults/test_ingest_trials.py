"""Ingest and Kafka killed under load: the short form of `make ingest-trials`."""

from pathlib import Path

import pytest

from tests.ingest_trials.trial import PRODUCERS, Plan, run_trial


@pytest.mark.timeout(180)
@pytest.mark.parametrize("producer", PRODUCERS)
def test_what_was_answered_202_counts_exactly_once_though_ingest_and_kafka_are_killed(producer: str, tmp_path: Path) -> None:
    outcome = run_trial(Plan("both", producer, seed=1, events=2_000, mishaps=1), tmp_path)
    assert outcome.verdict.failures == ()
    assert outcome.retries, "no mishap was felt"
    assert outcome.before
    assert outcome.after
