"""Under backlog a vendor's assessment is left to a tick: later, but the same, and never lost."""

from datetime import timedelta

from neutrality.model.methodology import load_methodology
from neutrality.model.vertex import Input, Origin, Reaction, Vertex, react, vertex_from_bytes, vertex_to_bytes
from tests.support.events import AT, lab, stake, vendor

LATER = AT + timedelta(seconds=5)
EVENTS = [vendor("v"), stake("r", "v", 0.2)]
METHODOLOGY = load_methodology()


def take(vertex: Vertex | None, offset: int = 0, *, put_off: bool) -> Reaction:
    inputs = [Input(Origin("t", 0, offset + number, 0), event) for number, event in enumerate(EVENTS)]
    return react(vertex, "v", inputs, at=AT, methodology=METHODOLOGY, put_off_until=LATER if put_off else None)


def tick(vertex: Vertex) -> Reaction:
    return react(vertex, "v", [], at=LATER, methodology=METHODOLOGY)


def test_the_tick_says_what_would_have_been_said_at_once() -> None:
    at_once = take(None, put_off=False).assessment
    reaction = take(None, put_off=True)
    assert reaction.assessment is None
    assert reaction.vertex.next_change == LATER
    later = tick(reaction.vertex).assessment
    assert at_once is not None
    assert later is not None
    assert later.unversioned() == at_once.unversioned()


def test_what_is_owed_outlives_a_restart_and_is_paid_once() -> None:
    restored = vertex_from_bytes(vertex_to_bytes(take(None, put_off=True).vertex))
    paid = tick(restored)
    assert paid.assessment is not None
    assert paid.vertex.next_change is None
    assert not tick(paid.vertex).changed


def test_a_tick_may_come_early_and_more_news_does_not_put_off_further() -> None:
    first = take(None, put_off=True).vertex
    more = Input(Origin("t", 0, 9, 0), stake("s", "v", 0.1))
    again = react(first, "v", [more], at=AT, methodology=METHODOLOGY, put_off_until=LATER + timedelta(seconds=5)).vertex
    assert again.next_change == LATER
    assert react(again, "v", [], at=AT, methodology=METHODOLOGY).assessment is not None


def test_what_may_have_been_lost_is_said_again_at_once() -> None:
    said = take(None, put_off=False)
    repeated = take(said.vertex, put_off=True)
    assert repeated.assessment == said.assessment


def test_others_than_vendors_owe_nothing() -> None:
    reaction = react(None, "l", [Input(Origin("t", 0, 0, 0), lab("l"))], at=AT, methodology=METHODOLOGY, put_off_until=LATER)
    assert reaction.vertex.next_change is None
