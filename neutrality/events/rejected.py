"""Inputs that could not be used, as `neutrality.rejected` has them: what was received, what is wrong with it, and where it lies if it lies somewhere.

A rejection is named by its own place in the topic, partition/offset. One that was dealt with is named by a record with the header `RESOLVES_HEADER`.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field

from neutrality.events.cloudevent import Problem, document_from_kafka

RESOLVES_HEADER: Final = "neutrality-resolves"
MAX_ERRORS: Final = 50
MAX_VALUE_BYTES: Final = 256 * 1024  # as base64 and with its headers well within Kafka's default record limit of 1 MiB
MAX_KEY_BYTES: Final = 1024


class RejectionError(BaseModel):
    """One thing wrong with an input."""

    model_config = ConfigDict(frozen=True)
    pointer: str
    detail: str


class Rejection(BaseModel):
    """One input that could not be used. `topic`, `partition`, `offset`: where it lies; none if it was refused before it was written."""

    model_config = ConfigDict(frozen=True)
    reason: str
    errors: tuple[RejectionError, ...]
    service: Literal["ingest", "scoring"] = "scoring"
    topic: str | None = None
    partition: int | None = None
    offset: int | None = None
    timestamp_ms: int
    headers: Mapping[str, str] = {}
    value_bytes: Annotated[int | None, Field(ge=0)] = None
    value_base64: str | None = None

    @property
    def value(self) -> bytes | None:
        """What was received, or its head."""
        return None if self.value_base64 is None else base64.b64decode(self.value_base64)

    @property
    def is_whole(self) -> bool:
        """Whether all of what was received is kept."""
        return self.value_bytes is not None and self.value is not None and len(self.value) == self.value_bytes

    def documents(self) -> list[Any]:
        """What was received as events in structured JSON form, valid or not.

        Raises:
            ValueError: it is not whole, or no JSON.
        """
        if not self.is_whole:
            raise ValueError("only the head of the input is kept")
        headers = [(name, value.encode()) for name, value in self.headers.items()]
        if any(name.lower().startswith("ce_") for name, _ in headers):
            return [document_from_kafka(headers, self.value)]
        found = orjson.loads(self.value or b"")
        return found if isinstance(found, list) else [found]


def rejection_value(
    service: Literal["ingest", "scoring"],
    reason: str,
    problems: Sequence[Problem],
    value: bytes | None,
    headers: Iterable[tuple[str, bytes | None]],
    *,
    timestamp_ms: int,
    place: tuple[str, int, int] | None = None,
) -> bytes:
    """The value of a record of `neutrality.rejected`: JSON; bytes as base64, since an input need not be text."""
    topic, partition, offset = place or (None, None, None)
    return orjson.dumps(
        {
            "service": service,
            "reason": reason,
            "errors": [{"pointer": problem.pointer, "detail": problem.detail[:1000]} for problem in problems[:MAX_ERRORS]],
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "timestamp_ms": timestamp_ms,
            "headers": {name[:200]: _text(content)[:2000] for name, content in list(headers)[:50]},
            "value_bytes": None if value is None else len(value),
            "value_base64": None if value is None else base64.b64encode(value[:MAX_VALUE_BYTES]).decode(),
        }
    )


def rejection_from(value: bytes) -> Rejection:
    """A rejection from its record's value. Raises ValueError."""
    return Rejection.model_validate_json(value)


def _text(content: bytes | None) -> str:
    return "" if content is None else content.decode(errors="replace")
