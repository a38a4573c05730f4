"""A lab's webhook endpoint: where its alerts are posted to."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated

from pydantic import AnyHttpUrl, Field, TypeAdapter, field_validator

from neutrality.events.vocabulary import Wire
from services.alerts.domain.addresses import Address
from services.alerts.domain.subscription import SubscriptionName

_URL = TypeAdapter(AnyHttpUrl)
MAX_URL = 2000


class EndpointTerms(Wire):
    """Where to, and of which subscriptions. The URL is kept as browsers read it (WHATWG): odd spellings of addresses become plain."""

    url: Annotated[str, Field(max_length=MAX_URL, description="https://… that alerts are posted to; redirects are not followed.")]
    subscriptions: Annotated[
        tuple[SubscriptionName, ...] | None, Field(max_length=1000, description="Alerts of these alone; null: of all.")
    ] = None
    description: Annotated[str, Field(max_length=500, description="For the lab's own people.")] = ""

    @field_validator("url")
    @classmethod
    def _plain(cls, url: str) -> str:
        found = _URL.validate_python(url)
        if found.username is not None or found.password is not None:
            raise ValueError("a URL without user and password; requests are signed instead")
        if found.fragment is not None:
            raise ValueError("a URL without a fragment (#…); it is never sent")
        return str(found)

    @property
    def is_https(self) -> bool:
        """Whether it is encrypted."""
        return self.url.startswith("https:")

    def literal_address(self) -> Address | None:
        """The address, if the URL names one instead of a host."""
        try:
            return ip_address((_URL.validate_python(self.url).host or "").strip("[]"))
        except ValueError:
            return None

    def covers(self, subscription: str) -> bool:
        """Whether alerts of a subscription go there."""
        return self.subscriptions is None or subscription in self.subscriptions


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret that signs, `whsec_` and base64; `until`: when it stops to, after a rotation."""

    secret: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The terms under a lab's name for them. `disabled`: why nothing is sent there; `failing_since_ms`: of failures without a success."""

    lab: str
    name: str
    terms: EndpointTerms
    secrets: tuple[Secret, ...]
    disabled: str | None = None
    failing_since_ms: int | None = None

    def active_secrets(self, now: datetime) -> tuple[str, ...]:
        """Those that sign now, the newest first."""
        return tuple(one.secret for one in self.secrets if one.until is None or now < one.until)
