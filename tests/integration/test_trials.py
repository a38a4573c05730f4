"""The short form of the long trials (`make trials`): all mishaps in two trials. A forged score must fail one."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from kafka import KafkaProducer

from neutrality.broker.kafka import KafkaReader
from neutrality.events.assessment import assessment_to_kafka
from neutrality.topics import SCORES
from neutrality.verification.standing import ScoreLog
from tests.trials.__main__ import tell_failure
from tests.trials.plan import SHORT, Step, draw
from tests.trials.trial import run_trial, verify
from tests.trials.verdict import Outcome, Verified, judge

# Two workers start together; then one is added, one killed, one stopped for twice its session: a start of the broker costs more than a mishap.
WORKERS_IN_TROUBLE: Final = (
    Step(0.3, "add"),
    Step(1.0, "kill", 1),
    Step(1.5, "stop", 0),
    Step(1.5 + 2 * SHORT.session_s, "wake", 0),
)


def test_workers_that_start_together_are_killed_added_and_stopped_lose_nothing_and_a_forged_score_would_be_found(
    tmp_path: Path,
) -> None:
    forged: list[Verified] = []

    def forge_and_verify(servers: str) -> None:
        forge(servers)
        forged.append(verify(servers, tmp_path, 0.0))

    plan = replace(draw("stopped", 1, SHORT), steps=WORKERS_IN_TROUBLE)
    outcome = passed(run_trial(plan, tmp_path, before_stop=forge_and_verify), tmp_path)
    (failure,) = judge(plan, replace(outcome.evidence, verified=forged[0])).failures
    assert "1 differences" in failure
    assert "'published'" in failure


def test_a_broker_that_is_killed_on_the_way_leaves_no_difference_and_no_stall(tmp_path: Path) -> None:
    passed(run_trial(draw("broker", 2, SHORT), tmp_path), tmp_path)


def passed(outcome: Outcome, folder: Path) -> Outcome:
    if outcome.failures:
        tell_failure(outcome, folder)
    assert outcome.failures == ()
    return outcome


def forge(servers: str) -> None:
    """Say something else about a vendor under the version that stands."""
    log = ScoreLog(KafkaReader(servers, (SCORES.name,), client_id="test"))
    log.read_new()
    log.close()
    vendor, standing = next(iter(log.standing.items()))
    wrong = replace(standing.newest, headline=replace(standing.newest.headline, confirmed=-1.0))
    producer = KafkaProducer(bootstrap_servers=servers, acks="all")
    headers, value = assessment_to_kafka(
        wrong, "2026-01-01T00:00:00Z"
    )  # without its version, scoring would say it right by itself
    producer.send(SCORES.name, key=vendor.encode(), value=value, headers=headers).get(10)
    producer.close()
