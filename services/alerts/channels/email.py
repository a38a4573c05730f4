"""E-mail: a message as MIME, and one attempt to hand it to the operator's SMTP relay.

`EmailMessage` refuses a header with a line break and the address was validated, so nothing that anybody wrote becomes a header or another recipient.
Bounces go to the envelope's sender; `Auto-Submitted` (RFC 3834) keeps automatic answers away.
"""

import asyncio
import re
import socket
import ssl
import time
from dataclasses import dataclass, field
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Final, Literal

import aiosmtplib
from pydantic import SecretStr

from services.alerts.channels.rendering import Message
from services.alerts.domain.attempts import Attempt, Fault

CONNECTIONS: Final = 8  # to the relay at once
_MAX_FOLLOWED: Final = 10  # a header has at most 998 characters
# RFC 3463: the mailbox or its domain does not exist, has moved, or is disabled
_NO_SUCH_ADDRESS: Final = re.compile(r"^5\.(1\.(1|2|3|6|10)|2\.1)\b")

Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Relay:
    """The operator's SMTP relay. `starttls`: never without; `sender` is the envelope's too."""

    host: str
    port: int
    security: Security
    sender: str
    sender_name: str = "Neutrality Watch"
    user: str | None = None
    password: SecretStr | None = None
    timeout_s: float = 30.0
    tls: ssl.SSLContext | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Unsubscribing:
    """Where a recipient ends it: a URL that takes a POST (RFC 8058), if the service is reached by recipients at all."""

    url: str | None = None


class Mailer:
    """Hands messages to a relay, a connection each; so many at once."""

    def __init__(self, relay: Relay) -> None:
        """Nothing is connected yet."""
        self._relay = relay
        self._room = asyncio.Semaphore(CONNECTIONS)

    async def send(self, message: Message, to: str, *, now: datetime, unsubscribing: Unsubscribing | None = None) -> Attempt:
        """One attempt; what came of it is told, never raised. `status` is the relay's reply code."""
        made = mime(message, self._relay, to, now=now, unsubscribing=unsubscribing)
        async with self._room:
            return await self._hand_over(made, to)

    async def _hand_over(self, made: EmailMessage, to: str) -> Attempt:
        relay = self._relay
        started_s = time.monotonic()
        status: int | None = None
        fault: Fault | None = None
        gone = False
        smtp = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            timeout=relay.timeout_s,
            use_tls=relay.security == "tls",
            start_tls=False,
            tls_context=relay.tls,
        )
        try:
            async with asyncio.timeout(relay.timeout_s):
                try:
                    await smtp.connect()
                    if relay.security == "starttls":
                        await smtp.ehlo()
                        if not smtp.supports_extension("starttls"):
                            raise aiosmtplib.SMTPNotSupported("STARTTLS")
                        await smtp.starttls()
                    if relay.user is not None and relay.password is not None:
                        await smtp.login(relay.user, relay.password.get_secret_value())
                    await smtp.sendmail(relay.sender, [to], made.as_bytes())
                    status = 250
                finally:
                    smtp.close()
        except aiosmtplib.SMTPRecipientsRefused as error:
            refused = error.recipients[0]
            status = refused.code
            gone = _NO_SUCH_ADDRESS.match(refused.message) is not None
        except aiosmtplib.SMTPResponseException as error:
            status, fault = (error.code, None) if error.code > 0 else (None, "not-smtp")
        except aiosmtplib.SMTPNotSupported:
            fault = "tls"  # STARTTLS or AUTH is not offered: we do not go on without
        except (TimeoutError, aiosmtplib.SMTPTimeoutError):
            fault = "timeout"
        except aiosmtplib.SMTPServerDisconnected:
            fault = "connection-cut"
        except (aiosmtplib.SMTPException, OSError) as error:
            fault = _unconnected(error)
        return Attempt(status, fault, time.monotonic() - started_s, gone=gone)


def _unconnected(error: BaseException) -> Fault:
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    if any(isinstance(one, socket.gaierror) for one in causes):
        return "name-not-resolved"
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return "tls"
    if any(isinstance(one, aiosmtplib.SMTPServerDisconnected) for one in causes):
        return "connection-cut"
    return "not-connected"


class _WholeUrls(EmailPolicy):
    """Python folds a long word of a header into an encoded one, which no reader of these headers decodes (they may have 998 characters)."""

    def fold_binary(self, name: str, value: str) -> bytes:
        """See EmailPolicy."""
        whole = name.lower() in ("list-unsubscribe", "message-id", "in-reply-to", "references")
        return f"{name}: {value}{self.linesep}".encode() if whole else super().fold_binary(name, value)


_POLICY: Final = _WholeUrls(linesep="\r\n")


def mime(message: Message, relay: Relay, to: str, *, now: datetime, unsubscribing: Unsubscribing | None = None) -> EmailMessage:
    """The message with its headers. The same alerts have the same Message-ID; all about one vendor answer to one thread."""
    domain = relay.sender.rpartition("@")[2]
    made = EmailMessage(policy=_POLICY)
    made["From"] = Address(relay.sender_name, addr_spec=relay.sender)
    made["To"] = to
    made["Subject"] = message.subject
    made["Date"] = format_datetime(now)
    made["Message-ID"] = f"<{message.key}@{domain}>"
    thread = f"<thread.{message.thread}@{domain}>"
    followed = [f"<{key}@{domain}>" for key in message.follows[:_MAX_FOLLOWED]]
    made["In-Reply-To"] = followed[-1] if followed else thread
    made["References"] = " ".join([thread, *followed])
    made["Auto-Submitted"] = "auto-generated"
    if message.severity == "critical":
        made["Importance"] = "high"
    if unsubscribing is not None:
        by_mail = f"<mailto:{relay.sender}?subject=unsubscribe>"
        if unsubscribing.url is None:
            made["List-Unsubscribe"] = by_mail
        else:
            made["List-Unsubscribe"] = f"<{unsubscribing.url}>, {by_mail}"
            made["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    made.set_content(message.text, cte="quoted-printable")
    made.add_alternative(message.html, subtype="html", cte="quoted-printable")
    return made
