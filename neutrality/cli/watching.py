"""A register's stream over HTTP: JSON lines without end, resumed by a number; and what a watcher keeps and exports.

A thread reads lines into a bounded queue, so a stream is read no faster than ingest takes it. `batches` gives what is there; `done` is told once
Kafka has it, and only then is it kept how far was read.
"""

import contextlib
import queue
import random
import threading
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

import httpx
import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from neutrality.cli.importing import Imported
from neutrality.cli.signals import StopSignal
from neutrality.registers.catalogue import StreamPosition

MAX_WAITING: Final = 2_000
MAX_BATCH: Final = 500
_CONNECT_S: Final = 10.0
_LONGEST_PAUSE_S: Final = 60.0
_LOOK_S: Final = 0.2

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


class Gap(Exception):  # noqa: N818 - named for what it is
    """The stream does not go back as far as it was read to. Fate: the operator's, with a snapshot."""


class NotAllowed(Exception):  # noqa: N818 - named for what it is
    """The stream does not let us in."""


class kept_position:  # noqa: N801 - reads as a function
    """A small JSON file, written as a whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Any:
        """What was kept; None if nothing was."""
        try:
            return orjson.loads(self._path.read_bytes())
        except FileNotFoundError:
            return None

    def save(self, value: object) -> None:
        """Keep this instead."""
        fresh = self._path.with_suffix(".new")
        fresh.write_bytes(orjson.dumps(value))
        fresh.replace(self._path)


class WatchMetrics:
    """What a watcher exports. Reasons are the few of the connector."""

    def __init__(self, connector: str) -> None:
        """Make every series."""
        self.registry = CollectorRegistry()
        self._events = Counter(
            "watch_events_total", "Events by what became of them.", ["connector", "outcome"], registry=self.registry
        )
        self._records = Counter("watch_records_total", "Records read.", ["connector"], registry=self.registry)
        self._refusals = Counter(
            "watch_refusals_total", "Parts of records that no event represents.", ["connector", "reason"], registry=self.registry
        )
        self._unreadable = Counter(
            "watch_files_unreadable_total", "Files that could not be read.", ["connector"], registry=self.registry
        )
        self._connected = Gauge("watch_stream_connected", "1 while the stream is open.", registry=self.registry)
        self._position = Gauge("watch_stream_position", "Number of the last record that Kafka has.", registry=self.registry)
        self._last = Gauge("watch_last_record_timestamp_seconds", "When a record last came.", registry=self.registry)
        self._connector = connector
        for outcome in ("accepted", "duplicate", "rejected"):
            self._events.labels(connector, outcome)
        self._records.labels(connector)
        self._unreadable.labels(connector)

    def took(self, imported: Imported) -> None:
        """Records were read and published."""
        self._records.labels(self._connector).inc(imported.records)
        self._events.labels(self._connector, "accepted").inc(imported.accepted.total())
        self._events.labels(self._connector, "duplicate").inc(imported.duplicates)
        self._events.labels(self._connector, "rejected").inc(imported.rejected)
        for reason, count in imported.refusals.items():
            self._refusals.labels(self._connector, reason).inc(count)
        if imported.records:
            self._last.set_to_current_time()

    def unreadable(self) -> None:
        """A file could not be read."""
        self._unreadable.labels(self._connector).inc()

    def connected(self, yes: bool) -> None:
        """The stream was opened or closed."""
        self._connected.set(int(yes))

    def position(self, number: int) -> None:
        """How far was read."""
        self._position.set(number)


class Stream:
    """Lines of a stream, opened again whenever it ends."""

    def __init__(
        self,
        url: str,
        position: StreamPosition,
        key: str | None,
        kept: kept_position,
        metrics: WatchMetrics,
        stop: StopSignal,
        *,
        heartbeat_s: float,
    ) -> None:
        """Goes on from what is kept. `heartbeat_s`: the longest silence of a stream that lives."""
        self._url, self._position, self._kept = url, position, kept
        self._metrics, self._stop = metrics, stop
        self._read_to: int | None = kept.load()
        self._lines: queue.Queue[bytes] = queue.Queue(MAX_WAITING)
        self._failure: Gap | NotAllowed | None = None
        self._closed = threading.Event()
        timeout = httpx.Timeout(_CONNECT_S, read=heartbeat_s)
        self._http = httpx.Client(timeout=timeout, auth=None if key is None else (key, ""), follow_redirects=True)
        self._resume_at = self._read_to
        self._thread = threading.Thread(target=self._read_for_ever, name="watch-stream", daemon=True)
        self._thread.start()

    def batches(self) -> Iterator[list[bytes]]:
        """What is there, as soon as it is, until we are to stop.

        Raises:
            Gap: the stream does not go back far enough.
            NotAllowed: it does not let us in.
        """
        while not self._stop.is_set:
            try:
                lines = [self._lines.get(timeout=_LOOK_S)]
            except queue.Empty:
                if self._failure is not None:
                    raise self._failure from None
                continue
            with contextlib.suppress(queue.Empty):
                while len(lines) < MAX_BATCH:
                    lines.append(self._lines.get_nowait())
            yield lines

    def done(self, lines: Sequence[bytes]) -> None:
        """Kafka has what these lines tell."""
        numbers = [number for line in lines if (number := self._number(line)) is not None]
        if numbers:
            self._read_to = max(numbers)
            self._kept.save(self._read_to)
            self._metrics.position(self._read_to)

    def close(self) -> None:
        """Read no more."""
        self._closed.set()
        self._http.close()

    def _number(self, line: bytes) -> int | None:
        try:
            return self._position.of(orjson.loads(line))
        except orjson.JSONDecodeError:
            return None

    def _read_for_ever(self) -> None:
        failures = 0
        while not self._closed.is_set():
            pause_s = 0.0
            try:
                got_on = self._read_once()
                failures = 0 if got_on else failures + 1
                pause_s = 0.0 if got_on else self._pause_s(failures)
            except (Gap, NotAllowed) as failure:
                self._failure = failure
                return
            except _Wait as wait:
                pause_s = wait.seconds
                failures += 1
                pause_s = pause_s or self._pause_s(failures)
                _log.warning("stream_not_open", reason=str(wait), retry_s=round(pause_s, 1))
            except (httpx.HTTPError, httpx.StreamError) as error:
                failures += 1
                pause_s = self._pause_s(failures)
                _log.warning("stream_broken", reason=f"{type(error).__name__}: {error}", retry_s=round(pause_s, 1))
            except RuntimeError:  # the client was closed under us
                return
            finally:
                self._metrics.connected(yes=False)
            self._closed.wait(pause_s)

    def _read_once(self) -> bool:
        """One connection, to its end; whether it told anything new."""
        parameters = {} if self._resume_at is None else {self._position.parameter: str(self._resume_at)}
        before = self._resume_at
        with self._http.stream("GET", self._url, params=parameters) as response:
            self._check(response)
            self._metrics.connected(yes=True)
            _log.info("stream_open", resumed_at=self._resume_at)
            rest = b""
            for chunk in response.iter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")  # what is cut off at the end is read again
                for line in lines:
                    if line.strip():
                        self._put(line)
        return bool(self._resume_at != before)

    def _put(self, line: bytes) -> None:
        while not self._closed.is_set():
            with contextlib.suppress(queue.Full):
                self._lines.put(line, timeout=_LOOK_S)
                number = self._number(line)
                self._resume_at = self._resume_at if number is None else number
                return

    def _check(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise Gap(
                f"the stream does not go back to {self._position.parameter} {self._resume_at} any more (416). Import a new full snapshot, "
                "then watch again with --from-now"
            )
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise NotAllowed(f"the stream answered {status}; give its key with --key-file")
        if status != HTTPStatus.OK:
            raise _Wait(f"answered {status}", _retry_after_s(response))

    def _pause_s(self, failures: int) -> float:
        """Twice as long each time, less a random part so that watchers do not come back together."""
        return min(_LONGEST_PAUSE_S, 2.0 ** min(failures, 8) / 2) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret


class _Wait(Exception):  # noqa: N818 - named for what it is
    def __init__(self, why: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(why)


def _retry_after_s(response: httpx.Response) -> float:
    with contextlib.suppress(ValueError):
        return min(3600.0, max(0.0, float(response.headers.get("retry-after", 0.0))))
    return 0.0
