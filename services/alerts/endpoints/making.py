"""Endpoints are looked up, made, changed and checked here, whatever their kind; the routes say what was asked."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from ipaddress import ip_address
from typing import Final

from neutrality.events.vocabulary import iso
from neutrality.http import Fault, HttpProblem
from services.alerts.answers import not_found
from services.alerts.channels import apprise
from services.alerts.channels.senders import Senders
from services.alerts.database import Database
from services.alerts.domain.addresses import refusal
from services.alerts.domain.attempts import Attempt
from services.alerts.domain.endpoint import AppriseTerms, EmailTerms, Endpoint, EndpointTerms, Secret, WebhookTerms
from services.alerts.domain.notice import notice_of
from services.alerts.endpoints import store
from services.alerts.endpoints.confirmation import ConfirmationLimits, awaiting, render_question
from services.alerts.endpoints.sealing import Sealer, new_secret
from services.alerts.endpoints.worker import EndpointWorker
from services.alerts.intake import Intake

MAX_ENDPOINTS: Final = 50  # of a lab


@dataclass(frozen=True, slots=True)
class Made:
    """An endpoint as it is now. `secret`: to be shown, once. `confirmation`: what came of asking for it."""

    endpoint: Endpoint
    is_new: bool
    secret: str | None = None
    confirmation: Attempt | None = None


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The endpoints of all labs."""

    database: Database
    intake: Intake
    sealer: Sealer
    worker: EndpointWorker
    senders: Senders
    clock: Callable[[], datetime]
    allow_http: bool
    limits: ConfirmationLimits = field(default_factory=ConfirmationLimits)

    async def of(self, lab: str) -> tuple[Endpoint, ...]:
        """A lab's, by name."""
        async with self.database.reading() as connection:
            return await store.endpoints(connection, self.sealer, lab)

    async def find(self, lab: str, name: str) -> Endpoint:
        """One endpoint. Raises HttpProblem."""
        async with self.database.reading() as connection:
            found = next(iter(await store.endpoints(connection, self.sealer, lab, name)), None)
        if found is None:
            raise not_found(f"{lab} has no endpoint {name!r}")
        return found

    async def put(self, endpoint: Endpoint, *, tell: bool = False) -> None:
        """Write it, and serve it as it is now. `tell`: the lab's others, that it is disabled."""
        async with self.intake.changing() as connection:
            await store.put(connection, endpoint, self.sealer)
            if tell and endpoint.disabled is not None:
                now = self.clock()
                notice = notice_of(endpoint.lab, endpoint.name, endpoint.terms.kind, endpoint.disabled, iso(now))
                await store.tell_others(connection, notice, int(now.timestamp() * 1000))

    async def remove(self, lab: str, name: str) -> None:
        """An endpoint with its log. Raises HttpProblem: there is none."""
        async with self.intake.changing() as connection:
            gone = await store.remove(connection, (lab, name))
        if not gone:
            raise not_found(f"{lab} has no endpoint {name!r}")

    async def make(self, lab: str, name: str, terms: EndpointTerms) -> Made:
        """Make an endpoint, or give it new terms. Raises HttpProblem: the terms cannot be taken; nothing was changed."""
        known = {found.name: found for found in await self.of(lab)}
        found = known.get(name)
        if found is None and len(known) >= MAX_ENDPOINTS:
            raise HttpProblem(HTTPStatus.CONFLICT, "too-many-endpoints", f"A lab has {MAX_ENDPOINTS} endpoints at most.")
        if found is not None and found.terms.kind != terms.kind:
            detail = f"{name!r} is of the kind {found.terms.kind}: remove it first, or take another name."
            raise HttpProblem(HTTPStatus.CONFLICT, "other-kind", detail)
        match terms:
            case WebhookTerms():
                self._check(terms)
                made = Endpoint(lab, name, terms, (new_secret(),)) if found is None else replace(found, terms=terms)
            case AppriseTerms():
                made = await self._apprise(lab, name, terms, found)
            case EmailTerms():
                return await self._email(lab, name, terms, found)
        await self.put(made)
        shown = made.secrets[0].secret if found is None and isinstance(terms, WebhookTerms) else None
        return Made(made, found is None, shown)

    def _check(self, terms: WebhookTerms) -> None:
        """Raises HttpProblem: nothing may be sent to this URL. A name is judged when it is connected to, each time."""
        if not terms.is_https and not self.allow_http:
            raise invalid("/url", "https alone: the operator has not set ALERTS_WEBHOOK_ALLOW_HTTP")
        address = terms.literal_address()
        if address is not None and (why := refusal(address, self.senders.allowed)) is not None:
            raise invalid("/url", f"{ip_address(int(address))} is {why}; name a host on the public Internet")

    async def _apprise(self, lab: str, name: str, terms: AppriseTerms, found: Endpoint | None) -> Endpoint:
        if found is not None and isinstance(found.terms, AppriseTerms) and terms.url == found.terms.url:
            return replace(found, terms=terms)  # as it is shown: the URL stays
        try:
            target = await apprise.in_thread(lambda: apprise.read(terms.url, self.senders.apprise_schemes))
        except apprise.UnusableUrl as error:
            raise invalid("/url", str(error)) from error
        shown = terms.model_copy(update={"url": target.masked})
        secrets = (Secret(terms.url),)
        return Endpoint(lab, name, shown, secrets) if found is None else replace(found, terms=shown, secrets=secrets)

    async def _email(self, lab: str, name: str, terms: EmailTerms, found: Endpoint | None) -> Made:
        if found is not None and isinstance(found.terms, EmailTerms) and found.terms.address == terms.address:
            made = replace(found, terms=terms)
            await self.put(made)
            return Made(made, is_new=False)
        base = Endpoint(lab, name, terms, ()) if found is None else replace(found, terms=terms)
        return await self.ask(base, terms, is_new=found is None)

    async def ask(self, endpoint: Endpoint, terms: EmailTerms, *, is_new: bool) -> Made:
        """Have the owner of an address asked, with a new code. Raises HttpProblem: too often, or no mail is sent here; nothing was changed."""
        now = self.clock()
        mailer = self.senders.mailer
        if mailer is None:
            raise HttpProblem(HTTPStatus.CONFLICT, "no-mail", "No mail is sent here: the operator has not set ALERTS_SMTP_HOST.")
        await self.limits.count(endpoint.lab, terms.address)
        made = awaiting(endpoint, now)
        await self.put(made)
        question = render_question(made, self.senders.public_url)
        return Made(made, is_new, confirmation=await mailer.send(question, terms.address, now=now))


def invalid(pointer: str, fault: str) -> HttpProblem:
    """422: terms that cannot be taken."""
    return HttpProblem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-endpoint", "Nothing was changed.", errors=[Fault(pointer, fault)]
    )
