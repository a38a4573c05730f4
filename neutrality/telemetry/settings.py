"""Settings of a service, from environment variables with its prefix.

pydantic-settings' `extra="forbid"` does not see misspelt variables, since it only looks for names that it knows; so they are looked for here.
"""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import Field, FilePath, StringConstraints, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from neutrality.broker.access import PLAIN, Cluster, read_access

LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
Servers = Annotated[str, StringConstraints(pattern=r"^[^\s,]+:\d+(,[^\s,]+:\d+)*$")]


def wrong_settings(error: ValidationError, prefix: str) -> str:
    """What is wrong, a line a variable, each under its environment name."""
    lines = []
    for item in error.errors(include_url=False, include_input=False):
        name = prefix + "_".join(str(step) for step in item["loc"]).upper() if item["loc"] else "settings"
        lines.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


class ServiceSettings(BaseSettings):
    """Base of each service's settings: frozen, ranges checked, an unknown variable with the service's prefix is refused at start."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", validate_default=True)

    tls_cert_file: Annotated[
        FilePath | None,
        Field(description="Certificate (PEM, with its chain) of what this service serves; without it, plain HTTP."),
    ] = None
    tls_key_file: Annotated[FilePath | None, Field(description="The certificate's key.")] = None

    @model_validator(mode="after")
    def _certificate_with_its_key(self) -> Self:
        """Refuse one without the other."""
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            raise ValueError("`tls_cert_file` and `tls_key_file` belong together: set both, or neither")
        return self

    @model_validator(mode="before")
    @classmethod
    def _no_unknown_variable(cls, values: Any) -> Any:
        """Refuse a variable with our prefix that is no setting, and name the one that was meant."""
        prefix = cls.model_config.get("env_prefix", "").upper()
        known = {prefix + name.upper() for name in cls.model_fields}
        names = {name.upper() for name in os.environ}  # noqa: TID251 - the one place that may look
        unknown = sorted(name for name in names if prefix and name.startswith(prefix) and name not in known)
        if unknown:
            meant = get_close_matches(unknown[0], known, n=1)
            hint = f"; did you mean {meant[0]}?" if meant else f"; known are {', '.join(sorted(known))}"
            raise ValueError(f"unknown environment variable {unknown[0]}{hint}")
        return values


class KafkaSettings(ServiceSettings):
    """A service on Kafka."""

    bootstrap_servers: Annotated[Servers, Field(description="Kafka, host:port, several with commas.")] = "127.0.0.1:29092"
    kafka_config_file: Annotated[
        Path | None,
        Field(
            description="Client properties for TLS and SASL (see docs/guides/secure.md); without it Kafka is talked to plainly."
        ),
    ] = None

    @model_validator(mode="after")
    def _access_is_usable(self) -> Self:
        """Refuse a file that cannot be used."""
        if self.kafka_config_file is not None:
            read_access(self.kafka_config_file)  # AccessUnusable is a ValueError that names file and property
        return self

    @property
    def cluster(self) -> Cluster:
        """Kafka, and how it is talked to."""
        return Cluster(self.bootstrap_servers, PLAIN if self.kafka_config_file is None else read_access(self.kafka_config_file))
