"""Whatever happens to workers, partitions and deliveries: in the end every score is that of the in-process runner, bit for bit."""

import os
from datetime import datetime, timedelta
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neutrality.events.cloudevent import event_from_kafka, event_to_kafka
from neutrality.model.local import LocalRunner
from neutrality.model.methodology import load_methodology
from tests.support.claimsets import AT, START, Taken, claim_set, described, taken
from tests.support.events import lab, stake, vendor
from tests.support.scattered import profiles, told, told_by
from tests.support.simulator import Crash, Simulator, Worker

# NEUTRALITY_SCHEDULES=20000 pytest tests/property/test_simulator.py: the long form
SCHEDULES: Final = int(os.environ.get("NEUTRALITY_SCHEDULES", "200"))
CHUNK: Final = 20
UNTIL: Final = AT + timedelta(days=200)


def check(choose: Random, size: int) -> Simulator:
    """One schedule: run it, compare all that stands in the end, and all that was said on the way."""
    # as they come from Kafka, where the subject also stands among the attributes
    events = [(event_from_kafka(*event_to_kafka(found)), accepted_ms) for found, accepted_ms in claim_set(choose, size)]
    partitions, workers = choose.randint(1, 4), choose.randint(1, 3)
    simulator = Simulator(load_methodology(), choose, partitions=partitions, workers=workers)
    simulator.run(events, UNTIL)
    expected = LocalRunner(load_methodology(), UNTIL)
    expected.apply_together(events)

    standing = told_by(expected)
    found = {name: assessment for name, assessment in told(simulator.assessments()).items() if name in standing}
    assert found == standing, described(events)
    assert simulator.rejected() == 0
    vertices = simulator.vertices()
    assert profiles(vertices) == profiles(expected.vertices)
    for name, vertex in expected.vertices.items():
        if vertex.reports:
            assert vertices[name].dossier == vertex.dossier
    for said in simulator.published().values():
        by_version = {assessment.version: assessment for assessment in said}
        # receivers keep the newest version: under one version there is one content, and versions never fall but by repeats
        assert all(by_version[assessment.version] == assessment for assessment in said)
        assert said[-1].version == max(by_version)
    return simulator


@pytest.mark.parametrize("first", range(0, SCHEDULES, CHUNK))
def test_seeded_schedules_end_as_the_in_process_runner(first: int) -> None:
    for seed in range(first, min(first + CHUNK, SCHEDULES)):
        try:
            check(Random(seed), 16)
        except AssertionError as error:
            raise AssertionError(f"schedule {seed}: {error}") from error


@settings(max_examples=20, deadline=None)
@given(choose=st.randoms(use_true_random=False))
def test_drawn_schedules_end_as_the_in_process_runner(choose: Random) -> None:
    check(choose, 6)


class CrashingTick(Simulator):
    """Calm, but for one crash in the first tick, after the changelog has the states and before anything that follows from them is out."""

    ticking = crashed = False

    def run_calmly(self, events: list[Taken], times: list[datetime]) -> None:
        """Publish all, and do all there is to do at each of these times."""
        self._calm = True
        self._rebalance()
        for item in events:
            self._publish(item)
        for self._until in times:
            self._drain()

    def _tick(self, worker: Worker) -> bool:
        self.ticking = True
        try:
            return super()._tick(worker)
        except Crash:
            self._crash(worker)
            return True
        finally:
            self.ticking = False

    def _perhaps_crash(self, point: str, odds: float = 0.0) -> None:
        if self.ticking and not self.crashed and point == "after the changelog":
            self.crashed = True
            raise Crash


def test_a_tick_that_is_cut_off_after_the_changelog_is_said_in_the_end() -> None:
    closing = stake("r", "v", 0.5, id="closing", effective_time=(AT + timedelta(days=1)).isoformat(), time=START.isoformat())
    events = taken([lab("r"), vendor("v"), closing])
    simulator = CrashingTick(load_methodology(), Random(0), partitions=1, workers=1)
    simulator.run_calmly(events, [START, UNTIL])
    assert simulator.crashed
    assert simulator.assessments()["v"].headline.confirmed == pytest.approx(60.0)


def test_the_schedules_hold_every_mishap() -> None:
    """That the simulator is as bad as it says: each kind of crash, hole, repeat and late batch happens in the first few schedules."""
    happened: set[str] = set()
    for seed in range(40):
        happened |= set(check(Random(seed), 16).happened)
    assert happened >= {
        *[f"crashes {point}" for point in ("before the changelog", "in the changelog", "after the changelog")],
        *["crashes in the results", "crashes before the commit", "crashes between batches"],
        *["rebalances", "failed commits", "dropped batches", "late repeats of messages"],
        *["apply", "repeat", "unknown", "hole"],
    }
