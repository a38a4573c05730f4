"""The answer to a stream of lines: a line of JSON for each, in order, and a summary as the last.

It begins while the stream is still being read. `Prefer: return=minimal` (RFC 7240) leaves out the lines that were accepted.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from neutrality.broker.port import PublishedRecord
from neutrality.http import Fault, HttpProblem
from services.ingest.entrypoints.spool import Spool
from services.ingest.handlers import Accepted, Conflict
from services.ingest.streams import Conflicted, Failed, LineStream, Refused, Result, StreamCut, Summary, Taken

MEDIA_TYPE: Final = "application/x-ndjson"
MEDIA_TYPES: Final = frozenset({MEDIA_TYPE, "application/ndjson", "application/jsonl"})


async def body_chunks(request: Request, *, idle_s: float, stopping: asyncio.Event) -> AsyncIterator[bytes]:
    """The body as it arrives.

    Raises:
        StreamCut: nothing came for `idle_s`, the client went away, or the service stops.
    """
    stop = asyncio.create_task(stopping.wait())
    try:
        while True:
            receiving = asyncio.ensure_future(request.receive())
            done, _ = await asyncio.wait({receiving, stop}, timeout=idle_s, return_when=asyncio.FIRST_COMPLETED)
            if receiving not in done:
                receiving.cancel()
                if stop in done:
                    raise StreamCut("stopping", "The service stops; send what has no result again.")
                raise StreamCut("body-too-slow", f"Nothing arrived for {idle_s:g} s.")
            message: Message = receiving.result()
            if message["type"] != "http.request":
                raise StreamCut("body-not-received", "The client went away.")
            if body := message.get("body", b""):
                yield body
            if not message.get("more_body", False):
                return
    finally:
        stop.cancel()


class NdjsonAnswer(Response):
    """Sends results while a stream is read; what the client is slow to take waits on disk, up to a bound."""

    def __init__(self, stream: LineStream, chunks: AsyncIterator[bytes], *, minimal: bool, max_waiting_bytes: int) -> None:
        """`minimal`: without the accepted lines."""
        super().__init__(media_type=MEDIA_TYPE)
        del self.headers["content-length"]
        if minimal:
            self.headers["preference-applied"] = "return=minimal"
        self._stream, self._chunks = stream, chunks
        self._minimal, self._max_waiting_bytes = minimal, max_waiting_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        del scope, receive  # the chunks hold the latter
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with Spool() as spool:
            filling = asyncio.create_task(self._fill(spool), name="fills an answer")
            try:
                async for piece in spool.pieces():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await filling
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            finally:
                filling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await filling

    async def _fill(self, spool: Spool) -> None:
        try:
            async with contextlib.aclosing(self._stream.results(self._chunks)) as found:
                async for results in found:
                    spool.write(_lines(results, minimal=self._minimal))
                    if spool.waiting_bytes > self._max_waiting_bytes:
                        detail = (
                            "The client does not read its results; ask for Prefer: return=minimal, or send fewer lines at a time."
                        )
                        self._stream.summary.cut = StreamCut("results-not-read", detail)
                        break
            spool.write(_summary(self._stream.summary))
        finally:
            spool.end()


def _lines(results: Iterable[Result], *, minimal: bool) -> bytes:
    return b"".join(
        orjson.dumps(_document(result), option=orjson.OPT_APPEND_NEWLINE)
        for result in results
        if not (minimal and isinstance(result, Taken))
    )


def _document(result: Result) -> dict[str, Any]:
    match result:
        case Taken(line, accepted):
            return {"line": line, "status": "duplicate" if accepted.duplicate else "accepted", **place_document(accepted)}
        case Refused(line, problems, kept):
            faults = [Fault(problem.pointer, problem.detail) for problem in problems]
            problem = HttpProblem(422, "invalid-event", "Nothing was written.", title="Invalid event", errors=faults)
            problem.extensions = kept_document(kept)
            return {"line": line, "status": "rejected", "problem": problem.document()}
        case Conflicted(line, conflict):
            fault = Fault("/id", conflict_detail(conflict))
            problem = HttpProblem(409, "event-conflict", "Nothing was written.", errors=[fault])
            return {"line": line, "status": "rejected", "problem": problem.document()}
        case Failed(line, error):
            problem = HttpProblem(503, "broker-unavailable", f"{error}. It may have been written; send it again, it counts once.")
            return {"line": line, "status": "failed", "problem": problem.document()}


def kept_document(record: PublishedRecord | None) -> dict[str, Any]:
    """Where a rejected input is kept, as an extension of the problem."""
    return {} if record is None else {"kept": f"{record.partition}/{record.offset}"}


def conflict_detail(conflict: Conflict) -> str:
    """What is wrong, and what to do."""
    record = conflict.record
    place = f"lies in {record.topic}, partition {record.partition}, offset {record.offset}" if record else "is being written"
    advice = "give this one an id of its own, or take that one back with a correction"
    return f"an event of this source and id, but with other content, {place}; {advice}"


def place_document(accepted: Accepted) -> dict[str, Any]:
    """An event that Kafka has, and where."""
    return {
        "source": accepted.event.source,
        "id": accepted.event.id,
        "type": accepted.event.type,
        "topic": accepted.record.topic,
        "partition": accepted.record.partition,
        "offset": accepted.record.offset,
    }


def _summary(summary: Summary) -> bytes:
    cut = summary.cut
    found: dict[str, Any] = {
        "complete": cut is None,
        "accepted": summary.accepted,
        "duplicate": summary.duplicate,
        "rejected": summary.rejected,
        "failed": summary.failed,
    }
    if cut is not None:
        found["problem"] = HttpProblem(_STATUS[cut.kind], cut.kind, cut.detail).document()
    return orjson.dumps({"summary": found}, option=orjson.OPT_APPEND_NEWLINE)


_STATUS: Final = {
    "body-too-slow": 408,
    "body-not-received": 408,
    "bad-compression": 400,
    "body-too-large": 413,
    "broker-unavailable": 503,
    "stopping": 503,
    "results-not-read": 413,
    "unauthorized": 401,
}
