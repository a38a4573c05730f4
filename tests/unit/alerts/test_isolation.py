"""Nothing of a lab's reaches another: as each of three labs, over every operation of the API, every stream, topic, message, metric and log line.

The operations come from the API's own document, so that a route that is added later is walked too.
"""

import asyncio
import logging
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from neutrality.topics import alerts_topic
from tests.support.assessments import assessment, score
from tests.support.tenants import LABS, TOKENS, Tenancy, key, mark, of, routes, tenancy, write
from tests.unit.alerts.test_http import listen

REMOVAL = ("DELETE", "/labs/{lab}")  # of all that is looked at afterwards; see test_lab_data
ENDLESS = "/stream"
OF_THE_TESTS = ("httpx", "mail.log")  # their client and their SMTP server
BY_CODE = "/mail/"  # asks for no key


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return write(tmp_path / "labs.json", **{lab: (key(token),) for lab, token in TOKENS.items()})


async def operations(there: Tenancy) -> list[tuple[str, str]]:
    return routes((await there.client.get("/openapi.json")).json())


def test_every_operation_on_another_labs_things_is_refused_and_tells_nothing_of_them(sqlite_url: str, keys: Path) -> None:
    async def run() -> None:
        async with tenancy(sqlite_url, keys) as there:
            of_labs = [one for one in await operations(there) if "{lab}" in one[1] and not one[1].startswith(BY_CODE)]
            assert len(of_labs) >= 25
            for method, path in of_labs:
                for me in LABS:
                    for other in set(LABS) - {me}:
                        answer = await there.ask(me, method, there.filled(path, other), json={})
                        assert (answer.status_code, answer.json()["type"]) == (403, "urn:neutrality-watch:problem:other-lab")
                        assert there.found_of_others(me, answer.text) == [], (method, path)

    asyncio.run(run())


def test_another_labs_names_under_ones_own_path_are_not_there(sqlite_url: str, keys: Path) -> None:
    """What is the lab's is looked for under the lab: a name or an id of another's finds nothing."""

    async def run() -> None:
        async with tenancy(sqlite_url, keys) as there:
            for method, path in await operations(there):
                if "{lab}" not in path or path.startswith(BY_CODE) or "{" not in path.replace("{lab}", ""):
                    continue
                if (
                    method == "PUT" and path.endswith("}")
                ) or "/portfolio/" in path:  # makes one of that name; vendors are everybody's
                    continue
                theirs = there.filled(path, "openai", under="google")
                answer = await there.ask("google", method, theirs, json={"first": there.raised["openai"][0].id, "code": "x"})
                assert answer.status_code in (404, 422), (method, path, answer.text)
                assert mark("openai") not in answer.text
            for query in (f"after={there.raised['openai'][0].id}", "limit=500"):
                answer = await there.ask("google", "GET", f"/labs/google/alerts?{query}")
                assert there.found_of_others("google", answer.text) in ([], [there.raised["openai"][0].id])  # as it was asked for
                assert mark("openai") not in answer.text

    asyncio.run(run())


def test_no_answer_stream_topic_message_metric_or_log_line_holds_what_is_another_labs(
    sqlite_url: str, keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def run() -> None:
        with capture_logs() as logs:
            async with tenancy(sqlite_url, keys) as there:
                sending = [asyncio.create_task(work) for work in (there.parts.worker.run(), there.parts.leases.run())]
                sending.append(asyncio.create_task(there.parts.delivery.run()))
                await there.parts.take_in(assessment(2, score(95.0), vendor="v"))
                await there.hook.until(2 * 2 * len(LABS) - 1)
                await there.box.until(2 * len(LABS))
                await answers_hold_ones_own(there)
                await streams_hold_ones_own(there)
                await messages_hold_ones_own(there)
                await nobodys_hold_nothing(there)
                for task in sending:
                    task.cancel()
                await asyncio.gather(*sending, return_exceptions=True)
        told = [str(entry) for entry in logs]
        told += [f"{one.name}: {one.getMessage()}" for one in caplog.records if one.name not in OF_THE_TESTS]
        secrets = [secret for lab in LABS for secret in (mark(lab), f"of-{lab}", TOKENS[lab][4:])]
        assert [entry for entry in told if any(secret in entry for secret in secrets)] == []

    asyncio.run(run())


async def answers_hold_ones_own(there: Tenancy) -> None:
    own_seen = set()
    for method, path in await operations(there):
        if path.endswith(ENDLESS) or path.startswith(BY_CODE) or (method, path) == REMOVAL:
            continue
        for me in LABS:
            if method == "DELETE" and me != "google":
                continue
            asked = there.filled(path, me)
            body = {"url": f"https://example.com/{mark(me)}", "first": there.raised[me][0].id}
            for query in ("", *(f"?for={lab}" for lab in LABS)) if "{lab}" not in path and method == "GET" else ("",):
                answer = await there.ask(me, method, asked + query, json=None if method == "GET" else body)
                assert answer.status_code < 500 or answer.status_code == 503, (method, path, answer.text)
                assert there.found_of_others(me, answer.text) == [], (method, path)
                if any(secret in answer.text for secret in there.private(me)):
                    own_seen.add(path)
    assert len(own_seen) >= 10  # what is private would be seen


async def streams_hold_ones_own(there: Tenancy) -> None:
    for me in LABS:
        there.client.headers.update(of(TOKENS[me]))
        events = await listen(there.client, me, 2, query="?from=beginning")
        assert {event.id for event in events} >= {there.raised[me][0].id}
        for event in events:
            assert there.found_of_others(me, event.data) == []
        there.client.headers.pop("authorization")


async def messages_hold_ones_own(there: Tenancy) -> None:
    for me in LABS:
        topic = [str(record) for record in there.parts.broker.records(alerts_topic(me).name)]
        mails = [mail.raw.decode() for mail in there.box.mails if mail.recipients == [f"{mark(me)}@lab.example"]]
        posts = [f"{one.headers}{one.body.decode()}" for one in there.hook.received if one.path.startswith(f"/hook/{mark(me)}")]
        assert min(len(topic), len(mails), len(posts)) >= 2
        for text in (*topic, *mails, *posts):
            assert there.found_of_others(me, text) == []


async def nobodys_hold_nothing(there: Tenancy) -> None:
    for path in ("/metrics", "/openapi.json", "/health/live", "/health/ready"):
        text = (await there.client.get(path)).text
        assert [secret for lab in LABS for secret in there.private(lab) if secret in text] == []
    for lab in LABS:
        pages = [
            await there.client.request(method, f"{BY_CODE}{lab}/of-{lab}-mail/{'a' * 32}/confirm") for method in ("GET", "POST")
        ]
        nobodys = [await there.client.request(method, f"{BY_CODE}{lab}/no-such/{'a' * 32}/confirm") for method in ("GET", "POST")]
        assert [(page.status_code, page.text) for page in pages] == [(page.status_code, page.text) for page in nobodys]
