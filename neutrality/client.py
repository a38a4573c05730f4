"""A client of ingest for Python, sync and async: any number of events, each with its result.

    with Client("http://127.0.0.1:8801") as client:
        for result in client.publish_all(events):  # any iterable; it is read as fast as Kafka takes the events, and no faster
            ...

Events go as lines (NDJSON) in requests of bounded size. What has no result after a request (Kafka or ingest was away, the connection broke) is sent
again until it has one or `patience` is at an end. That is safe: an event counts once by its `source` and `id`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Self

import httpx
import orjson
from pydantic import BaseModel

from neutrality.events.cloudevent import Event, Problem, event_to_json

MAX_LINES: Final = 2_000
MAX_BYTES: Final = 4 * 1024 * 1024
DEFAULT_PATIENCE: Final = timedelta(seconds=30)
_MEDIA_TYPE: Final = "application/x-ndjson"
_RETRIABLE: Final = frozenset({429, 502, 503, 504})
_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 10.0
_TIMEOUT_S: Final = 60.0

Publishable = Event | Mapping[str, Any] | bytes


class IngestError(Exception):
    """Events were not accepted. `unreachable`: ingest did not answer at all, or Kafka was away for longer than the patience."""

    def __init__(self, message: str, *, unreachable: bool = False) -> None:
        """Keep what kind it is."""
        super().__init__(message)
        self.unreachable = unreachable


class EventRejected(IngestError):  # noqa: N818 - named for what it is
    """Ingest does not take this event; `problems` point into it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep the problems, and say them in the message."""
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{problem.pointer or '(event)'}: {problem.detail}" for problem in self.problems))


@dataclass(frozen=True, slots=True)
class Accepted:
    """Kafka has the event, and where; a `duplicate` it had already, with the same content. `place` counts the events given, from 1."""

    place: int
    source: str
    id: str
    type: str
    topic: str
    partition: int
    offset: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """Ingest does not take the event; `problems` point into it. `place` counts the events given, from 1."""

    place: int
    problems: tuple[Problem, ...]


Result = Accepted | Rejected


class Client:
    """A connection to ingest. Use it as a context manager; not for use from several threads at once."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        patience: timedelta = DEFAULT_PATIENCE,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Nothing is sent yet. `patience` bounds how long is waited without any progress while Kafka or ingest is away."""
        self._url = _events_url(url)
        self._patience_s = patience.total_seconds()
        self._sleep = sleep
        self._http = httpx.Client(timeout=_TIMEOUT_S, headers=_authorization(api_key))

    def publish(self, event: Publishable) -> Accepted:
        """Publish one event; returns once Kafka has it.

        Raises:
            EventRejected: it is none that ingest takes.
            IngestError: it could not be delivered within the patience.
        """
        [result] = self.publish_all([event])
        return _accepted(result)

    def publish_all(self, events: Iterable[Publishable]) -> Iterator[Result]:
        """Publish events, and tell what became of each, in order. Nothing is sent before the results are asked for.

        Raises:
            IngestError: some could not be delivered within the patience; those told of before are.
        """
        for wave in _waves(events):
            delivery = _deliver(wave, self._url, self._patience_s)
            step = next(delivery)
            while step is not None:
                step = delivery.send(self._do(step))
            yield from wave.results()

    def send(self, events: Iterable[Publishable]) -> int:
        """Publish events all of which are to be accepted; returns how many there were.

        Raises:
            EventRejected: ingest does not take one of them; those before it and some after it are published.
            IngestError: some could not be delivered within the patience.
        """
        return sum(1 for _ in map(_accepted, self.publish_all(events)))

    def _do(self, step: "_Step") -> "_Reply":
        if isinstance(step, float):
            self._sleep(step)
            return None
        try:
            return self._http.post(self._url, content=step, headers={"content-type": _MEDIA_TYPE})
        except httpx.TransportError as error:
            return error

    def __enter__(self) -> Self:
        """Ready to send."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""
        self._http.close()


class AsyncClient:
    """The same on an event loop."""

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        patience: timedelta = DEFAULT_PATIENCE,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """See `Client`."""
        self._url = _events_url(url)
        self._patience_s = patience.total_seconds()
        self._sleep = sleep
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_S, headers=_authorization(api_key))

    async def publish(self, event: Publishable) -> Accepted:
        """See `Client.publish`."""
        [result] = [result async for result in self.publish_all([event])]
        return _accepted(result)

    async def publish_all(self, events: Iterable[Publishable]) -> AsyncIterator[Result]:
        """See `Client.publish_all`."""
        for wave in _waves(events):
            delivery = _deliver(wave, self._url, self._patience_s)
            step = next(delivery)
            while step is not None:
                step = delivery.send(await self._do(step))
            for result in wave.results():
                yield result

    async def _do(self, step: "_Step") -> "_Reply":
        if isinstance(step, float):
            await self._sleep(step)
            return None
        try:
            return await self._http.post(self._url, content=step, headers={"content-type": _MEDIA_TYPE})
        except httpx.TransportError as error:
            return error

    async def __aenter__(self) -> Self:
        """Ready to send."""
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the connection."""
        await self._http.aclose()


_Step = bytes | float  # a body to send, or seconds to wait
_Reply = httpx.Response | httpx.TransportError | None


class _Wave:
    """The events of one request, until each has its result."""

    def __init__(self, first_place: int) -> None:
        self._first_place = first_place
        self._lines: list[bytes] = []
        self._results: dict[int, Result] = {}
        self._sent: list[int] = []
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, line: bytes) -> None:
        self._lines.append(line)
        self.size_bytes += len(line) + 1

    @property
    def left(self) -> int:
        """Events without a result."""
        return len(self._lines) - len(self._results)

    def body(self) -> bytes:
        """The lines that have no result yet."""
        self._sent = [index for index in range(len(self._lines)) if index not in self._results]
        return b"\n".join(self._lines[index] for index in self._sent)

    def take(self, answer: bytes) -> str | None:
        """Note the results in an answer to the last body; returns why not all are there, if ingest says so."""
        complaint = None
        for found in answer.splitlines():
            try:
                document = orjson.loads(found)
            except orjson.JSONDecodeError:
                break  # cut off in the middle
            if "summary" in document:
                complaint = document["summary"].get("problem", {}).get("detail")
            elif document["status"] != "failed":
                index = self._sent[document["line"] - 1]
                self._results[index] = _result(self._first_place + index, document)
            else:
                complaint = document["problem"]["detail"]
        return complaint

    def results(self) -> Iterator[Result]:
        return (self._results[index] for index in range(len(self._lines)))


def _waves(events: Iterable[Publishable]) -> Iterator[_Wave]:
    place = 1
    wave = _Wave(place)
    for event in events:
        line = _line(event)
        if len(wave) and (len(wave) >= MAX_LINES or wave.size_bytes + len(line) > MAX_BYTES):
            yield wave
            wave = _Wave(place)
        wave.add(line)
        place += 1
    if len(wave):
        yield wave


def _line(event: Publishable) -> bytes:
    """One event as one line. A line given as bytes is sent as it is, but for line feeds, which JSON may hold only between its parts."""
    if isinstance(event, BaseModel):
        return event_to_json(event)
    line = event if isinstance(event, bytes) else orjson.dumps(event)
    return line.replace(b"\n", b" ").strip() or b"null"  # a blank line would have no result


def _deliver(wave: _Wave, url: str, patience_s: float) -> Generator[_Step | None, _Reply, None]:
    """What to do next, until all of a wave has its result; then None. Raises IngestError."""
    waited_s = 0.0
    while wave.left:
        left = wave.left
        reply = yield wave.body()
        pause_s = _PAUSE_S
        if isinstance(reply, httpx.Response):
            if reply.is_success:
                complaint = wave.take(reply.content)
                problem = complaint or f"ingest at {url} broke off its answer"
            else:
                problem = describe(reply)
                if reply.status_code not in _RETRIABLE:
                    raise IngestError(problem)
                pause_s = _retry_after_s(reply)
        else:
            problem = f"ingest at {url} does not answer ({reply}); is it running?"
        if not wave.left:
            break
        if wave.left < left:
            waited_s = 0.0
        if waited_s + pause_s > patience_s:
            raise IngestError(problem, unreachable=True)
        yield pause_s
        waited_s += pause_s
    yield None


def _result(place: int, document: Mapping[str, Any]) -> Result:
    if document["status"] in ("accepted", "duplicate"):
        fields = {name: document[name] for name in ("source", "id", "type", "topic", "partition", "offset")}
        return Accepted(place, **fields, duplicate=document["status"] == "duplicate")
    errors = document["problem"].get("errors", ())
    return Rejected(place, tuple(Problem(error["pointer"], error["detail"]) for error in errors))


def _accepted(result: Result) -> Accepted:
    if isinstance(result, Rejected):
        raise EventRejected(result.problems)
    return result


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


def _retry_after_s(response: httpx.Response) -> float:
    try:
        return min(_LONGEST_PAUSE_S, max(0.1, float(response.headers.get("retry-after", _PAUSE_S))))
    except ValueError:
        return _PAUSE_S


def _authorization(api_key: str | None) -> dict[str, str]:
    return {} if api_key is None else {"authorization": f"Bearer {api_key}"}


def _events_url(url: str) -> str:
    return url.rstrip("/") + "/events"
