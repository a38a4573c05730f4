"""One endpoint's sender, of whichever kind: what it is given becomes a request, a mail or a chat's message, once."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, assert_never

from neutrality.events.alert import ALERT_TYPE, Alert
from services.alerts.channels.apprise import AT_ONCE, AppriseSender
from services.alerts.channels.email import Mailer, Unsubscribing
from services.alerts.channels.rendering import Message, render, render_plainly
from services.alerts.channels.webhook import CONNECTIONS, Poster, message_of
from services.alerts.domain.addresses import Network
from services.alerts.domain.attempts import Attempt
from services.alerts.domain.endpoint import AppriseTerms, EmailTerms, Endpoint, WebhookTerms
from services.alerts.domain.notice import NOTICE_TYPE, TRIAL_TYPE, Notice, Trial

Content = Sequence[Alert] | Notice | Trial


class Sender(Protocol):
    """`at_once`: how many attempts may run together. `to_people`: a group's alerts are one message; otherwise each goes by itself."""

    at_once: int
    to_people: bool

    async def send(self, content: Content, now: datetime) -> Attempt:
        """One attempt; what came of it is told, never raised."""
        ...

    async def close(self) -> None:
        """Close its connections."""
        ...


@dataclass(frozen=True, slots=True)
class Senders:
    """What the operator has set. `mailer` is None where no SMTP relay is; `public_url` is where recipients reach this service, if they do."""

    allowed: Sequence[Network]
    webhook_timeout_s: float
    mailer: Mailer | None
    public_url: str | None
    apprise_schemes: Sequence[str]
    apprise_timeout_s: float
    apprise_room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE), compare=False)

    def of(self, endpoint: Endpoint) -> Sender:
        """A sender to an endpoint; who asks for it closes it."""
        match endpoint.terms:
            case WebhookTerms() as terms:
                return _ToWebhook(endpoint, terms, Poster(self.allowed, timeout_s=self.webhook_timeout_s))
            case EmailTerms() as terms:
                return _ByEmail(endpoint, terms, self.mailer, self.public_url)
            case AppriseTerms():
                timeout_s, room = self.apprise_timeout_s, self.apprise_room
                return _ByApprise(endpoint, AppriseSender(self.apprise_schemes, self.allowed, timeout_s=timeout_s, room=room))
        assert_never(endpoint.terms)


class _ToWebhook:
    at_once = CONNECTIONS
    to_people = False

    def __init__(self, endpoint: Endpoint, terms: WebhookTerms, poster: Poster) -> None:
        self._endpoint, self._terms, self._poster = endpoint, terms, poster

    async def send(self, content: Content, now: datetime) -> Attempt:
        match content:
            case Notice():
                identity, message = content.id, message_of(NOTICE_TYPE, content.raised_at, content)
            case Trial():
                told = {"lab": content.lab, "endpoint": content.endpoint}
                identity, message = content.id, message_of(TRIAL_TYPE, content.raised_at, told)
            case _:
                [alert] = content
                identity, message = alert.id, message_of(ALERT_TYPE, alert.raised_at, alert)
        secrets = self._endpoint.active_secrets(now)
        return await self._poster.post(self._terms.url, message, identity=identity, secrets=secrets, now=now)

    async def close(self) -> None:
        await self._poster.aclose()


class _ByEmail:
    at_once = 1
    to_people = True

    def __init__(self, endpoint: Endpoint, terms: EmailTerms, mailer: Mailer | None, public_url: str | None) -> None:
        self._terms, self._mailer = terms, mailer
        self._unsubscribing = Unsubscribing(link(public_url, endpoint, "unsubscribe"))

    async def send(self, content: Content, now: datetime) -> Attempt:
        if self._mailer is None:
            return Attempt(None, "not-allowed", 0.0)
        return await self._mailer.send(in_words(content), self._terms.address, now=now, unsubscribing=self._unsubscribing)

    async def close(self) -> None:
        pass


class _ByApprise:
    at_once = 1
    to_people = True

    def __init__(self, endpoint: Endpoint, sender: AppriseSender) -> None:
        self._url, self._sender = endpoint.secrets[0].secret, sender

    async def send(self, content: Content, now: datetime) -> Attempt:  # noqa: ARG002 - the protocol's
        return await self._sender.send(self._url, in_words(content))

    async def close(self) -> None:
        pass


def in_words(content: Content) -> Message:
    """What people read."""
    match content:
        case Notice():
            return render_plainly(
                content.id,
                f"{content.lab}: the endpoint {content.endpoint} ({content.kind}) is disabled",
                [
                    f"Nothing more is sent to the endpoint {content.endpoint} ({content.kind}) of {content.lab}: {content.reason}.",
                    f"Mend it, then: neutrality endpoints enable {content.endpoint} --lab {content.lab}. What waited is sent then.",
                ],
                "warning",
            )
        case Trial():
            told = f"This is a test of the endpoint {content.endpoint} of {content.lab}. Alerts will come like this."
            return render_plainly(content.id, f"Test of {content.endpoint}", [told])
    return render(content)


def link(public_url: str | None, endpoint: Endpoint, what: str) -> str | None:
    """Where the owner of an address answers; None if recipients do not reach this service."""
    if public_url is None:
        return None
    return f"{public_url.rstrip('/')}/mail/{endpoint.lab}/{endpoint.name}/{endpoint.secrets[0].secret}/{what}"
