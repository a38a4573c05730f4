"""Addresses are confirmed by whoever reads them, before any alert goes there: a lab could name anybody's.

A code is mailed; it is given back over the lab's API, or by a link, if recipients reach this service (`ALERTS_PUBLIC_URL`). The page behind a link
changes nothing until its button is pressed, since mail scanners open links. The same code unsubscribes later (RFC 8058).
"""

import base64
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from http import HTTPStatus
from typing import Final

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from neutrality.events.vocabulary import iso
from neutrality.http import HttpProblem
from services.alerts.channels.rendering import Message, render_plainly
from services.alerts.channels.senders import link
from services.alerts.domain.endpoint import Endpoint, Secret

AWAITS: Final = "its address is not confirmed yet"
UNSUBSCRIBED: Final = "its recipient unsubscribed"
CODE_KEPT: Final = timedelta(days=7)
_CODE_BYTES: Final = 20
_HOURLY: Final = parse("5/hour")
_DAILY: Final = parse("10/day")
_OF_A_LAB: Final = parse("50/hour")


def new_code(now: datetime) -> Secret:
    """A fresh one, that ends if it is not used."""
    return Secret(base64.b32encode(secrets.token_bytes(_CODE_BYTES)).decode().lower(), now + CODE_KEPT)


def awaiting(endpoint: Endpoint, now: datetime, why: str = AWAITS) -> Endpoint:
    """Sent nothing, until a new code comes back."""
    return replace(endpoint, secrets=(new_code(now),), disabled=why, failing_since_ms=None)


def confirmed(endpoint: Endpoint, code: str, now: datetime) -> Endpoint | None:
    """Sent alerts from now on; None if this is not the code, or it has ended."""
    if not _is_its(endpoint, code) or code not in endpoint.active_secrets(now):
        return None
    return replace(endpoint, secrets=(Secret(code),), disabled=None) if endpoint.awaits_confirmation else endpoint


def unsubscribed(endpoint: Endpoint, code: str, now: datetime) -> Endpoint | None:
    """Sent nothing more, unless it is confirmed anew; None if this is not the code."""
    return awaiting(endpoint, now, UNSUBSCRIBED) if _is_its(endpoint, code) else None


def _is_its(endpoint: Endpoint, code: str) -> bool:
    return endpoint.terms.kind == "email" and compare_digest(endpoint.secrets[0].secret.encode(), code.encode())


class ConfirmationLimits:
    """How many codes are mailed: nobody's address can be flooded in a lab's name. Counted by each instance for itself."""

    def __init__(self) -> None:
        """None was mailed yet."""
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def count(self, lab: str, address: str) -> None:
        """One more is to be mailed. Raises HttpProblem: that is too many."""
        for limit, whose in ((_HOURLY, f"to {address}"), (_DAILY, f"to {address}"), (_OF_A_LAB, f"of {lab}")):
            if not await self._limiter.hit(limit, whose):
                headers = {"retry-after": str(limit.get_expiry())}
                raise HttpProblem(HTTPStatus.TOO_MANY_REQUESTS, "too-many-confirmations", f"At most {limit}.", headers=headers)


def render_question(endpoint: Endpoint, public_url: str | None) -> Message:
    """What the owner of an address is asked. Of what the lab wrote it says the names alone."""
    code = endpoint.secrets[0]
    where = link(public_url, endpoint, "confirm")
    return render_plainly(
        f"confirm_{sha256(code.secret.encode()).hexdigest()[:24]}",
        f"Confirm alerts of {endpoint.lab} to this address",
        [
            f"{endpoint.lab} asks Neutrality Watch to send its alerts to this address, as its endpoint {endpoint.name}.",
            *([] if where is None else [f"If you want them, open {where}"]),
            f"{'Or give' if where else 'If you want them, give'} this code to whoever asked you: {code.secret}",
            f"(neutrality endpoints confirm {endpoint.name} {code.secret} --lab {endpoint.lab})",
            f"If not, do nothing: no alert is sent, and the code ends on {iso(code.until)[:10] if code.until else 'use'}.",
        ],
    )
