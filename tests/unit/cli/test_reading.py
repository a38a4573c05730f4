"""Files of events: one object, an array, or lines; what is none is told with its place and does not stop the rest."""

import json
from io import BytesIO
from typing import Any

import pytest

from neutrality.cli import reading
from neutrality.cli.reading import Bad, Good
from neutrality.scenario import load_scenario


def read_events(content: bytes) -> list[Good | Bad]:
    return list(reading.read_events(BytesIO(content)))


DOCUMENTS = list(load_scenario("scale-ai-2025").documents())[:3]


def test_one_object_is_one_event() -> None:
    (only,) = read_events(json.dumps(DOCUMENTS[0], indent=2).encode())
    assert only == Good(1, "event 1", DOCUMENTS[0])


def test_an_array_is_many_events() -> None:
    assert [item.place for item in read_events(json.dumps(DOCUMENTS).encode())] == ["event 1", "event 2", "event 3"]


def test_lines_are_counted_with_empty_ones() -> None:
    content = "\n\n".join(json.dumps(document) for document in DOCUMENTS).encode()
    assert [item.place for item in read_events(content)] == ["line 1", "line 3", "line 5"]


def test_a_line_that_is_no_json_is_told_and_the_rest_read() -> None:
    content = b"{oops\n" + json.dumps(DOCUMENTS[0]).encode()
    bad, good = read_events(content)
    assert isinstance(bad, Bad)
    assert bad.place == "line 1"
    assert isinstance(good, Good)


def test_a_wrong_field_is_pointed_at() -> None:
    wrong: dict[str, Any] = json.loads(json.dumps(DOCUMENTS[0]))
    wrong["data"]["status"] = "finished"
    (bad,) = read_events(json.dumps(wrong).encode())
    assert isinstance(bad, Bad)
    assert [problem.pointer for problem in bad.problems] == ["/data/status"]


def test_an_empty_file_has_no_events() -> None:
    assert read_events(b"") == []


def test_lines_are_read_one_by_one() -> None:
    stream = BytesIO(b"".join(json.dumps(document).encode() + b"\n" for document in DOCUMENTS * 1000))
    next(reading.read_events(stream))
    assert stream.tell() < 10_000


def test_an_array_on_the_first_of_several_lines_is_no_event() -> None:
    content = json.dumps(DOCUMENTS).encode() + b"\n" + json.dumps(DOCUMENTS[0]).encode()
    assert [(type(item), item.place) for item in read_events(content)] == [(Bad, "line 1"), (Good, "line 2")]


def test_what_is_too_long_to_be_one_document_is_read_as_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WHOLE_BYTES", 100)
    content = b"{oops\n" + b"".join(json.dumps(document).encode() + b"\n" for document in DOCUMENTS)
    assert [item.place for item in read_events(content)] == ["line 1", "line 2", "line 3", "line 4"]
