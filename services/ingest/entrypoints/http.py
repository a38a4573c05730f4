"""`POST /events` and the operator's paths. Every answer that is no success is a problem (RFC 9457).

An answer of 202 means that Kafka has the events on all in-sync replicas. After a 503 any of the events may have been written: send them again
with the same `source` and `id`, they count once.
"""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

import orjson
from fastapi import FastAPI, Request, Response
from prometheus_client import CollectorRegistry

from neutrality.broker.memory import MemoryBroker
from neutrality.broker.port import BrokerError, OutgoingRecord, Overloaded, RecordTooLarge
from neutrality.events.cloudevent import Event, Problem
from neutrality.http import Fault, HttpProblem, add_docs, add_health, add_metrics, add_problem_handlers
from neutrality.identity.directory import StoreInMemory
from neutrality.key_file import Unauthorized
from neutrality.model.methodology import load_methodology
from services.ingest.content import (
    Content,
    InvalidEvents,
    NotJson,
    TooManyEvents,
    UnknownMediaType,
    content_of,
    media_type_of,
    read_events,
)
from services.ingest.entrypoints import ndjson
from services.ingest.entrypoints.body import inflater_of, read_body
from services.ingest.entrypoints.openapi import EVENTS_OPERATION, EVENTS_RESPONSES, complete
from services.ingest.gate import Admission, Gate
from services.ingest.handlers import Accepted, EventConflicts, Intake
from services.ingest.identities import Identities
from services.ingest.keeping import Keeper
from services.ingest.metrics import IngestMetrics, Reason
from services.ingest.received import OwnWrites, ReceivedInMemory
from services.ingest.remembered import MAX_KEY, Answers, KeyInUse, KeyReused
from services.ingest.settings import IngestSettings
from services.ingest.streams import LineStream


@dataclass(frozen=True, slots=True)
class _Door:
    """What the requests share."""

    settings: IngestSettings
    intake: Intake
    metrics: IngestMetrics
    topics_are_ready: Callable[[], bool]
    stopping: asyncio.Event
    gate: Gate
    answers: Answers
    keeper: Keeper

    def admit(self, request: Request) -> Admission:
        """Whom a request is from. Raises HttpProblem."""
        try:
            return self.gate.admit(request.headers.get("authorization"))
        except Unauthorized as error:
            self.metrics.rejected("unauthorized")
            headers = {"www-authenticate": "Bearer"}
            raise HttpProblem(HTTPStatus.UNAUTHORIZED, "unauthorized", f"{error}.", headers=headers) from error


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RETRY_AFTER_S: Final = {"unavailable": 5, "overloaded": 1, "preparing": 2}
_REASONS: Final[dict[str, Reason]] = {
    "body-too-large": "too_large",
    "batch-too-large": "too_large",
    "body-too-slow": "body_not_received",
    "body-not-received": "body_not_received",
    "invalid-json": "invalid_json",
    "unsupported-media-type": "unsupported_media_type",
    "unsupported-encoding": "unsupported_media_type",
    "bad-compression": "bad_compression",
}


def build_app(  # noqa: PLR0913 - what the application is made of
    settings: IngestSettings,
    intake: Intake,
    metrics: IngestMetrics,
    registry: CollectorRegistry,
    *,
    topics_are_ready: Callable[[], bool],
    gate: Gate | None = None,
    answers: Answers | None = None,
    keeper: Keeper | None = None,
    stopping: asyncio.Event | None = None,
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """The HTTP application. It owns nothing: who makes `intake` ends it. Without a gate anybody is let in. Streams end once `stopping` is set."""
    app = FastAPI(
        title="Neutrality Watch: ingest",
        version="1",
        summary="Takes in CloudEvents about who owns, runs and buys from whom.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    add_problem_handlers(app)
    gate = gate or Gate(None, metrics, clock=_no_clock)
    answers = answers or Answers(time.monotonic)
    keeper = keeper or Keeper(None, metrics, clock=_no_clock)
    _add_events(app, _Door(settings, intake, metrics, topics_are_ready, stopping or asyncio.Event(), gate, answers, keeper))

    async def is_ready() -> bool:
        return topics_are_ready() and await intake.is_reachable()

    add_health(app, is_ready)
    add_metrics(app, registry)
    add_docs(app)
    complete(app)
    return app


def _no_clock() -> datetime:
    raise AssertionError("neither keys nor what is kept ask for the time here")


def _add_events(app: FastAPI, door: _Door) -> None:
    @app.post(
        "/events",
        status_code=HTTPStatus.ACCEPTED,
        tags=["events"],
        summary="Send one event or a batch",
        response_class=Response,
        responses=EVENTS_RESPONSES,
        openapi_extra=EVENTS_OPERATION,
    )
    async def post_events(request: Request) -> Response:
        """One event (structured or binary mode) or a batch, taken as a whole or not at all; or lines of events, each taken by itself.

        The answer comes once Kafka has every event on all in-sync replicas. After 503, send the same again: an event counts once by its
        `source` and `id`.

        Lines (NDJSON, of any number) are answered with 200 and a line for each, in order, while they are still being sent, and a summary as the last.
        `complete` in the summary tells whether all was read; if it is false, send the lines without a result again.
        """
        admission = door.admit(request)
        if media_type_of(request.headers.get("content-type")) in ndjson.MEDIA_TYPES:
            return _stream(request, door, admission)
        with door.metrics.in_flight():
            return await _once(request, door, admission)


async def _once(request: Request, door: _Door, admission: Admission) -> Response:
    """The answer to one event or a batch; under an `Idempotency-Key` the one that was given before, if there was one. Raises HttpProblem."""
    key = request.headers.get("idempotency-key")
    content, body = await _received(request, door)
    if key is None:
        return _answer(await _accept(content, body, door, admission))
    if not 0 < len(key) <= MAX_KEY:
        raise _key_problem(door, HTTPStatus.BAD_REQUEST, "bad-idempotency-key", f"An Idempotency-Key has 1 to {MAX_KEY} letters.")
    payload = repr((content.mode, content.headers)).encode() + body
    try:
        known = door.answers.begin(admission.name, key, payload)
    except KeyReused as error:
        detail = "The Idempotency-Key was used for another payload."
        raise _key_problem(door, HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused", detail) from error
    except KeyInUse as error:
        detail = "The first request with this Idempotency-Key is still being worked on."
        raise _key_problem(door, HTTPStatus.CONFLICT, "idempotency-key-in-use", detail) from error
    if known is not None:
        return known
    answer: Response | None = None
    try:
        answer = _answer(await _accept(content, body, door, admission))
    except HttpProblem as problem:
        retriable = problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR or problem.status == HTTPStatus.TOO_MANY_REQUESTS
        answer = None if retriable else problem.response()
        raise
    finally:
        door.answers.end(admission.name, key, answer)
    return answer


def _key_problem(door: _Door, status: HTTPStatus, kind: str, detail: str) -> HttpProblem:
    door.metrics.rejected("idempotency_key")
    return HttpProblem(status, kind, detail)


async def _accept(content: Content, body: bytes, door: _Door, admission: Admission) -> tuple[Accepted, ...]:
    """Validate, publish. Raises HttpProblem."""
    try:
        events, records = _validated(content, body, door, admission)
    except HttpProblem as problem:
        wrong = [Problem(fault.pointer, fault.detail) for fault in problem.errors] or [Problem("", problem.detail)]
        headers = [(f"ce_{name[3:].decode('latin-1')}", value) for name, value in content.headers]
        kept = await door.keeper.keep(problem.kind.replace("-", "_"), wrong, body, headers)
        problem.extensions = ndjson.kept_document(kept)
        raise
    if not door.topics_are_ready():
        door.metrics.broker_failed("unavailable")
        raise _unavailable("preparing", "Kafka has not answered since the start, so there are no topics to write to yet.")
    _take(len(events), door, admission)
    try:
        return await door.intake.publish(events, records)
    except EventConflicts as error:
        faults = [
            Fault(f"/{place}/id" if len(events) > 1 else "/id", ndjson.conflict_detail(conflict))
            for place, conflict in error.conflicts.items()
        ]
        detail = "Nothing was written; `errors` lists every event that conflicts with another of its source and id."
        raise HttpProblem(HTTPStatus.CONFLICT, "event-conflict", detail, errors=faults) from error
    except Overloaded as error:
        raise _unavailable("overloaded", "Too many events are on their way to Kafka.") from error
    except RecordTooLarge as error:
        raise HttpProblem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "event-too-large", "Kafka does not take a record as large as one of the events."
        ) from error
    except BrokerError as error:
        raise _unavailable(
            "unavailable",
            "Kafka did not acknowledge in time. The events may have been written; send them again, they count once.",
        ) from error


def _take(events: int, door: _Door, admission: Admission) -> None:
    """Count events against the publisher's rate. Raises HttpProblem if it is spent."""
    largest = admission.largest_batch()
    if largest is not None and events > largest:
        door.metrics.rejected("rate_limited", events)
        detail = f"{events} events; by its rate this key may send at most {largest} at once."
        raise HttpProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "batch-above-rate", detail)
    wait_s = admission.take(events)
    if wait_s > 0.0:
        door.metrics.rejected("rate_limited", events)
        headers = {"retry-after": str(math.ceil(wait_s))}
        raise HttpProblem(HTTPStatus.TOO_MANY_REQUESTS, "rate-limited", "The rate of this API key is spent.", headers=headers)


def _stream(request: Request, door: _Door, admission: Admission) -> Response:
    """An answer that reads the request while it is sent. Raises HttpProblem if it cannot begin."""
    inflater = inflater_of(request)
    if not door.topics_are_ready():
        raise _unavailable("preparing", "Kafka has not answered since the start, so there are no topics to write to yet.")
    return ndjson.NdjsonAnswer(
        LineStream(door.intake, inflater, admission, door.keeper, max_line_bytes=door.settings.max_body_bytes),
        ndjson.body_chunks(request, idle_s=door.settings.stream_idle_s, stopping=door.stopping),
        minimal="return=minimal" in request.headers.get("prefer", "").replace(" ", "").lower(),
        max_waiting_bytes=door.settings.max_unread_bytes,
    )


async def _received(request: Request, door: _Door) -> tuple[Content, bytes]:
    """What was sent. Raises HttpProblem, and counts it."""
    settings = door.settings
    try:
        content = content_of(request.headers.get("content-type"), request.headers.raw)
        return content, await read_body(request, max_bytes=settings.max_body_bytes, deadline_s=settings.body_deadline_s)
    except UnknownMediaType as error:
        problem = _unreadable(error)
        door.metrics.rejected(_REASONS[problem.kind])
        raise problem from error
    except HttpProblem as problem:
        door.metrics.rejected(_REASONS[problem.kind])
        raise


def _validated(
    content: Content, body: bytes, door: _Door, admission: Admission
) -> tuple[tuple[Event, ...], tuple[OutgoingRecord, ...]]:
    """The events and their records. Raises HttpProblem, and counts it."""
    records: list[OutgoingRecord] = []

    def keep_record(event: Event) -> None:
        admission.check(event)
        records.append(door.intake.record_of(event))

    try:
        return read_events(content, body, keep_record), tuple(records)
    except InvalidEvents as error:
        door.metrics.rejected("forbidden" if error.forbidden else "invalid_event", error.event_count)
        faults = [Fault(problem.pointer, problem.detail) for problem in error.problems]
        detail = "Nothing was written; `errors` lists every problem."
        if error.forbidden:
            raise HttpProblem(HTTPStatus.FORBIDDEN, "out-of-scope", detail, errors=faults) from error
        raise HttpProblem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-event", detail, title="Invalid event", errors=faults
        ) from error
    except (NotJson, TooManyEvents) as error:
        problem = _unreadable(error)
        door.metrics.rejected(_REASONS[problem.kind])
        raise problem from error


def _unreadable(error: UnknownMediaType | NotJson | TooManyEvents) -> HttpProblem:
    match error:
        case UnknownMediaType():
            return HttpProblem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", f"Content-Type: {error}.")
        case NotJson():
            return HttpProblem(HTTPStatus.BAD_REQUEST, "invalid-json", f"The body is not JSON: {error}.")
        case _:
            return HttpProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "batch-too-large", f"{error}.")


def _unavailable(why: str, detail: str) -> HttpProblem:
    headers = {"retry-after": str(_RETRY_AFTER_S[why])}
    kind = "overloaded" if why == "overloaded" else "broker-unavailable"
    return HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, kind, detail, headers=headers)


def _answer(accepted: tuple[Accepted, ...]) -> Response:
    document = {"accepted": [ndjson.place_document(item) | {"duplicate": item.duplicate} for item in accepted]}
    return Response(orjson.dumps(document), HTTPStatus.ACCEPTED, media_type="application/json")


def openapi_document() -> str:
    """The OpenAPI document as committed in contracts/openapi/ingest.json."""
    registry = CollectorRegistry()
    metrics = IngestMetrics(registry)
    identities = Identities(StoreInMemory(), load_methodology())
    intake = Intake(
        MemoryBroker().publisher(),
        ReceivedInMemory(),
        OwnWrites(),
        identities,
        metrics,
        clock=lambda: _EPOCH,
        stopwatch_s=lambda: 0.0,
    )
    app = build_app(IngestSettings.model_construct(), intake, metrics, registry, topics_are_ready=lambda: False)
    return orjson.dumps(app.openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"
