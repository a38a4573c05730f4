"""An SMTP server on a real port (aiosmtpd) that keeps what it is handed, and answers as it is told."""

import asyncio
import email
import email.policy
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "alerts", "hunter2-hunter2"


@dataclass
class Mail:
    sender: str
    recipients: list[str]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        found = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        assert body is not None
        return str(body.get_content())

    @property
    def html(self) -> str:
        body = self.message.get_body(("html",))
        assert body is not None
        return str(body.get_content())


@dataclass
class Mailbox:
    """`replies` are answers to RCPT or DATA, one a message, as `rcpt 550 5.1.1 no such user`; without any all is taken."""

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    replies: list[str] = field(default_factory=list)
    logins: list[str] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's names from here on
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if self.replies and self.replies[0].startswith("rcpt "):
            return self.replies.pop(0).removeprefix("rcpt ")
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        if self.replies:
            reply = self.replies.pop(0)
            if reply == "silence":
                await asyncio.sleep(30)
            return reply
        assert isinstance(envelope.content, bytes)
        self.mails.append(Mail(envelope.mail_from or "", list(envelope.rcpt_tos), envelope.content))
        return "250 OK"

    def authenticate(self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any) -> AuthResult:
        assert isinstance(data, LoginPassword)
        self.logins.append(data.login.decode())
        return AuthResult(success=data.password == PASSWORD.encode(), handled=False)

    async def until(self, count: int, within_s: float = 10.0) -> list[Mail]:
        """Wait until so many have come."""
        async with asyncio.timeout(within_s):
            while len(self.mails) < count:
                await asyncio.sleep(0.01)
        return self.mails


@asynccontextmanager
async def mailbox(
    *replies: str, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, login: bool = False
) -> AsyncIterator[Mailbox]:
    made = Mailbox(replies=list(replies))
    loop = asyncio.get_running_loop()
    open_: list[asyncio.BaseTransport] = []

    class Talk(SMTP):
        def connection_made(self, transport: Any) -> None:
            open_.append(transport)
            super().connection_made(transport)

    def talk() -> SMTP:
        return Talk(
            made,
            hostname="mail.example",
            enable_SMTPUTF8=True,
            tls_context=starttls,
            require_starttls=starttls is not None,
            auth_required=login,
            authenticator=made.authenticate if login else None,
            auth_require_tls=login,
            loop=loop,
        )

    server = await loop.create_server(talk, "127.0.0.1", 0, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for transport in open_:
            transport.abort() if isinstance(transport, asyncio.Transport) else transport.close()
        await asyncio.sleep(0)
