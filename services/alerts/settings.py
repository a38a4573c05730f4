"""Settings of alerts, from environment variables `ALERTS_...`; an unknown one is refused at start."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from neutrality.telemetry.settings import Servers, ServiceSettings
from neutrality.topics import DEFAULT_PARTITIONS


class AlertsSettings(ServiceSettings):
    """One instance over one database. Its API knows no users yet, so it listens on loopback unless told otherwise."""

    model_config = SettingsConfigDict(env_prefix="ALERTS_", frozen=True)

    host: Annotated[str, Field(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0: any free one.")] = 8802
    bootstrap_servers: Annotated[Servers, Field(description="Kafka, host:port, several with commas.")] = "127.0.0.1:29092"
    partitions: Annotated[int, Field(ge=1, le=1000, description="Partitions of every topic; fixed once they exist.")] = (
        DEFAULT_PARTITIONS
    )
    replication_factor: Annotated[int, Field(ge=1, le=9, description="Of topics that this service creates.")] = 1
    database_url: Annotated[str, Field(pattern=r"^sqlite\+aiosqlite:///.+", description="SQLAlchemy URL of the SQLite file.")] = (
        "sqlite+aiosqlite:///.local/alerts.db"
    )
    deadline_s: Annotated[float, Field(gt=0, le=60, description="How long Kafka may take to acknowledge an alert.")] = 5.0
    heartbeat_s: Annotated[int, Field(ge=1, le=300, description="How often a quiet stream says that it lives.")] = 15

    @property
    def deadline(self) -> timedelta:
        """`deadline_s` as a duration."""
        return timedelta(seconds=self.deadline_s)
