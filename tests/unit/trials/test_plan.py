"""What a seed draws."""

import pytest

from tests.trials.plan import KINDS, SHORT, WORKERS, Size, draw

SEEDS = range(1, 50)


def test_the_same_seed_draws_the_same_trial_and_another_seed_another() -> None:
    for kind in KINDS:
        plans = [draw(kind, seed, Size()) for seed in SEEDS]
        assert plans == [draw(kind, seed, Size()) for seed in SEEDS]
        assert len({(plan.backlog, plan.gap_s, plan.steps) for plan in plans}) == len(plans)


def test_stores_take_turns() -> None:
    assert {draw("killed", seed, SHORT).store for seed in (1, 3, 5)} == {"rocksdb"}
    assert {draw("killed", seed, SHORT).store for seed in (2, 4, 6)} == {"memory"}


def test_events_are_left_to_come_while_workers_work() -> None:
    for seed in SEEDS:
        plan = draw("together", seed, Size())
        assert 0.2 * plan.size.events <= plan.backlog <= 0.8 * plan.size.events
        assert plan.steps == ()


def test_a_worker_is_killed_and_one_added_in_either_order() -> None:
    plans = [draw("killed", seed, Size()) for seed in SEEDS]
    assert {tuple(step.action for step in plan.steps) for plan in plans} == {("kill", "add"), ("add", "kill")}
    assert {step.worker for plan in plans for step in plan.steps if step.action == "kill"} == set(range(WORKERS))


def test_a_worker_is_stopped_for_twice_its_session() -> None:
    for seed in SEEDS:
        stop, wake = draw("stopped", seed, Size()).steps
        assert (stop.action, wake.action, stop.worker) == ("stop", "wake", wake.worker)
        assert wake.at_s - stop.at_s == pytest.approx(2 * Size().session_s)


def test_the_broker_is_away_for_the_outage() -> None:
    for seed in SEEDS:
        kill, start = draw("broker", seed, Size()).steps
        assert (kill.action, start.action) == ("kill broker", "start broker")
        assert start.at_s - kill.at_s == pytest.approx(Size().outage_s)
