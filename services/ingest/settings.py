"""Ingest's settings, from environment variables `INGEST_...`; an unknown one is refused at start."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import SettingsConfigDict

from neutrality.telemetry.settings import LOOPBACK, KafkaSettings
from neutrality.topics import DEFAULT_PARTITIONS


class IngestSettings(KafkaSettings):
    """One process. Any number of them may stand side by side, each with a data folder of its own; what is lost there is read from Kafka again."""

    model_config = SettingsConfigDict(env_prefix="INGEST_", frozen=True)

    host: Annotated[str, Field(min_length=1, description="Address to listen on; anyone who reaches it may send events.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0: any free one.")] = 8801
    partitions: Annotated[int, Field(ge=1, le=1000, description="Partitions of every topic; fixed once they exist.")] = (
        DEFAULT_PARTITIONS
    )
    replication_factor: Annotated[int, Field(ge=1, le=9, description="Of topics that this service creates.")] = 1
    data_dir: Annotated[
        Path, Field(description="Folder of what was received before, some 60 bytes an event; each process needs its own.")
    ] = Path(".local/ingest")
    deadline_s: Annotated[
        float, Field(gt=0, le=60, description="How long Kafka may take to acknowledge before the answer is 503.")
    ] = 5.0
    api_keys_file: Annotated[
        Path | None,
        Field(description="Publishers and their API keys, as `neutrality keys` writes them; without it anybody may publish."),
    ] = None
    allow_anonymous: Annotated[
        bool, Field(description="Take events from anybody on an address that others reach, without API keys.")
    ] = False
    keep_rejected: Annotated[
        bool,
        Field(description="Keep what is rejected on neutrality.rejected, to be corrected and sent again; it may hold anything."),
    ] = False
    producer: Annotated[
        Literal["kafka-python", "librdkafka"],
        Field(description="The library that writes to Kafka; librdkafka needs the extra `fast`."),
    ] = "kafka-python"
    max_in_flight: Annotated[int, Field(ge=1_000, le=1_000_000, description="Records on their way before the answer is 503.")] = (
        10_000
    )
    max_body_bytes: Annotated[
        int, Field(ge=1024, le=64 * 1024 * 1024, description="Largest request body, and largest line of a stream; inflated.")
    ] = 1024 * 1024
    body_deadline_s: Annotated[float, Field(gt=0, le=300, description="How long a client may take to send a body.")] = 30.0

    stream_idle_s: Annotated[float, Field(gt=0, le=3600, description="How long a stream of lines may pause.")] = 60.0
    max_unread_bytes: Annotated[
        int,
        Field(
            ge=1024 * 1024, le=2**40, description="Results of a stream that wait on disk for a client that does not read them."
        ),
    ] = 1024 * 1024 * 1024
    max_in_flight_bytes: Annotated[
        int, Field(ge=1024 * 1024, le=2**34, description="Bytes on their way to Kafka before the answer is 503.")
    ] = 64 * 1024 * 1024

    @model_validator(mode="after")
    def _not_open_to_everybody(self) -> Self:
        """Refuse to listen for others without asking who they are, unless that is said."""
        if self.api_keys_file is None and not self.allow_anonymous and self.host not in LOOPBACK:
            raise ValueError("`host` is reached by others: set `api_keys_file` (see `neutrality keys`), or `allow_anonymous`")
        return self

    @property
    def deadline(self) -> timedelta:
        """`deadline_s` as a duration."""
        return timedelta(seconds=self.deadline_s)
