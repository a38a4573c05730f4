"""What is read from workers' logs."""

import json

from tests.trials.logs import stale_refused, tail, tracebacks

BARE = """\
Traceback (most recent call last):
  File "x.py", line 1, in <module>
    fail()

ValueError: no
{"event": "scoring_stops"}
""".splitlines()
LOGGED = [json.dumps({"event": "failed", "exception": "Traceback (most recent call last)\n  File\nkafka.errors.Away: gone"})]
CHAINED = [json.dumps({"event": "Error: oops\nTraceback (most recent call last):\n  File\nfoo.Bar"})]


def test_every_traceback_is_found_by_its_error() -> None:
    assert tracebacks(BARE) == ["ValueError: no"]
    assert tracebacks(LOGGED) == ["kafka.errors.Away: gone"]
    assert tracebacks(CHAINED) == ["foo.Bar"]
    assert tracebacks(BARE[:2]) == ["a traceback without an end"]


def test_what_is_expected_is_passed_over_by_the_name_of_its_class() -> None:
    assert tracebacks(LOGGED + BARE, ["Away"]) == ["ValueError: no"]
    assert tracebacks(BARE, ["Value"]) == ["ValueError: no"]


def test_a_log_without_tracebacks_has_none_whatever_else_is_in_it() -> None:
    assert tracebacks(['{"event": "engine_stops", "level": "error"}', '{"event": "cut o', "text"]) == []


def test_stale_states_are_summed() -> None:
    told = [json.dumps({"event": "stale_states_refused", "records": number, "partition": 1}) for number in (3, 4)]
    assert stale_refused([*told, "{", '{"event": "other", "records": 9}']) == 7


def test_the_tail_is_bounded() -> None:
    assert tail("\n".join(map(str, range(100))), 2) == "98\n99"
    assert len(tail("x" * 10_000)) < 1_000
