"""What-if and replay from a file, without a broker: the reference scenario's known numbers."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from neutrality.cli.exits import Exit
from neutrality.cli.main import app
from neutrality.events.cloudevent import Event, event_to_document
from tests.support.events import event, stake

NOBODY = "127.0.0.1:9"
AFTER = "2025-06-20"
GOOGLE_LEAVES = event("contract", subject="scale-ai", customer="google", claim_id="google-exit", intent="end", day=165)
META_DECIDES = stake("meta", "scale-ai", 0.51, of="votingRights", claim_id="meta-votes", day=165)


def run(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(app, arguments, **options)


@pytest.fixture
def log(tmp_path: Path) -> str:
    file = tmp_path / "log.jsonl"
    file.write_text(run("publish", "--scenario", "scale-ai-2025", "--print").output)
    return str(file)


def lines_of(*events: Event) -> str:
    return "\n".join(json.dumps(event_to_document(one)) for one in events)


def what_if(log: str, *events: Event) -> dict[str, dict[str, Any]]:
    """Changes of Scale AI's score by lab."""
    result = run("whatif", "-", "--log", log, "--at", AFTER, "--json", input=lines_of(*events))
    assert result.exit_code == Exit.OK, result.output
    document = json.loads(result.output)
    assert document["assumed"] == len(events)
    return {str(change["lab"]): change for change in document["changes"] if change["vendor"] == "scale-ai"}


def test_google_leaves_and_meta_goes_to_51_percent_of_the_votes(log: str) -> None:
    changes = what_if(log, GOOGLE_LEAVES, META_DECIDES)
    google, headline, meta = changes["google"], changes["None"], changes["meta"]
    assert round(google["before"]["confirmed"], 1) == 38.9
    assert google["after"]["confirmed"] == pytest.approx(0.0, abs=1e-6)
    assert (google["before"]["grade"], google["after"]["grade"]) == ("N4", "N5")
    assert [mover["claim_id"] for mover in google["movers"]] == ["meta-votes"], "only the votes cost more than before"
    assert headline["after"]["confirmed"] == pytest.approx(0.0, abs=1e-6)
    assert round(meta["before"]["confirmed"], 1) == 91.4
    assert meta["after"]["confirmed"] == 100.0, "without Google's money nothing is held against Scale AI by Meta's rivals"
    assert [mover["claim_id"] for mover in meta["movers"]] == ["google-revenue-2024"]


@pytest.mark.parametrize(
    "assumed", [[GOOGLE_LEAVES], [META_DECIDES], [GOOGLE_LEAVES, META_DECIDES]], ids=["exit", "votes", "both"]
)
def test_the_points_of_the_claims_add_up_to_the_difference(log: str, assumed: list[Event]) -> None:
    for change in what_if(log, *assumed).values():
        moved = change["after"][change["view"]] - change["before"][change["view"]]
        assert sum(mover["points"] for mover in change["movers"]) == pytest.approx(moved, abs=1e-9)


def test_a_plan_moves_the_projected_score_and_says_so(log: str) -> None:
    announced = stake("meta", "scale-ai", 0.51, of="votingRights", claim_id="meta-votes", status="announced", day=165)
    change = what_if(log, announced)["google"]
    assert (change["view"], change["before"]["confirmed"]) == ("projected", change["after"]["confirmed"])
    assert change["after"]["projected"] < change["before"]["projected"] - 5
    assert change["movers"][0]["claim_id"] == "meta-votes"
    result = run("whatif", "-", "--log", log, "--at", AFTER, input=lines_of(announced))
    assert "(projected was 38.9)" in result.output
    assert "nothing was published" in result.output


def test_a_merger_among_the_assumptions_moves_the_claims_of_who_is_merged(log: str) -> None:
    google = what_if(log, event("entity", subject="accel", merged_into="meta", day=165))["google"]
    assert google["after"]["confirmed"] < google["before"]["confirmed"], "what Accel holds is Meta's then"
    assert {mover["lab"] for mover in google["movers"]} == {"meta"}


def test_what_is_known_already_changes_nothing(log: str) -> None:
    result = run("whatif", log, "--log", log, "--at", AFTER, "--json")
    assert json.loads(result.output)["changes"] == []


def test_a_vendor_that_comes_and_one_that_goes_are_told(log: str) -> None:
    new = event("entity", subject="newcomer", is_vendor=True, name="Newcomer", day=165)
    gone = event("correction", subject="turing", retracts_claim="company", reason="never was one", day=165)
    result = run("whatif", "-", "--log", log, "--at", AFTER, "--json", input=lines_of(new, gone))
    changes = {change["vendor"]: change for change in json.loads(result.output)["changes"]}
    assert changes["newcomer"]["before"] is None
    assert changes["turing"]["after"] is None
    assert "no score any more" in run("whatif", "-", "--log", log, "--at", AFTER, input=lines_of(gone)).output


def test_an_assumption_that_is_no_event_ends_with_1_before_anything_is_read() -> None:
    result = run("whatif", "-", "--bootstrap-servers", NOBODY, input='{"type": "gossip"}')
    assert result.exit_code == Exit.FAILED
    assert "1 of 1 are no events" in result.stderr


def test_records_of_the_log_that_are_none_are_passed_over_and_counted(log: str, tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"type": "gossip"}\n')
    result = run("whatif", "-", "--log", log, "--log", str(bad), "--at", AFTER, "--json", input=lines_of(GOOGLE_LEAVES))
    assert result.exit_code == Exit.OK
    assert "1 records of the log" in result.stderr
    assert json.loads(result.stdout)["rejected"] == 1


def replayed(log: str, *arguments: str) -> dict[str, Any]:
    result = run("replay", "--vendor", "scale-ai", "--for", "google", "--log", log, "--json", *arguments)
    assert result.exit_code == Exit.OK, result.output
    document: dict[str, Any] = json.loads(result.output)
    return document


def test_before_row_10_google_saw_full_neutrality_and_after_it_n4(log: str) -> None:
    before, after = replayed(log, "--as-of", "2025-06-11"), replayed(log, "--as-of", "2025-06-13T00:00:00Z")
    assert (before["score"]["confirmed"], before["score"]["grade"], before["score"]["watch"]) == (100.0, "N1", None)
    assert (round(after["score"]["confirmed"], 1), after["score"]["grade"]) == (38.9, "N4")


def test_what_was_recorded_later_shows_the_past_as_we_know_it_today(log: str) -> None:
    then, now = replayed(log, "--as-of", "2025-06-11"), replayed(log, "--as-of", "2025-06-11", "--recorded-by", "2025-07-01")
    assert then["score"]["outlook"] == "stable"
    assert (now["score"]["confirmed"], now["score"]["outlook"]) == (100.0, "negative")
    today = replayed(log, "--as-of", "2025-07-01", "--recorded-by", "2025-06-11")
    assert today["score"]["confirmed"] == 100.0, "by what was recorded before the deal nothing had changed"


def test_all_vendors_as_a_table(log: str) -> None:
    result = run("replay", "--as-of", "2025-06-14", "--log", log)
    assert result.exit_code == Exit.OK
    assert "Scale AI" in result.output
    assert "Turing" in result.output
    assert "events recorded by 2025-06-14T00:00:00Z" in result.output


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["replay", "--as-of", "yesterday"], Exit.USAGE),
        (["replay", "--as-of", "2025-06-12T09:00:00"], Exit.USAGE),
        (["replay", "--as-of", "2025-06-12", "--log", "/no/such/file"], Exit.USAGE),
        (["whatif", "/no/such/file"], Exit.USAGE),
        (["verify", "--heal"], Exit.USAGE),
        (["verify", "--metrics-port", "0"], Exit.USAGE),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_ends_with_2(arguments: list[str], code: Exit) -> None:
    assert run(*arguments).exit_code == code


def test_a_vendor_that_was_not_known_then_ends_with_1(log: str) -> None:
    result = run("replay", "--as-of", "2025-06-11", "--vendor", "turing", "--log", log)
    assert result.exit_code == Exit.FAILED
    assert "no score of 'turing'" in result.stderr
    assert run("replay", "--as-of", "2001-01-01", "--log", log).exit_code == Exit.FAILED
