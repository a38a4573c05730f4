"""Slack, Teams, PagerDuty and the rest: which URLs are taken, and that Apprise, too, connects to no address inside.

The messages go through Apprise's own service `json`, which posts to any host: an operator may allow it, and the tests' receiver understands it.
"""

import asyncio
import json
import re
import threading
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from services.alerts.channels.apprise import DEFAULT_SCHEMES, AppriseSender, UnusableUrl, in_thread, read
from services.alerts.channels.guarded_sockets import Guard
from services.alerts.channels.rendering import render
from services.alerts.domain.attempts import Attempt
from tests.support.assessments import alert
from tests.support.receiver import OK, Answer, Receiver, cut, receiver, silent, status

LOOPBACK = (ip_network("127.0.0.0/8"),)
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
TEAMS = "prod-15.uksouth.logic.azure.com:443/643e69f83c8944/KTURPDtx"


def send(
    answer: Answer = OK, *, allowed: Any = LOOPBACK, timeout_s: float = 5.0, schemes: Any = ("json",)
) -> tuple[Attempt, Receiver]:
    async def run() -> tuple[Attempt, Receiver]:
        async with receiver(then=answer) as there:
            sender = AppriseSender(schemes, allowed, timeout_s=timeout_s)
            return await sender.send(there.url.replace("http:", "json:"), render([alert()])), there

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        (f"{SLACK}/#general", "slack://T...2/A...D/T...Q/%23general"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "slack://T...2/A...D/T...Q"),
        (f"pagerduty://{'a' * 32}@{'b' * 20}?region=eu", "pagerduty://****@****/A...e/N...n"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord://4...8/J...s"),
        (f"workflow://{TEAMS}", "workflow://prod-15.uksouth.logic.azure.com:443/6...4/K...x"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", "tgram://1...p/12315544"),
    ],
)
def test_what_a_url_leads_to_is_told_without_its_secrets(url: str, masked: str) -> None:
    assert read(url, DEFAULT_SCHEMES).masked == masked


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("json://127.0.0.1/", "none of the services that the operator allows"),
        ("file:///etc/passwd", "none of the services"),
        ("syslog://", "none of the services"),
        ("mailto://a:b@example.com", "none of the services"),
        ("no url", "none of the services"),
        ("https://example.com/", "no Apprise URL"),
        ("slack://", "no complete URL for Slack"),
        (f"{SLACK}?template=/etc/passwd", "'template' may not be set"),
        (f"{SLACK}?to=a;template=/etc/passwd", "'template' may not be set"),
        (f"{SLACK}?verify=no", "'verify' may not be set"),
        (f"{SLACK}?redirect=yes", "'redirect' may not be set"),
        (f"{SLACK}?rto=100000", "'rto' may not be set"),
        ("opsgenie://a1aaa1aaa1aaa1aaa1aaa1aaa1aaa1aa?+k=v", "'+k' may not be set"),
        ("workflow://evil.example/643e69f83c8944/KTURPDtx", "no host of"),
        ("workflow://10.0.0.1/643e69f83c8944/KTURPDtx", "no host of"),
        ("workflow://logic.azure.com.evil.example/643e69f83c8944/KTURPDtx", "no host of"),
        ("zulip://bot@evil.example/a1aaa1aaa1aaa1aaa1aaa1aaa1aaa1aa", "no host of"),
    ],
)
def test_what_may_not_be_sent_to_is_told(url: str, told: str) -> None:
    with pytest.raises(UnusableUrl, match=re.escape(told)) as error:
        read(url, DEFAULT_SCHEMES)
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(error.value)


def test_a_message_is_handed_over() -> None:
    found, there = send()
    [one] = there.received
    told = json.loads(one.body)
    assert (found.succeeded, told["type"]) == (True, "info")
    assert "regraded from N1 to N4" in told["title"]
    assert "Meta takes 49 %" in told["message"]


@pytest.mark.parametrize("code", [400, 403, 404, 410, 429, 500, 503])
def test_an_error_is_a_failure_with_its_status(code: int) -> None:
    found, _ = send(status(f"{code} X"))
    assert (found.succeeded, found.status, found.is_gone) == (False, code, code == 410)


def test_no_answer_is_a_failure() -> None:
    assert send(cut)[0].fault == "not-taken"


def test_a_scheme_that_is_allowed_no_longer_is_told() -> None:
    found, there = send(schemes=("slack",))
    assert (found.fault, there.received) == ("not-allowed", [])


def test_a_redirect_is_not_followed() -> None:
    found, there = send(status("307 X", "Location: /elsewhere"))
    assert (found.succeeded, len(there.received)) == (False, 1)


def test_no_connection_is_opened_to_an_address_inside() -> None:
    """Not even for a handshake: an open and a closed port must look the same."""

    async def run() -> tuple[list[Any], int]:
        opened = 0

        def count(*_: object) -> None:
            nonlocal opened
            opened += 1

        server = await asyncio.start_server(count, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        sender = AppriseSender(("json",), (), timeout_s=5.0)
        hosts = ("127.0.0.1", "localhost", "2130706433", "0x7f000001", "127.1", "[::ffff:127.0.0.1]")
        faults = [(await sender.send(f"json://{host}:{port}/", render([alert()]))).fault for host in hosts]
        server.close()
        return faults, opened

    faults, opened = asyncio.run(run())
    assert opened == 0
    assert faults[:4] == ["forbidden-address"] * 4
    assert None not in faults


def test_what_follows_redirects_by_itself_is_stopped_before_an_address_inside() -> None:
    async def run() -> tuple[BaseException, int]:
        async with receiver() as there:
            guard = Guard((ip_network("127.0.0.1/32"),))
            there.then = status("302 X", f"Location: {there.url.replace('127.0.0.1', '127.0.0.2')}")

            def follow() -> None:
                with guard.within():
                    urlopen(there.url, timeout=5)  # noqa: S310 - http

            [error] = await asyncio.gather(in_thread(follow), return_exceptions=True)
            assert guard.has_refused
            assert error is not None
            return error, len(there.received)

    error, requests = asyncio.run(run())
    assert "a loopback address" in str(error)
    assert requests == 1


def test_what_runs_outside_a_guard_is_not_judged() -> None:
    async def run() -> int:
        async with receiver() as there:
            await in_thread(lambda: urlopen(there.url, timeout=5).close())  # noqa: S310 - http
            return len(there.received)

    assert asyncio.run(run()) == 1


def test_silence_ends_at_the_time_limit_and_the_next_waits_for_the_thread() -> None:
    async def run() -> None:
        async with receiver(then=silent) as there:
            sender = AppriseSender(("json",), LOOPBACK, timeout_s=0.3)
            url = there.url.replace("http:", "json:")
            before = threading.active_count()
            for _ in range(4):
                assert (await sender.send(url, render([alert()]))).fault == "timeout"
            assert threading.active_count() <= before + 1
            assert len(there.received) == 1

    asyncio.run(run())


def test_a_local_file_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    with pytest.raises(UnusableUrl, match="template"):
        read(f"{SLACK}?template=file://{tmp_path}/secret.json", DEFAULT_SCHEMES)
