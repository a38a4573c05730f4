"""Hands events to ingest over HTTP: batches, patience while Kafka is away, and errors in words.

Sending again after an unclear end (a time-out, a crashed service) is safe: an event is the same by (source, id).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx
import orjson

MAX_BATCH_EVENTS: Final = 500
MAX_BATCH_BYTES: Final = 900 * 1024  # ingest takes 1 MiB by default
_BATCH: Final = "application/cloudevents-batch+json"
_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 10.0


class IntakeError(Exception):
    """Events were not accepted. `unreachable`: ingest did not answer at all, or Kafka is away for too long."""

    retriable = False

    def __init__(self, message: str, *, unreachable: bool = False) -> None:
        """Keep what kind it is."""
        super().__init__(message)
        self.unreachable = unreachable


class Intake:
    """A connection to ingest. Use it as a context manager; not for use from several threads at once."""

    def __init__(self, url: str, *, patience_s: float = 30.0, sleep: Callable[[float], None] = time.sleep) -> None:
        """Nothing is sent yet. `patience_s` bounds how long one batch is tried again while Kafka or ingest is away."""
        self._url = url.rstrip("/") + "/events"
        self._patience_s = patience_s
        self._sleep = sleep
        self._client = httpx.Client(timeout=60.0)

    def __enter__(self) -> Self:
        """Ready to send."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, documents: Iterable[dict[str, Any]]) -> int:
        """Send structured CloudEvents, and return how many were sent once Kafka has them all.

        Raises:
            IntakeError: a batch was refused, or ingest could not be reached within the patience.
        """
        sent = 0
        for body, count in batches(documents):
            self._send_batch(body)
            sent += count
        return sent

    def _send_batch(self, body: bytes) -> None:
        waited_s = 0.0
        while True:
            pause_s = _PAUSE_S
            try:
                response = self._client.post(self._url, content=body, headers={"content-type": _BATCH})
            except httpx.TransportError as error:
                problem = f"ingest at {self._url} does not answer ({error}); is `neutrality up` running?"
            else:
                if response.is_success:
                    return
                problem = describe(response)
                if response.status_code not in (429, 502, 503, 504):
                    raise IntakeError(problem)
                pause_s = _retry_after_s(response)
            if waited_s + pause_s > self._patience_s:
                raise IntakeError(problem, unreachable=True)
            self._sleep(pause_s)
            waited_s += pause_s


def batches(documents: Iterable[dict[str, Any]]) -> Iterator[tuple[bytes, int]]:
    """Bodies of JSON arrays within the bounds of count and size, each with its number of events."""
    waiting: list[bytes] = []
    size = 0
    for document in documents:
        encoded = orjson.dumps(document)
        if waiting and (len(waiting) >= MAX_BATCH_EVENTS or size + len(encoded) > MAX_BATCH_BYTES):
            yield _array(waiting), len(waiting)
            waiting, size = [], 0
        waiting.append(encoded)
        size += len(encoded) + 1
    if waiting:
        yield _array(waiting), len(waiting)


def describe(response: httpx.Response) -> str:
    """A refusal in words: the problem's title and detail, and each wrong field (RFC 9457)."""
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        return f"ingest answered {response.status_code}: {response.text[:300]}"
    lines = [f"ingest answered {response.status_code}: {problem.get('detail') or problem.get('title') or ''}".rstrip()]
    wrong = [error for error in problem.get("errors") or [] if isinstance(error, dict)]
    lines += [f"  {error.get('pointer') or '(event)'}: {error.get('detail')}" for error in wrong]
    return "\n".join(lines)


def _array(encoded: Sequence[bytes]) -> bytes:
    return b"[" + b",".join(encoded) + b"]"


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return min(_LONGEST_PAUSE_S, max(0.1, float(response.headers.get("retry-after", _PAUSE_S))))
    except ValueError:
        return _PAUSE_S
