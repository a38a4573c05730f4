"""States in pieces: what is written of them, and what is read again, in every store."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from neutrality.events.cloudevent import Event
from neutrality.model.methodology import load_methodology
from neutrality.model.stored import vertex_to_bytes
from neutrality.model.vertex import Input, Origin, PutOff
from services.scoring.batching.rocks import RocksVertices
from services.scoring.batching.store import PartitionedVertices, Vertices
from services.scoring.fencing import State
from services.scoring.handlers.outcome import Outcome, cleared, react_all
from services.scoring.pieces import entity_of
from tests.support.events import stake, vendor
from tests.support.vertices import Row, claim, replay, under

AT = datetime(2025, 6, 12, 12, tzinfo=UTC)
KEY = b"scale-ai"
FIRST = [vendor("scale-ai"), stake("meta", "scale-ai", 0.1, id="first")]
SECOND = [stake("meta", "scale-ai", 0.2, id="second", day=1)]


def stores(folder: Path) -> dict[str, Vertices]:
    return {
        "memory": PartitionedVertices(),
        "rocksdb": RocksVertices(folder, cached=1, wall_clock_s=lambda: 1_700_000_000.0),
    }


@pytest.fixture(params=["memory", "rocksdb"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Vertices]:
    found = stores(tmp_path / "db")
    yield found[request.param]
    for each in found.values():
        each.close()


def react(store: Vertices, events: list[Event], start: int = 0, put_off: PutOff | None = None) -> Outcome:
    origins = [Origin("neutrality.ownership", 0, start + number, 1_700_000_000_000) for number in range(len(events))]
    inputs = {KEY: [Input(origin, event) for origin, event in zip(origins, events, strict=True)]}
    return react_all(store, 0, inputs, at=AT, methodology=load_methodology(), put_off=put_off)


def rows(outcome: Outcome, offset: int, epoch: int = 1) -> list[Row]:
    return [(offset + number, key, state.value, under(epoch)) for number, (key, state) in enumerate(outcome.encoded.items())]


def ids(store: Vertices) -> set[str]:
    vertex = store.get(0, KEY)
    return set() if vertex is None else {report.event.id for report in vertex.reports.values()}


def test_a_reaction_writes_its_new_reports_alone_and_before_the_core(store: Vertices) -> None:
    first = react(store, FIRST)
    store.put(0, first.states, first.encoded)
    second = react(store, SECOND, start=2)
    assert [entity_of(key) for key in second.encoded] == [KEY, None]
    piece, core = (state.value for state in second.encoded.values())
    assert b"second" in piece
    assert b'"first"' not in piece
    assert b'"second"' not in core.replace(b'"event_id":"second"', b"")
    store.put(0, second.states, second.encoded)
    assert list(cleared(store, 0, [KEY]).encoded) == [KEY]


def test_a_vertex_is_read_from_its_core_and_all_its_pieces(store: Vertices) -> None:
    scratch = PartitionedVertices()
    first = react(scratch, FIRST)
    scratch.put(0, first.states, first.encoded)
    second = react(scratch, SECOND, start=2)
    replay(store, 0, *rows(first, 0), *rows(second, 2))
    assert store.get(0, KEY) == second.states[KEY]
    assert store.count() == 1
    assert list(react(store, [stake("fund", "scale-ai", 0.3, id="third")], start=3).encoded)[-1] == KEY


def test_what_is_replayed_after_a_vertex_was_asked_for_takes_nothing_away(store: Vertices) -> None:
    scratch = PartitionedVertices()
    first = react(scratch, FIRST)
    scratch.put(0, first.states, first.encoded)
    second = react(scratch, SECOND, start=2)
    replay(store, 0, *rows(first, 0))
    assert store.get(0, KEY) == first.states[KEY]
    replay(store, 0, *rows(second, 2))
    assert store.get(0, KEY) == second.states[KEY]


def test_a_piece_whose_core_was_not_written_is_reckoned_when_its_events_come_again_even_under_backlog(store: Vertices) -> None:
    scratch = PartitionedVertices()
    first = react(scratch, FIRST)
    scratch.put(0, first.states, first.encoded)
    piece, _ = rows(react(scratch, SECOND, start=2), 2)
    replay(store, 0, *rows(first, 0), piece)
    vertex = store.get(0, KEY)
    assert vertex is not None
    assert vertex.unsaid
    again = react(store, SECOND, start=2, put_off=PutOff(AT, reckoning=True))
    assert [(message.kind, message.receiver) for message in again.messages] == [("holds", "meta")]
    assert not again.states[KEY].unsaid
    assert list(again.encoded) == [KEY], "the piece is there"


def test_a_piece_of_an_entity_without_a_core_waits_for_it(store: Vertices) -> None:
    piece, core = rows(react(PartitionedVertices(), FIRST), 0)
    replay(store, 0, piece)
    assert store.get(0, KEY) is None
    assert store.count() == 0
    replay(store, 0, core)
    assert ids(store) == {event.id for event in FIRST}


def test_a_whole_state_of_an_earlier_release_is_read_and_is_in_pieces_once_it_is_written_again(store: Vertices) -> None:
    scratch = PartitionedVertices()
    before = react(scratch, FIRST).states[KEY]
    replay(store, 0, (0, KEY, vertex_to_bytes(before), under(1)))
    assert store.get(0, KEY) == before
    second = react(store, SECOND, start=2)
    assert [entity_of(key) for key in second.encoded] == [KEY, None]
    fresh = PartitionedVertices()
    replay(fresh, 0, *rows(second, 1))
    assert fresh.get(0, KEY) == second.states[KEY]


def test_a_refused_piece_that_hides_a_valid_one_is_written_again_and_one_that_hides_none_is_deleted(store: Vertices) -> None:
    first = react(PartitionedVertices(), FIRST)
    piece, _ = rows(first, 0)
    stray, _ = rows(react(PartitionedVertices(), SECOND), 0)
    replay(store, 0, *rows(first, 0), claim(2)(2), (3, piece[1], piece[2], under(1)), (4, stray[1], stray[2], under(1)))
    assert store.refused(0) == (2, {piece[1]: State(piece[2] or b"", None), stray[1]: None})
    assert ids(store) == {event.id for event in FIRST}
    replay(store, 0, (5, piece[1], piece[2], under(1)))
    count, hidden = store.refused(0)
    assert count == 3
    assert hidden.keys() == {piece[1], stray[1]}
    assert b"first" in (hidden[piece[1]] or State(b"", None)).value
