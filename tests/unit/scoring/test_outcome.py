"""An entity at its bound takes what fits and refuses the rest; nobody else notices."""

from collections.abc import Iterable

from neutrality.events.cloudevent import Event
from neutrality.events.structs import as_struct
from neutrality.model.methodology import load_methodology
from neutrality.model.vertex import Input, Origin, Vertex
from neutrality.topics import OWNERSHIP
from services.scoring.handlers.outcome import MAX_STATE_BYTES, Outcome, react_all
from tests.support.events import AT, stake

HEAVY = [{"kind": "named_press", "publisher": f"paper {number}", "quote": "x" * 2000} for number in range(50)]  # 100 kB


class Nothing:
    def get(self, partition: int, key: bytes) -> Vertex | None:
        return None


def inputs(events: Iterable[Event]) -> dict[bytes, list[Input]]:
    found: dict[bytes, list[Input]] = {}
    for offset, event in enumerate(events):
        found.setdefault(event.key, []).append(Input(Origin(OWNERSHIP.name, 0, offset, 0), event))
    return found


def run(events: Iterable[Event]) -> Outcome:
    return react_all(Nothing(), 0, inputs(events), at=AT, methodology=load_methodology())


def test_what_no_longer_fits_is_refused_and_what_came_before_and_after_it_counts() -> None:
    heavy = [stake(f"fund-{number}", "heavy", 0.001, evidence=HEAVY) for number in range(90)]
    light = stake("late", "heavy", 0.001)
    outcome = run([*heavy, light, stake("fund", "other", 0.1)])
    kept = outcome.states[b"heavy"].reports
    assert 0 < len(outcome.refused) < 90
    assert len(kept) + len(outcome.refused) == 91
    assert as_struct(light) in [report.event for report in kept.values()]
    assert [item.body for item in outcome.refused] == heavy[len(kept) - 1 :]
    assert len(outcome.encoded[b"heavy"].value) <= MAX_STATE_BYTES
    assert b"other" in outcome.states


def test_a_single_input_that_does_not_fit_changes_nothing() -> None:
    outcome = run([stake("fund", "v", 0.1)])
    assert outcome.refused == ()
    assert list(outcome.states) == [b"v"]
