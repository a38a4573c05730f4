"""Records as they come and as they go. Plain data: handlers know them without knowing Kafka."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct


class SourceRecord(Protocol):
    """One consumed record, as aiokafka parses it. Topic and partition are those of the batch that it came in."""

    @property
    def offset(self) -> int:
        """Its place in the partition."""

    @property
    def timestamp(self) -> int:
        """Kafka's timestamp, ms since 1970."""

    @property
    def key(self) -> bytes | None:
        """Raw key."""

    @property
    def value(self) -> bytes | None:
        """Raw value."""

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Headers in the order written."""


class OutgoingRecord(Struct, frozen=True, gc=False):
    """One record to write. Records of one partition are written in the order given."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None
