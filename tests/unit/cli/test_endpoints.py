"""`neutrality endpoints` over a real alerts service."""

import asyncio
import json
from pathlib import Path

from typer.testing import CliRunner, Result

from neutrality.cli.main import app
from tests.support.receiver import receiver, status
from tests.unit.alerts.test_people import TO, code_in, mailing
from tests.unit.alerts.test_webhooks import LAB, raise_alert, serving


def test_an_endpoint_is_made_tried_rotated_replayed_and_removed(sqlite_url: str) -> None:
    async def run() -> None:
        async with serving(sqlite_url) as (parts, client), receiver() as there:

            async def say(*words: str) -> Result:
                where = ["--lab", LAB, "--alerts-url", str(client.base_url)]
                return await asyncio.to_thread(CliRunner().invoke, app, ["endpoints", *words, *where])

            assert "no endpoint yet" in (await say("list")).stdout
            made = await say("set", "soc", there.url)
            assert (made.exit_code, "secret: whsec_" in made.stdout) == (0, True)
            assert "secret" not in (await say("set", "soc", there.url, "--subscription", "desk")).stdout
            assert "arrived: 204" in (await say("test", "soc")).stdout
            raised = await raise_alert(parts)
            await there.until(2)
            assert "1 alerts are sent again" in (await say("replay", "soc", raised)).stdout
            await there.until(3)
            assert "whsec_" in (await say("rotate", "soc")).stdout
            there.then = status("500 X")
            failed = await say("test", "soc")
            assert (failed.exit_code, "did not arrive: 500" in failed.stdout) == (1, True)
            assert raised in (await say("log", "soc")).stdout
            assert json.loads((await say("show", "soc", "--json")).stdout)["deliveries"]["failed"] == 0
            assert "enabled" in (await say("enable", "soc")).stdout
            assert "enabled" in (await say("list")).stdout
            assert (await say("remove", "soc")).exit_code == 0
            gone = await say("show", "soc")
            assert (gone.exit_code, "no endpoint 'soc'" in gone.stderr) == (1, True)
            wrong = await say("set", "soc", "https://user:pw@example.com/")
            assert (wrong.exit_code, "/url: a URL without user" in wrong.stderr) == (1, True)

    asyncio.run(run())


def test_an_address_is_confirmed_and_an_apprise_url_comes_from_a_file(sqlite_url: str, tmp_path: Path) -> None:
    async def run() -> None:
        async with mailing(sqlite_url) as (_, client, box), receiver() as chat:

            async def say(*words: str) -> Result:
                where = ["--lab", LAB, "--alerts-url", str(client.base_url)]
                return await asyncio.to_thread(CliRunner().invoke, app, ["endpoints", *words, *where])

            made = await say("set", "duty", TO)
            assert "duty sends to soc@lab.example" in made.stdout
            assert "nothing is sent until it is confirmed: a code was mailed" in made.stdout
            refused = await say("test", "duty")
            assert (refused.exit_code, "until its address is confirmed" in refused.stderr) == (1, True)
            assert "a new code was mailed" in (await say("confirm", "duty")).stdout
            code = code_in((await box.until(2))[1])
            assert "duty  soc@lab.example  enabled" in (await say("confirm", "duty", code)).stdout
            assert "arrived: 250" in (await say("test", "duty")).stdout
            (tmp_path / "url.txt").write_text(chat.url.replace("http://", "json://user:hunter2-hunter2@") + "\n")
            made = await say("set", "chat", "--target-file", str(tmp_path / "url.txt"))
            assert "chat sends to json://user:****@127.0.0.1" in made.stdout
            assert "arrived: 200" in (await say("test", "chat")).stdout
            listed = (await say("list")).stdout
            assert "hunter2" not in listed
            assert "duty  soc@lab.example  enabled" in listed
            assert (await say("set", "none")).exit_code == 2

    asyncio.run(run())


def test_alerts_that_is_away_is_told() -> None:
    found = CliRunner().invoke(app, ["endpoints", "list", "--lab", LAB, "--alerts-url", "http://127.0.0.1:9"])
    assert (found.exit_code, "does not answer" in found.stderr) == (3, True)
