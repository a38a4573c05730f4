"""Files of events: one object, an array, or lines; what is none is told with its place and does not stop the rest."""

import json
from typing import Any

from neutrality.cli.reading import Bad, Good, read_events
from neutrality.scenario import load_scenario

DOCUMENTS = list(load_scenario("scale-ai-2025").documents())[:3]


def test_one_object_is_one_event() -> None:
    (only,) = read_events(json.dumps(DOCUMENTS[0], indent=2).encode())
    assert only == Good("event 1", DOCUMENTS[0])


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
    assert list(read_events(b"")) == []
