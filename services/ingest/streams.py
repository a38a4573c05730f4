"""NDJSON: one event a line, of any number, each with a result of its own, in the order of the lines.

    chunks -> inflated -> lines -> groups: validated, published -> results

Reading runs ahead of the results by at most WINDOW groups, so a stream holds little however long it is, and a Kafka that is slow makes its sender
wait. Once a record is not acknowledged, no more is read: what was read is told of, and a summary says that the rest was not. Whoever sends the
lines without a result again loses nothing and counts nothing twice.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from neutrality.broker.port import BrokerError, BrokerUnavailable, OutgoingRecord, Overloaded, PublishedRecord
from neutrality.events.cloudevent import Event, InvalidEvent, Problem
from neutrality.identity.references import read_line
from neutrality.key_file import Unauthorized
from services.ingest.gate import Admission
from services.ingest.handlers import Accepted, Conflict, Intake, Outcome
from services.ingest.inflating import BadCompression, Inflater, InflatesTooFar
from services.ingest.keeping import Keeper
from services.ingest.lines import Line, LineSplitter

GROUP_LINES: Final = 100  # validated in one go: some 5 ms in which nobody else is served
GROUP_BYTES: Final = 256 * 1024
WINDOW: Final = 8  # groups on their way to Kafka
OVERLOADED_PAUSE_S: Final = 0.05
OVERLOADED_PATIENCE_S: Final = 10.0
RATE_PAUSE_S: Final = 0.2

Cut = Literal[
    "body-too-slow",
    "body-not-received",
    "bad-compression",
    "body-too-large",
    "broker-unavailable",
    "stopping",
    "results-not-read",
    "unauthorized",
]


class StreamCut(Exception):  # noqa: N818 - named for what it is
    """The stream cannot be read on. `kind` is part of the API."""

    def __init__(self, kind: Cut, detail: str) -> None:
        """Keep both."""
        self.kind, self.detail = kind, detail
        super().__init__(f"{kind}: {detail}")


@dataclass(frozen=True, slots=True)
class Taken:
    """A line whose event Kafka has."""

    line: int
    accepted: Accepted


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that holds no event that we accept. `problems` point into the line; `kept`: where it is, if rejected lines are kept."""

    line: int
    problems: tuple[Problem, ...]
    kept: PublishedRecord | None = None


@dataclass(frozen=True, slots=True)
class Conflicted:
    """A line whose event has the source and id of another content."""

    line: int
    conflict: Conflict


@dataclass(frozen=True, slots=True)
class Failed:
    """A line whose event Kafka did not acknowledge; it may be written all the same."""

    line: int
    error: BrokerError


Result = Taken | Refused | Conflicted | Failed


@dataclass(slots=True)
class Summary:
    """What became of a stream so far. `cut`: why it was not read to its end."""

    accepted: int = 0
    duplicate: int = 0
    rejected: int = 0
    failed: int = 0
    cut: StreamCut | None = None

    def count(self, result: Result) -> None:
        """One more line."""
        match result:
            case Taken(accepted=Accepted(duplicate=True)):
                self.duplicate += 1
            case Taken():
                self.accepted += 1
            case Refused() | Conflicted():
                self.rejected += 1
            case Failed():
                self.failed += 1


@dataclass(slots=True)
class _Group:
    """Some lines: those with an event, and the results of the others."""

    lines: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    records: list[OutgoingRecord] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    inputs: list[bytes | None] = field(default_factory=list)  # of those refused
    size_bytes: int = 0

    def is_full(self) -> bool:
        return len(self.lines) + len(self.refused) >= GROUP_LINES or self.size_bytes >= GROUP_BYTES

    def results(self, outcomes: Iterable[Outcome]) -> list[Result]:
        written = [_result(line, outcome) for line, outcome in zip(self.lines, outcomes, strict=True)]
        return sorted([*written, *self.refused], key=lambda result: result.line)


def _result(line: int, outcome: Outcome) -> Result:
    match outcome:
        case Accepted():
            return Taken(line, outcome)
        case Conflict():
            return Conflicted(line, outcome)
        case _:
            return Failed(line, outcome)


_Begun = tuple[_Group, asyncio.Task[Sequence[Outcome]]]


class LineStream:
    """One stream, from its chunks to its results."""

    def __init__(self, intake: Intake, inflater: Inflater, admission: Admission, keeper: Keeper, *, max_line_bytes: int) -> None:
        """`max_line_bytes` bounds one event's line."""
        self._intake, self._inflater, self._admission = intake, inflater, admission
        self._keeper = keeper
        self._max_line_bytes = max_line_bytes
        self._splitter = LineSplitter(max_line_bytes)
        self._group = _Group()
        self._begun: asyncio.Queue[_Begun | None] = asyncio.Queue(WINDOW)
        self.summary = Summary()

    async def results(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[list[Result]]:
        """The results, some lines at a time, as soon as they are known; `summary` is complete when they end."""
        reading = asyncio.create_task(self._read(chunks), name="reads a stream")
        try:
            while (begun := await self._begun.get()) is not None:
                yield await self._results_of(begun)
                if self.summary.failed:
                    break
            reading.cancel()
            await asyncio.wait([reading])
            while not self._begun.empty():
                if (begun := self._begun.get_nowait()) is not None:
                    yield await self._results_of(begun)
            if self.summary.failed:
                self.summary.cut = StreamCut("broker-unavailable", "Kafka did not acknowledge; send what has no result again.")
            elif not reading.cancelled() and (error := reading.exception()) is not None:
                raise error
        finally:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await reading

    async def _results_of(self, begun: _Begun) -> list[Result]:
        group, publishing = begun
        results = group.results(await publishing)
        for result in results:
            self.summary.count(result)
        return results

    async def _read(self, chunks: AsyncIterator[bytes]) -> None:
        try:
            await self._read_all(chunks)
        except StreamCut as cut:
            self.summary.cut = cut
        except BadCompression as error:
            self.summary.cut = StreamCut("bad-compression", str(error))
        except InflatesTooFar as error:
            self.summary.cut = StreamCut("body-too-large", str(error))
        except Exception:
            await self._begun.put(None)  # or the results would be waited for; the error is raised with their end
            raise
        await self._begin()
        await self._begun.put(None)

    async def _read_all(self, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            self._renew()
            for piece in self._inflater.feed(chunk):
                for line in self._splitter.feed(piece):
                    await self._take(line)
            await self._begin()
        self._inflater.finish()
        for line in self._splitter.finish():
            await self._take(line)

    def _renew(self) -> None:
        """A stream may last for days; it ends with its key, and is held to what its publisher may do now."""
        try:
            self._admission = self._admission.renewed()
        except Unauthorized as error:
            raise StreamCut(
                "unauthorized", f"{error}. What has a result stands; send the rest under a key that is taken."
            ) from error

    async def _take(self, line: Line) -> None:
        group = self._group
        try:
            event = self._event_of(line)
            self._admission.check(event)
            record = self._intake.record_of(event)
        except InvalidEvent as error:
            group.refused.append(Refused(line.number, error.problems))
            group.inputs.append(line.content)
            self._intake.refused(1)
        else:
            group.lines.append(line.number)
            group.events.append(event)
            group.records.append(record)
            group.size_bytes += len(record.value)
        if group.is_full():
            await self._begin()

    def _event_of(self, line: Line) -> Event:
        if line.content is None:
            raise InvalidEvent([Problem("", f"the line is longer than {self._max_line_bytes} bytes")])
        return read_line(line.content)

    async def _begin(self) -> None:
        """Send the group on its way."""
        group, self._group = self._group, _Group()
        if group.lines or group.refused:
            await self._begun.put((group, asyncio.create_task(self._publish(group), name="publishes lines")))

    async def _wait_for_rate(self, events: int) -> None:
        """A rate makes a stream slower, and refuses nothing."""
        while events:
            piece = min(events, self._admission.largest_batch() or events)
            while (wait_s := self._admission.take(piece)) > 0.0:  # noqa: ASYNC110 - a rate tells nobody when it is free again
                await asyncio.sleep(min(wait_s, RATE_PAUSE_S))
            events -= piece

    async def _keep(self, group: _Group) -> None:
        """Keep the lines that were refused, if that is asked for."""
        if not group.refused or not self._keeper.keeps:
            return
        inputs = zip(group.refused, group.inputs, strict=True)
        kept = await asyncio.gather(
            *(self._keeper.keep("invalid_event", refused.problems, content or b"") for refused, content in inputs)
        )
        group.refused = [replace(refused, kept=record) for refused, record in zip(group.refused, kept, strict=True)]

    async def _publish(self, group: _Group) -> Sequence[Outcome]:
        await self._keep(group)
        if not group.events:
            return ()
        await self._wait_for_rate(len(group.events))
        for _ in range(int(OVERLOADED_PATIENCE_S / OVERLOADED_PAUSE_S)):
            try:
                return await self._intake.publish_each(group.events, group.records)
            except Overloaded:
                await asyncio.sleep(OVERLOADED_PAUSE_S)
            except BrokerUnavailable as error:
                return [error] * len(group.events)
        return [Overloaded("too many events are on their way to Kafka")] * len(group.events)
