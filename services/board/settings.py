"""Settings of the board, from environment variables `BOARD_...`; an unknown one is refused at start."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import AnyHttpUrl, AwareDatetime, Field, FilePath, model_validator
from pydantic_settings import SettingsConfigDict

from neutrality.telemetry.settings import LOOPBACK, KafkaSettings

HttpUrl = Annotated[str, Field(pattern=r"^https?://[^\s/?#]+[^\s?#]*$")]


class BoardSettings(KafkaSettings):
    """One instance; any number may run, they share nothing but the file of keys."""

    model_config = SettingsConfigDict(env_prefix="BOARD_", frozen=True)

    host: Annotated[str, Field(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0: any free one.")] = 8800
    alerts_url: Annotated[HttpUrl, Field(description="Where alerts answers.")] = "http://127.0.0.1:8802"
    alerts_ca_file: Annotated[
        FilePath | None, Field(description="Authority of alerts' certificate, if it is one of your own.")
    ] = None
    alerts_timeout_s: Annotated[float, Field(gt=0, le=60, description="How long alerts may take to answer.")] = 10.0
    public_url: Annotated[
        HttpUrl | None,
        Field(description="How browsers reach the board; with https, cookies go over https alone. Needed for OIDC."),
    ] = None
    allow_anonymous: Annotated[
        bool,
        Field(description="Where alerts asks for no key, let anybody in as any lab though others reach this address."),
    ] = False
    secrets_key_file: Annotated[
        Path, Field(description="Fernet keys, one a line, that encrypt sessions; made if missing. All instances need the same.")
    ] = Path(".local/board.key")
    session_hours: Annotated[float, Field(gt=0, le=720, description="How long a sign-in lasts.")] = 12.0
    key_check_s: Annotated[
        float, Field(ge=0, le=3600, description="How long a key that alerts took is not asked about again.")
    ] = 30.0
    oidc_issuer: Annotated[HttpUrl | None, Field(description="OpenID Connect: the provider's issuer.")] = None
    oidc_client_id: Annotated[str | None, Field(min_length=1, description="OpenID Connect: the board's client id.")] = None
    oidc_client_secret_file: Annotated[
        Path | None, Field(description="OpenID Connect: a file with the client's secret; none for a public client.")
    ] = None
    oidc_lab_claim: Annotated[str, Field(min_length=1, description="The claim of the ID token that names the lab.")] = "lab"
    oidc_scopes: Annotated[str, Field(description="Scopes to ask for.")] = "openid profile email"
    lab_keys_file: Annotated[
        Path | None,
        Field(description="Labs' API keys, a JSON object of lab and key: under which those who came by OIDC reach alerts."),
    ] = None
    frame_ms: Annotated[int, Field(ge=10, le=5000, description="Shortest time between two live updates of a page.")] = 200
    heartbeat_s: Annotated[int, Field(ge=1, le=300, description="How often a quiet stream says that it lives.")] = 15
    replay_s: Annotated[float, Field(gt=0, le=600, description="How long a replay of the log may take.")] = 60.0
    clock_starts_at: Annotated[
        AwareDatetime | None, Field(description="For demonstrations: the service's clock starts here and runs at wall speed.")
    ] = None

    @model_validator(mode="after")
    def _oidc_is_whole(self) -> Self:
        """Refuse half of OIDC's settings."""
        given = (self.oidc_issuer, self.oidc_client_id)
        if any(given) and not (all(given) and self.public_url):
            raise ValueError("OIDC needs `oidc_issuer`, `oidc_client_id` and `public_url`")
        return self

    @property
    def is_secure(self) -> bool:
        """Whether browsers come over https."""
        return self.public_url is not None and AnyHttpUrl(self.public_url).scheme == "https"

    @property
    def may_be_anonymous(self) -> bool:
        """Whether a lab may be chosen without a key, if alerts asks for none."""
        return self.allow_anonymous or self.host in LOOPBACK

    @property
    def session(self) -> timedelta:
        """`session_hours` as a duration."""
        return timedelta(hours=self.session_hours)

    def service_time(self, at_start: datetime, now: datetime) -> datetime:
        """The service's time, `now` on the wall, if its process started at `at_start`."""
        return now if self.clock_starts_at is None else self.clock_starts_at + (now - at_start)
