"""What was lost in a crash is said again, whatever came between."""

from neutrality.events.cloudevent import Event
from neutrality.model.methodology import load_methodology
from neutrality.model.vertex import Input, Origin, Reaction, Vertex, react
from tests.support.claimsets import takes_back
from tests.support.events import AT, stake, vendor

FIRST = vendor("v")
HELD = stake("fund", "v", 0.3, id="held")
GONE = takes_back(FIRST, "gone", day=10)
BACK = takes_back(GONE, "back", day=20)


def reacting(vertex: Vertex | None, *read: tuple[int, Event]) -> Reaction:
    inputs = [Input(Origin("events", 0, offset, 0), found) for offset, found in read]
    return react(vertex, "v", inputs, at=AT, methodology=load_methodology())


def test_a_repeat_says_again_what_stands_under_the_same_version() -> None:
    first = reacting(None, (0, FIRST))
    second = reacting(first.vertex, (1, HELD))
    again = reacting(second.vertex, (1, HELD))
    assert again.assessment == second.assessment
    assert again.messages == second.messages


def test_what_was_lost_is_said_when_the_entity_is_a_vendor_again() -> None:
    first = reacting(None, (0, FIRST))
    lost = reacting(first.vertex, (1, HELD))  # version 2 is in the changelog; the worker is cut off before it is published
    ended = reacting(lost.vertex, (1, HELD), (2, GONE))  # read again, with more: no vendor now, so nothing is said
    assert ended.assessment is None
    back = reacting(ended.vertex, (3, BACK))
    assert back.assessment is not None, "readers still have version 1"
    assert back.assessment.claim("fund-shareholding") is not None
