"""Under backlog what inputs lead to is left to a tick: later, but the same, and never lost."""

from datetime import timedelta

from neutrality.model.methodology import load_methodology
from neutrality.model.stored import vertex_from_bytes, vertex_to_bytes
from neutrality.model.vertex import Input, Message, Origin, PutOff, Reaction, Vertex, react
from tests.support.events import AT, lab, stake, vendor

LATER = AT + timedelta(seconds=5)
ALL = PutOff(LATER, reckoning=True)
ASSESSMENT = PutOff(LATER, reckoning=False)
EVENTS = [vendor("v"), stake("r", "v", 0.2)]
METHODOLOGY = load_methodology()


def take(vertex: Vertex | None, offset: int = 0, *, put_off: bool) -> Reaction:
    inputs = [Input(Origin("t", 0, offset + number, number), event) for number, event in enumerate(EVENTS)]
    return react(vertex, "v", inputs, at=AT, methodology=METHODOLOGY, put_off=ALL if put_off else None)


def tick(vertex: Vertex, *, put_off: bool = False) -> Reaction:
    at = AT if put_off else LATER
    return react(vertex, vertex.entity, [], at=at, methodology=METHODOLOGY, put_off=ASSESSMENT if put_off else None)


def told(reaction: Reaction) -> list[tuple[str, str]]:
    return [(message.kind, message.receiver) for message in reaction.messages]


def test_what_is_put_off_is_taken_in_and_nothing_is_said() -> None:
    reaction = take(None, put_off=True)
    assert len(reaction.vertex.reports) == len(EVENTS)
    assert (reaction.messages, reaction.said, reaction.vertex.next_change) == ((), None, LATER)


def test_the_tick_says_what_would_have_been_said_at_once() -> None:
    at_once, later = take(None, put_off=False), tick(take(None, put_off=True).vertex)
    assert at_once.assessment is not None
    assert later.assessment is not None
    assert later.assessment.unversioned() == at_once.assessment.unversioned()
    assert later.assessment.cause == at_once.assessment.cause, "the newest of the inputs that were put off"
    assert later.messages == at_once.messages


def test_a_tick_under_backlog_tells_others_and_leaves_the_assessment() -> None:
    reckoned = tick(take(None, put_off=True).vertex, put_off=True)
    assert told(reckoned) == [("holds", "r")]
    assert reckoned.assessment is None
    paid = tick(reckoned.vertex)
    assert paid.assessment is not None
    assert paid.assessment.cause is not None
    assert paid.messages == ()


def test_messages_under_backlog_go_on_and_leave_the_assessment() -> None:
    first = take(None, put_off=False).vertex
    inputs = [Input(Origin("t", 0, 9, 9), stake("s", "v", 0.1))]
    reaction = react(first, "v", inputs, at=AT, methodology=METHODOLOGY, put_off=ASSESSMENT)
    assert told(reaction) == [("holds", "s")]
    assert reaction.assessment is None
    later = tick(reaction.vertex).assessment
    assert later is not None
    assert later.cause is not None
    assert later.cause.offset == 9


def test_who_asked_meanwhile_is_answered() -> None:
    owner = react(None, "r", [Input(Origin("t", 0, 0, 0), lab("r"))], at=AT, methodology=METHODOLOGY).vertex
    (holds,) = [message for message in take(None, put_off=False).messages if message.receiver == "r"]
    asked = react(owner, "r", [Input(Origin("m", 0, 0, 0), holds)], at=AT, methodology=METHODOLOGY, put_off=ALL)
    assert asked.messages == ()
    assert told(tick(vertex_from_bytes(vertex_to_bytes(asked.vertex)), put_off=True)) == [("profile", "v")]


def test_what_is_owed_outlives_a_restart_and_is_paid_once() -> None:
    restored = vertex_from_bytes(vertex_to_bytes(take(None, put_off=True).vertex))
    paid = tick(restored)
    assert paid.assessment is not None
    assert (paid.vertex.next_change, paid.vertex.owed) == (None, None)
    assert not tick(paid.vertex).changed


def test_a_tick_may_come_early_and_more_news_does_not_put_off_further() -> None:
    first = take(None, put_off=True).vertex
    more = Input(Origin("t", 0, 9, 0), stake("s", "v", 0.1))
    again = react(
        first, "v", [more], at=AT, methodology=METHODOLOGY, put_off=PutOff(LATER + timedelta(seconds=5), reckoning=True)
    ).vertex
    assert again.next_change == LATER
    assert react(again, "v", [], at=AT, methodology=METHODOLOGY).assessment is not None


def test_what_is_overdue_is_not_put_off_once_more() -> None:
    first = take(None, put_off=True).vertex
    more = Input(Origin("t", 0, 9, 0), stake("s", "v", 0.1))
    late = react(
        first, "v", [more], at=LATER, methodology=METHODOLOGY, put_off=PutOff(LATER + timedelta(seconds=5), reckoning=True)
    )
    assert late.assessment is not None
    assert told(late) == [("holds", "r"), ("holds", "s")]


def test_what_may_have_been_lost_is_said_again_at_once() -> None:
    said = take(None, put_off=False)
    repeated = take(said.vertex, put_off=True)
    assert repeated.assessment == said.assessment
    assert repeated.messages == said.messages


def test_known_news_changes_nothing_while_something_is_owed() -> None:
    first = take(None, put_off=True).vertex
    old = Input(Origin("m", 0, 0, 0), Message("profile", "nobody", "v", 0))
    assert react(first, "v", [old], at=AT, methodology=METHODOLOGY, put_off=ALL).vertex.owed == first.owed


def test_others_than_vendors_owe_no_assessment() -> None:
    first = react(None, "l", [Input(Origin("t", 0, 0, 0), lab("l"))], at=AT, methodology=METHODOLOGY, put_off=ALL).vertex
    reckoned = tick(first, put_off=True)
    assert reckoned.changed
    assert (reckoned.vertex.owed, reckoned.vertex.next_change) == (None, None)
