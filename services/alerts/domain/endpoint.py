"""A lab's endpoint: where its alerts go besides its topic and its stream. Three kinds: a webhook, an e-mail address, an Apprise URL."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address
from typing import Annotated, Any, Final, Literal

from email_validator import EmailNotValidError, validate_email
from pydantic import AnyHttpUrl, Discriminator, Field, Tag, TypeAdapter, field_validator

from neutrality.events.vocabulary import Wire
from services.alerts.domain.addresses import Address
from services.alerts.domain.subscription import SubscriptionName

Kind = Literal["webhook", "email", "apprise"]
Key = tuple[str, str]  # lab and name of an endpoint
MAX_URL: Final = 2000
_URL: Final = TypeAdapter(AnyHttpUrl)


class _Terms(Wire):
    """What all kinds have in common."""

    subscriptions: Annotated[
        tuple[SubscriptionName, ...] | None, Field(max_length=1000, description="Alerts of these alone; null: of all.")
    ] = None
    description: Annotated[str, Field(max_length=500, description="For the lab's own people.")] = ""

    def covers(self, subscription: str) -> bool:
        """Whether alerts of a subscription go there."""
        return self.subscriptions is None or subscription in self.subscriptions


class WebhookTerms(_Terms):
    """A URL that alerts are posted to. It is kept as browsers read it (WHATWG): odd spellings of addresses become plain."""

    kind: Literal["webhook"] = "webhook"
    url: Annotated[str, Field(max_length=MAX_URL, description="https://… that alerts are posted to; redirects are not followed.")]

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


class EmailTerms(_Terms):
    """An e-mail address. Nothing but its confirmation is sent there until that was answered."""

    kind: Literal["email"]
    address: Annotated[
        str, Field(max_length=254, description="One address, in ASCII; domains as in the DNS.", examples=["soc@lab.example"])
    ]

    @field_validator("address")
    @classmethod
    def _one_address(cls, address: str) -> str:
        try:
            found = validate_email(address, check_deliverability=False).ascii_email
        except EmailNotValidError as error:
            raise ValueError(f"an e-mail address: {error}") from error
        if found is None:
            raise ValueError("an e-mail address in ASCII")
        return found


class AppriseTerms(_Terms):
    """Slack, Teams, PagerDuty and others, by an Apprise URL. The URL is a secret: it is shown masked, and to write back what is shown keeps it."""

    kind: Literal["apprise"]
    url: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_URL,
            description="See https://appriseit.com/services/; also a URL that Slack or Teams give out.",
            examples=["slack://TOKEN_A/TOKEN_B/TOKEN_C"],
        ),
    ]


def _kind(document: Any) -> Any:
    """A document without a kind is a webhook's, as it was before there were others."""
    return document.get("kind", "webhook") if isinstance(document, dict) else getattr(document, "kind", None)


EndpointTerms = WebhookTerms | EmailTerms | AppriseTerms
TERMS: Final[TypeAdapter[EndpointTerms]] = TypeAdapter(
    Annotated[
        Annotated[WebhookTerms, Tag("webhook")] | Annotated[EmailTerms, Tag("email")] | Annotated[AppriseTerms, Tag("apprise")],
        Discriminator(_kind, custom_error_type="kind", custom_error_message="`kind` is webhook, email or apprise"),
    ]
)


@dataclass(frozen=True, slots=True)
class Secret:
    """What only the endpoint may know; `until`: when it ends.

    Of a webhook: it signs, `whsec_` and base64; the old one ends some time after a rotation. Of an address: the code that confirms it, which ends
    if it is not used; a code that was used has no end, and unsubscribes. Of an Apprise URL: the URL.
    """

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
        """Those that hold now, the newest first."""
        return tuple(one.secret for one in self.secrets if one.until is None or now < one.until)

    @property
    def awaits_confirmation(self) -> bool:
        """Whether it is an address whose owner has not said yes."""
        return self.terms.kind == "email" and self.secrets[0].until is not None
