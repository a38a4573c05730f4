"""Scoring's settings, from environment variables `SCORING_...`; an unknown one is refused at start."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints
from pydantic_settings import SettingsConfigDict

from neutrality.telemetry.settings import KafkaSettings
from neutrality.topics import DEFAULT_PARTITIONS


class ScoringSettings(KafkaSettings):
    """One worker. Workers with the same `group` share the partitions."""

    model_config = SettingsConfigDict(env_prefix="SCORING_")

    group: Annotated[
        str,
        StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,60}$"),
        Field(description="Consumer group; also names the changelog topic. A new group rebuilds everything from the log."),
    ] = "neutrality-scoring"
    partitions: Annotated[int, Field(ge=1, le=1000, description="Partitions of every topic; fixed once they exist.")] = (
        DEFAULT_PARTITIONS
    )
    replication_factor: Annotated[int, Field(ge=1, le=9, description="Of topics that this service creates.")] = 1
    store: Annotated[
        Literal["memory", "rocksdb"],
        Field(description="Where vertices are held; with rocksdb a start replays only what is new in the changelog."),
    ] = "memory"
    data_dir: Annotated[
        Path, Field(description="Folder for Faust's files and for RocksDB's; with rocksdb each worker needs its own.")
    ] = Path(".local/scoring")
    cached_vertices: Annotated[int, Field(ge=1, description="Vertices kept decoded in memory, with rocksdb.")] = 50_000
    metrics_host: Annotated[str, Field(description="Address of /metrics.")] = "127.0.0.1"
    metrics_port: Annotated[int, Field(ge=0, le=65535, description="Port of /metrics; 0: any free one.")] = 8803
    clock_starts_at: Annotated[
        AwareDatetime | None, Field(description="For demonstrations: the service's clock starts here and runs at wall speed.")
    ] = None
    session_timeout_s: Annotated[
        float, Field(ge=6, le=60, description="A worker that is silent for so long loses its partitions.")
    ] = 10.0
    commit_interval_s: Annotated[float, Field(gt=0, le=60, description="How often applied offsets are committed.")] = 1.0
    tick_interval_s: Annotated[float, Field(gt=0, le=3600, description="How often due vertices are looked for.")] = 1.0
    put_off_s: Annotated[
        float,
        Field(ge=0, le=3600, description="Under backlog, how long a change may wait for more before it is reckoned and told."),
    ] = 60.0
    kafka_patience_s: Annotated[
        float, Field(ge=1, le=3600, description="How long the start waits for Kafka before it gives up.")
    ] = 120.0
    stop_grace_s: Annotated[float, Field(ge=1, le=300, description="How long a stop may take.")] = 20.0

    @property
    def changelog(self) -> str:
        """Name of the changelog topic of the table `vertices`."""
        return f"{self.group}-vertices-changelog"

    def service_time(self, at_start: datetime, now: datetime) -> datetime:
        """The service's time, `now` on the wall, if its process started at `at_start`."""
        return now if self.clock_starts_at is None else self.clock_starts_at + (now - at_start)
