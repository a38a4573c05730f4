"""One message to an SMTP relay, and every way in which it may answer."""

import asyncio
import ssl
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from services.alerts.channels.email import Mailer, Relay, Unsubscribing, mime
from services.alerts.channels.rendering import Message, render
from services.alerts.domain.attempts import Attempt
from tests.support.assessments import alert
from tests.support.mailbox import PASSWORD, USER, Mail, mailbox
from tests.unit.alerts.test_posting import contexts_for
from tests.unit.alerts.test_rendering import EVIL

TO = "soc@google.example"
NOW = datetime(2025, 6, 12, 12, tzinfo=UTC)
RELAY = Relay("127.0.0.1", 0, "none", "alerts@watch.example", timeout_s=5.0)


def send(
    *replies: str, message: Message | None = None, relay: Relay = RELAY, to: str = TO, **box: Any
) -> tuple[Attempt, list[Mail]]:
    async def run() -> tuple[Attempt, list[Mail]]:
        async with mailbox(*replies, **box) as there:
            mailer = Mailer(replace(relay, port=there.port))
            found = await mailer.send(
                message or render([alert()]), to, now=NOW, unsubscribing=Unsubscribing("https://w.example/" + "u" * 80)
            )
            return found, there.mails

    return asyncio.run(run())


def test_a_message_arrives_as_text_and_html_with_its_headers() -> None:
    found, [mail] = send()
    assert (found.succeeded, found.status) == (True, 250)
    assert (mail.sender, mail.recipients) == ("alerts@watch.example", [TO])
    assert "Meta takes 49 % of Scale AI" in mail.text
    assert "<h2>" in mail.html
    assert b"\nList-Unsubscribe: <https://w.example/" in mail.raw
    headers = mail.message
    assert headers["From"] == "Neutrality Watch <alerts@watch.example>"
    assert headers["Message-ID"] == f"<{alert().id}@watch.example>"
    assert headers["Auto-Submitted"] == "auto-generated"
    assert headers["List-Unsubscribe"] == f"<https://w.example/{'u' * 80}>, <mailto:alerts@watch.example?subject=unsubscribe>"
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert all(len(one) <= 998 and one.isascii() for one in mail.raw.splitlines())


def test_messages_about_a_vendor_are_one_thread() -> None:
    first, second, other = (mime(render([one]), RELAY, TO, now=NOW) for one in (alert(1), alert(2), alert(1, vendor="turing")))
    assert first["References"] == second["References"] == first["In-Reply-To"]
    reminder = mime(render([alert(3, reminds=alert(1).id, reminder=1)]), RELAY, TO, now=NOW)
    assert reminder["In-Reply-To"] == first["Message-ID"]
    assert reminder["References"] == f"{first['References']} {first['Message-ID']}"
    assert first["Message-ID"] != second["Message-ID"]
    assert first["References"] != other["References"]
    assert "List-Unsubscribe" not in first


def test_nothing_that_anybody_wrote_becomes_a_header_or_a_recipient() -> None:
    _, [mail] = send(message=render([alert(title=EVIL, vendor_name=EVIL)]))
    assert mail.recipients == [TO]
    assert mail.message["Bcc"] is None
    assert "Bcc: all@example.com" in str(mail.message["Subject"])
    with pytest.raises(ValueError, match="linefeed"):
        mime(replace(render([alert()]), subject="a\r\nBcc: x@example.com"), RELAY, TO, now=NOW)
    with pytest.raises(ValueError, match="linefeed"):
        mime(render([alert()]), RELAY, "a@b.example\r\nBcc: x@example.com", now=NOW)


@pytest.mark.parametrize(
    ("reply", "status", "gone"),
    [
        ("rcpt 550 5.1.1 no such user", 550, True),
        ("rcpt 550 5.7.1 you are blocked", 550, False),
        ("rcpt 450 4.2.1 greylisted", 450, False),
        ("451 4.3.0 later", 451, False),
        ("554 5.7.1 looks like spam", 554, False),
    ],
)
def test_a_refusal_is_told_by_its_code(reply: str, status: int, gone: bool) -> None:
    found, mails = send(reply)
    assert (found.succeeded, found.status, found.is_gone, mails) == (False, status, gone, [])


def test_silence_ends_at_the_time_limit() -> None:
    found, _ = send("silence", relay=replace(RELAY, timeout_s=0.3))
    assert (found.fault, found.duration_s < 2.0) == ("timeout", True)


def with_login(relay: Relay, password: str = PASSWORD) -> Relay:
    return replace(relay, host="localhost", user=USER, password=SecretStr(password))


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_it_is_encrypted_and_logged_in_to(security: Any, tmp_path: Path) -> None:
    server, client = contexts_for("localhost", tmp_path)
    relay = with_login(replace(RELAY, security=security, tls=client))
    how: dict[str, Any] = {security: server}
    login = security == "starttls"  # aiosmtpd takes implicit TLS for none, and then offers no login
    found, mails = send(relay=relay if login else replace(relay, user=None), login=login, **how)
    assert (found.status, len(mails)) == (250, 1)
    if login:
        found, mails = send(relay=with_login(relay, "wrong"), login=True, **how)
        assert (found.status, mails) == (535, [])
    found, mails = send(relay=replace(relay, tls=ssl.create_default_context()), **how)  # which does not trust it
    assert (found.fault, mails) == ("tls", [])


def test_a_relay_without_starttls_is_told_nothing() -> None:
    found, mails = send(relay=with_login(replace(RELAY, security="starttls")))
    assert (found.fault, mails) == ("tls", [])


@pytest.mark.parametrize(("host", "fault"), [("no-such-host.invalid", "name-not-resolved"), ("127.0.0.1", "not-connected")])
def test_a_relay_that_is_away_is_told(host: str, fault: str) -> None:
    relay = replace(RELAY, host=host, port=9)
    assert asyncio.run(Mailer(relay).send(render([alert()]), TO, now=NOW)).fault == fault


@pytest.mark.parametrize(("banner", "fault"), [(b"", "connection-cut"), (b"garbage\r\n" * 3, "not-smtp")])
def test_what_is_no_relay_is_told(banner: bytes, fault: str) -> None:
    async def run() -> Attempt:
        async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(banner)
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0)
        relay = replace(RELAY, port=server.sockets[0].getsockname()[1])
        try:
            return await Mailer(relay).send(render([alert()]), TO, now=NOW)
        finally:
            server.close()

    assert asyncio.run(run()).fault == fault
