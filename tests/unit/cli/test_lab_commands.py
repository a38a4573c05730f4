"""`neutrality subscriptions`, `portfolio`, `silences` and `alerts` over a real alerts service."""

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer import Exit as TyperExit
from typer.testing import CliRunner, Result

from neutrality.cli.main import app
from neutrality.cli.spans import condition, quiet_hours, seconds
from tests.support.assessments import STAKE, assessment, score
from tests.unit.alerts.test_http import served

LAB = "google"


def test_a_lab_tells_what_it_buys_subscribes_mutes_and_acknowledges(sqlite_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with served(sqlite_url) as (parts, client):

            async def say(*words: str) -> Result:
                where = ["--lab", LAB, "--alerts-url", str(client.base_url)]
                return await asyncio.to_thread(CliRunner().invoke, app, [*words, *where])

            assert "no purchase yet" in (await say("portfolio", "list")).stdout
            spending = ["--spending", "150000000 USD/year", "--data-class", "prototype-products", "--category", "data-labelling"]
            made = await say("portfolio", "set", "scale-ai", *spending)
            assert "scale-ai  exposure 1.00  data-labelling; 150000000 USD/year (100%); prototype-products" in made.stdout
            assert "no subscription yet" in (await say("subscriptions", "list")).stdout
            terms = [
                "--portfolio",
                "--on",
                "score_drop:10",
                "--on",
                "grade",
                "--on",
                "influence:ownership:0.6:projected",
                "--quiet",
                "02:00-03:00",
            ]
            assert (await say("subscriptions", "set", "desk", *terms, "--settling", "0s", "--remind-every", "4h")).exit_code == 0
            shown = (await say("subscriptions", "list")).stdout
            assert "desk  the portfolio: score_drop:10.0, grade, influence:ownership:0.6:projected; at once" in shown
            file = tmp_path / "terms.json"
            file.write_text((await say("subscriptions", "show", "desk")).stdout)
            assert (await say("subscriptions", "set", "copy", "--file", str(file))).exit_code == 0
            assert (await say("subscriptions", "remove", "copy")).exit_code == 0
            gone = await say("subscriptions", "show", "copy")
            assert (gone.exit_code, "no subscription 'copy'" in gone.stderr) == (1, True)

            await parts.take_in(assessment(1, score(100.0)))
            drop, grade = await parts.take_in(assessment(2, score(60.8, grade="N3"), losses={STAKE: 0.5}))
            listed = (await say("alerts", "list")).stdout
            assert f"{drop.id}  2025-06-12T12:00:00Z  critical  Scale Ai fell" in listed
            told = (await say("alerts", "show", drop.id)).stdout
            assert "at stake: you buy data-labelling from Scale Ai for 150,000,000 USD a year" in told
            assert "because Meta holds 49 %" in told
            seen = await say("alerts", "ack", drop.id, grade.id, "--by", "ada", "--note", "moving")
            assert seen.stdout.count("[acknowledged by ada at 2025-06-12T12:00:00Z: moving]") == 2
            assert "none that are open" in (await say("alerts", "list")).stdout
            documents = [json.loads(line) for line in (await say("alerts", "ack", drop.id, "--json")).stdout.splitlines()]
            assert documents[0]["acknowledged"]["by"] == "ada"

            parts.clock = datetime.now(UTC)  # the command's
            tried = (await say("subscriptions", "set", "other", "--on", "grade", "--dry-run", "--days", "3650")).stdout
            assert "1 sent, in 1 messages" in tried
            assert "critical  sent       Scale Ai was regraded from N1 to N3" in tried
            assert "2 sent, in 1 messages" in (await say("subscriptions", "dry-run", "desk", "--days", "3650")).stdout
            assert (await say("subscriptions", "show", "other")).exit_code == 1

            muted = await say(
                "silences", "add", "--vendor", "scale-ai", "--rule", "grade", "--for", "3d", "--reason", "leaving", "--by", "ada"
            )
            assert "active until" in muted.stdout
            identity = muted.stdout.split()[0]
            assert "vendor scale-ai; rule grade" in (await say("silences", "list")).stdout
            assert (await say("silences", "end", identity)).exit_code == 0
            assert "has no silence" in (await say("silences", "list")).stdout
            assert (await say("portfolio", "remove", "scale-ai")).exit_code == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["subscriptions", "set", "desk", "--on", "gossip"], "no rule 'gossip'"),
        (["subscriptions", "set", "desk", "--on", "level"], "say level:50"),
        (["subscriptions", "set", "desk", "--on", "level:high"], "'high' in 'level:high' is no number"),
        (["subscriptions", "set", "desk", "--settling", "soon"], "no span of time"),
        (["subscriptions", "set", "desk", "--quiet", "at night"], "no quiet hours"),
        (["subscriptions", "set", "desk", "--escalate-after", "1h"], "needs both"),
        (["subscriptions", "set", "desk", "--file", "/nowhere.json"], "cannot read"),
        (["portfolio", "set", "scale-ai", "--spending", "a lot"], "is no spending"),
        (["portfolio", "set", "scale-ai", "--no-data", "--data-class", "x"], "exclude one another"),
        (["silences", "add", "--for", "1h", "--reason", "x"], "say which alerts"),
    ],
)
def test_what_is_said_wrongly_is_told_before_anything_is_asked(words: list[str], message: str) -> None:
    found = CliRunner().invoke(app, [*words, "--lab", LAB, "--alerts-url", "http://127.0.0.1:9"])
    assert (found.exit_code, message in found.stderr) == (2, True)


def test_spans_hours_and_conditions() -> None:
    assert [seconds(text) for text in ("90s", "15m", "2h", "3d")] == [90, 900, 7200, 259200]
    assert quiet_hours("sat,sun 00:00-24:00") == {"start": "00:00", "end": "24:00", "days": ["sat", "sun"]}
    assert condition("level:50:projected") == {"rule": "level", "at": 50.0, "view": "projected"}
    assert condition("score_drop") == {"rule": "score_drop"}
    with pytest.raises(TyperExit):
        condition("grade:5")
