"""Settings of alerts, from environment variables `ALERTS_...`; an unknown one is refused at start."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, IPvAnyNetwork, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict
from sqlalchemy.engine import URL, make_url

from neutrality.telemetry.settings import LOOPBACK, KafkaSettings
from neutrality.topics import DEFAULT_PARTITIONS
from services.alerts.channels.apprise import DEFAULT_SCHEMES
from services.alerts.channels.email import Mailer, Relay, Security
from services.alerts.channels.senders import Senders
from services.alerts.cleaning import Kept


class AlertsSettings(KafkaSettings):
    """One instance over one database."""

    model_config = SettingsConfigDict(env_prefix="ALERTS_", frozen=True)

    host: Annotated[str, Field(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0: any free one.")] = 8802
    partitions: Annotated[int, Field(ge=1, le=1000, description="Partitions of every topic; fixed once they exist.")] = (
        DEFAULT_PARTITIONS
    )
    replication_factor: Annotated[int, Field(ge=1, le=9, description="Of topics that this service creates.")] = 1
    database_url: Annotated[
        str,
        Field(
            pattern=r"^(sqlite\+aiosqlite:///.+|postgresql\+asyncpg://.+/.+)$",
            repr=False,  # it may hold a password
            description="sqlite+aiosqlite:///FILE for one instance, or postgresql+asyncpg://USER@HOST:PORT/DATABASE for any number.",
        ),
    ] = "sqlite+aiosqlite:///.local/alerts.db"
    database_password: Annotated[SecretStr | None, Field(description="PostgreSQL's password, if it is not in the URL.")] = None
    database_password_file: Annotated[Path | None, Field(description="A file that holds it instead.")] = None
    deadline_s: Annotated[float, Field(gt=0, le=60, description="How long Kafka may take to acknowledge an alert.")] = 5.0
    api_keys_file: Annotated[
        Path | None,
        Field(description="Labs and their API keys, as `neutrality labs` writes them; without it anybody is any lab."),
    ] = None
    allow_anonymous: Annotated[bool, Field(description="Answer anybody on an address that others reach, without API keys.")] = (
        False
    )
    secrets_key_file: Annotated[
        Path | None,
        Field(description="Fernet keys, one a line, that encrypt endpoints' secrets; made beside the database if left out."),
    ] = None
    webhook_timeout_s: Annotated[float, Field(gt=0, le=60, description="How long an endpoint may take to answer.")] = 15.0
    webhook_allow_http: Annotated[bool, Field(description="Whether endpoints may be http:// too.")] = False
    webhook_allowed_networks: Annotated[
        tuple[IPvAnyNetwork, ...],
        Field(description="Networks that webhooks and Apprise may reach besides the public Internet, as a JSON list."),
    ] = ()
    shown_vendors: Annotated[
        int, Field(ge=0, le=200, description="Vendors whose scores are metrics: those that changed most often.")
    ] = 20
    apprise_schemes: Annotated[
        tuple[str, ...],
        Field(description="Services that Apprise may send to, by the schemes of its URLs, as a JSON list; empty: none."),
    ] = DEFAULT_SCHEMES
    apprise_timeout_s: Annotated[float, Field(gt=0, le=300, description="How long a service may take.")] = 30.0
    smtp_host: Annotated[str | None, Field(min_length=1, description="SMTP relay for e-mail; without it no e-mail is sent.")] = (
        None
    )
    smtp_port: Annotated[int, Field(ge=1, le=65535, description="Its port: 587 for starttls, 465 for tls.")] = 587
    smtp_security: Annotated[Security, Field(description="starttls (never without), tls from the first byte, or none.")] = (
        "starttls"
    )
    smtp_user: Annotated[str | None, Field(description="To log in as, if the relay asks.")] = None
    smtp_password: Annotated[SecretStr | None, Field(description="Its password.")] = None
    smtp_password_file: Annotated[Path | None, Field(description="A file that holds it instead.")] = None
    smtp_sender: Annotated[
        str | None, Field(pattern=r"^[^\s@<>,;:\"]+@[^\s@<>,;:\"]+$", description="Address that mails, and bounces, come from.")
    ] = None
    smtp_timeout_s: Annotated[float, Field(gt=0, le=300, description="How long the relay may take for a message.")] = 30.0
    public_url: Annotated[
        str | None,
        Field(
            pattern=r"^https?://[^\s?#]+$",
            description="Where mails' recipients reach this service; without it mails have no links.",
        ),
    ] = None
    keep_history_days: Annotated[float, Field(gt=0, description="How long the history of scores is kept.")] = 5 * 365.0
    keep_alerts_days: Annotated[
        float, Field(gt=0, description="How long alerts are kept that have reached all that they were for.")
    ] = 365.0
    keep_attempts_days: Annotated[float, Field(gt=0, description="How long the log of deliveries is kept.")] = 90.0
    heartbeat_s: Annotated[int, Field(ge=1, le=300, description="How often a quiet stream says that it lives.")] = 15

    @model_validator(mode="after")
    def _not_open_to_everybody(self) -> Self:
        """Refuse to listen for others without asking who they are, unless that is said."""
        if self.api_keys_file is None and not self.allow_anonymous and self.host not in LOOPBACK:
            raise ValueError("`host` is reached by others: set `api_keys_file` (see `neutrality labs`), or `allow_anonymous`")
        return self

    @model_validator(mode="after")
    def _one_password(self) -> Self:
        """Refuse two passwords, and one for a file."""
        url = make_url(self.database_url)
        given = [url.password, self.database_password, self.database_password_file]
        if sum(one is not None for one in given) > 1:
            raise ValueError("one of `database_password`, `database_password_file` and a password in `database_url`, not several")
        if self.is_sqlite and given != [None, None, None]:
            raise ValueError("`database_password` is for PostgreSQL; a SQLite file has none")
        if not self.is_sqlite and self.secrets_key_file is None:
            raise ValueError(
                "`secrets_key_file` must be named with PostgreSQL, the same for all instances; a line of it: "
                'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"'
            )
        return self

    @model_validator(mode="after")
    def _whole_relay(self) -> Self:
        """Refuse half of a relay."""
        if self.smtp_host is not None and self.smtp_sender is None:
            raise ValueError("`smtp_sender` must be set with `smtp_host`: the address that mails come from")
        if self.smtp_password is not None and self.smtp_password_file is not None:
            raise ValueError("one of `smtp_password` and `smtp_password_file`, not both")
        if (self.smtp_user is None) != (self.smtp_password is None and self.smtp_password_file is None):
            raise ValueError("`smtp_user` and its password, or neither")
        if self.smtp_user is not None and self.smtp_security == "none":
            raise ValueError("`smtp_security` none would send the password in the clear; set starttls or tls")
        return self

    def senders(self) -> Senders:
        """What sends to endpoints. Raises OSError: the file of the relay's password cannot be read."""
        return Senders(
            allowed=self.webhook_allowed_networks,
            webhook_timeout_s=self.webhook_timeout_s,
            mailer=self._mailer(),
            public_url=self.public_url,
            apprise_schemes=self.apprise_schemes,
            apprise_timeout_s=self.apprise_timeout_s,
        )

    def _mailer(self) -> Mailer | None:
        if self.smtp_host is None or self.smtp_sender is None:
            return None
        password = self.smtp_password
        if self.smtp_password_file is not None:
            password = SecretStr(self.smtp_password_file.read_text(encoding="utf-8").strip())
        return Mailer(
            Relay(
                host=self.smtp_host,
                port=self.smtp_port,
                security=self.smtp_security,
                sender=self.smtp_sender,
                user=self.smtp_user,
                password=password,
                timeout_s=self.smtp_timeout_s,
            )
        )

    def kept(self) -> Kept:
        """How long things are kept."""
        return Kept(
            timedelta(days=self.keep_history_days), timedelta(days=self.keep_alerts_days), timedelta(days=self.keep_attempts_days)
        )

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file, and this instance the only one."""
        return make_url(self.database_url).get_backend_name() == "sqlite"

    def database(self) -> URL:
        """Where the database is, with its password. Raises OSError: its file cannot be read."""
        url, password = make_url(self.database_url), self.database_password
        if self.database_password_file is not None:
            return url.set(password=self.database_password_file.read_text(encoding="utf-8").strip())
        return url if password is None else url.set(password=password.get_secret_value())

    @property
    def key_file(self) -> Path:
        """Where the keys of endpoints' secrets are."""
        return self.secrets_key_file or Path(make_url(self.database_url).database or "alerts.db").with_suffix(".key")

    @property
    def deadline(self) -> timedelta:
        """`deadline_s` as a duration."""
        return timedelta(seconds=self.deadline_s)
