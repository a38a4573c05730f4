"""`neutrality publish` and `neutrality validate`: from files of any length, told by line, resumed where they ended."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from neutrality.broker.memory import MemoryBroker
from neutrality.broker.port import BrokerUnavailable
from neutrality.cli import event_files
from neutrality.cli.exits import Exit
from neutrality.cli.main import app
from neutrality.client import MAX_LINES
from services.ingest.entrypoints.openapi import EXAMPLES
from tests.support.ingest import served_ingest

NOBODY = "http://127.0.0.1:1"


def line(number: int) -> str:
    return json.dumps(EXAMPLES["interest"] | {"id": f"event-{number}"})


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def url(broker: MemoryBroker) -> Iterator[str]:
    with served_ingest(broker) as found:
        yield found


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where positions are kept, away from the user's."""
    monkeypatch.setattr(event_files, "cache_folder", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache" / "publish"


def publish(file: Path, url: str, *options: str) -> Result:
    return CliRunner().invoke(app, ["publish", str(file), "--ingest-url", url, "--patience", "0", *options])


def ids(broker: MemoryBroker) -> list[str]:
    return [dict(record.headers)["ce_id"].decode() for record in broker.records("neutrality.ownership")]  # type: ignore[union-attr]


def test_what_is_wrong_is_told_by_line_and_the_rest_is_published(tmp_path: Path, url: str, broker: MemoryBroker) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join([line(1), "{oops", "", line(2)]))
    result = publish(file, url)
    assert result.exit_code == Exit.FAILED
    assert result.stdout == "2 accepted (2 interest), 1 refused\n"
    assert result.stderr.startswith("line 2  (event): not JSON")
    assert sorted(ids(broker)) == ["event-1", "event-2"]


def test_a_run_that_was_interrupted_goes_on_where_it_ended(tmp_path: Path, url: str, broker: MemoryBroker, kept: Path) -> None:
    file = tmp_path / "events.jsonl"
    count = 2 * MAX_LINES
    file.write_text("\n".join(map(line, range(count))))
    taken = 0
    append = broker.append

    def then_away(record: object) -> object:
        nonlocal taken
        taken += 1
        if taken == MAX_LINES + 500:
            broker.fail_with(BrokerUnavailable("away"))
        return append(record)  # type: ignore[arg-type]

    broker.append = then_away  # type: ignore[method-assign, assignment]
    result = publish(file, url)
    assert result.exit_code == Exit.UNREACHABLE
    assert f"{MAX_LINES:,} are done; the same command goes on after them" in result.stderr
    assert len(list(kept.iterdir())) == 1

    broker.fail_with(None)
    before = len(ids(broker))
    result = publish(file, url)
    assert result.exit_code == Exit.OK, result.output
    assert f"going on after {MAX_LINES:,}" in result.stderr
    assert (
        f"{count - before} accepted ({count - before} interest), {before - MAX_LINES} known already, 0 refused\n" in result.stdout
    )
    assert len(ids(broker)) == count
    assert set(ids(broker)) == {f"event-{number}" for number in range(count)}
    assert not list(kept.iterdir())
    assert json.loads(publish(file, url, "--json").stdout.splitlines()[-1])["duplicates"] == count


def test_another_file_under_the_same_name_begins_at_its_beginning(
    tmp_path: Path, url: str, broker: MemoryBroker, kept: Path
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(map(line, range(10))))
    broker.fail_with(BrokerUnavailable("away"))
    assert publish(file, url).exit_code == Exit.UNREACHABLE
    [state] = kept.iterdir()
    state.write_text(json.dumps(json.loads(state.read_text()) | {"number": 5}))
    broker.fail_with(None)
    assert publish(file, url, "--print").stdout.count("event-") == 10
    with file.open("a") as more:
        more.write("\n" + line(10))
    assert publish(file, url).stdout.count("6 accepted"), "it has grown, and is the same"
    state.write_text(json.dumps({"head": "another", "length": 5, "number": 5}))
    assert publish(file, url).stdout.count("5 accepted (5 interest), 6 known already")
    state.write_text("no json")
    assert publish(file, url, "--from-start").stdout.count("11 known already")


def test_a_pipe_is_published_to_its_end(url: str, broker: MemoryBroker) -> None:
    result = CliRunner().invoke(app, ["publish", "-", "--ingest-url", url], input="\n".join(map(line, range(3))))
    assert result.exit_code == Exit.OK, result.output
    assert len(ids(broker)) == 3


def test_validate_needs_no_server_and_tells_the_same(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    wrong = json.dumps(EXAMPLES["interest"] | {"data": EXAMPLES["interest"]["data"] | {"share": {"exact": 49}}})
    file.write_text("\n".join([line(1), wrong]))
    result = CliRunner().invoke(app, ["validate", str(file)])
    assert result.exit_code == Exit.FAILED
    assert result.stdout == "1 valid (1 interest), 1 not\n"
    assert result.stderr.startswith("line 2  /data/share/exact: ")
    told = CliRunner().invoke(app, ["validate", str(file), "--json"])
    problem, summary = map(json.loads, told.stdout.splitlines())
    assert problem["place"] == "line 2"
    assert problem["problems"][0]["pointer"] == "/data/share/exact"
    assert summary == {"valid": 1, "by_type": {"interest": 1}, "invalid": 1}
    file.write_text(line(1))
    assert CliRunner().invoke(app, ["validate", str(file)]).exit_code == Exit.OK
