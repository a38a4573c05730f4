"""HTTP: a lab's alerts and their stream, and what is known of vendors; the other routes are added here.

The stream reads the database from a position on, and sleeps until a commit wakes it: so a slow client costs no memory, and nothing is missed
between what is stored and what comes in.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal, cast

import orjson
import structlog
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from prometheus_client import CollectorRegistry
from sse_starlette import EventSourceResponse, ServerSentEvent

from neutrality.http import (
    HttpProblem,
    add_docs,
    add_health,
    add_metrics,
    add_problem_handlers,
    problem_responses,
)
from services.alerts import outbox
from services.alerts.answers import LabId, json_answer, not_found
from services.alerts.database import Database, DatabaseUnavailable
from services.alerts.decisions.http import SubscriptionsApi
from services.alerts.decisions.inbox import Inbox
from services.alerts.decisions.portfolio_http import add_portfolio
from services.alerts.decisions.silences_http import add_silences
from services.alerts.endpoints.http import EndpointsApi
from services.alerts.endpoints.making import Endpoints
from services.alerts.endpoints.stream import DisabledEndpoints
from services.alerts.gate import LabGate
from services.alerts.intake import Intake
from services.alerts.lab_data_http import LabDataApi
from services.alerts.metrics import AlertsMetrics
from services.alerts.news import News
from services.alerts.settings import AlertsSettings
from services.alerts.vendors import add_vendors

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]

_PAGE: Final = 500
log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)
_LOOK_S: Final = 5.0  # whether the key of a quiet stream is still taken
_EVERYWHERE: Final = problem_responses(
    {
        401: "Without an API key that is taken.",
        403: "The key is another lab's, or may not do this.",
        422: "Something in the request is wrong; `errors` says what.",
    }
)
_UNKNOWN: Final = problem_responses({404: "There is none of that name.", 422: "Something in the request is wrong."})


class Commits:
    """Wakes a lab's open streams after a commit that raised alerts for it, and ends all at the stop."""

    def __init__(self) -> None:
        """Nothing was committed yet."""
        self._waiting: dict[str, asyncio.Event] = {}
        self.closed = False

    def hear(self, news: News) -> None:
        """Alerts were committed, by whichever instance."""
        for lab in [lab for lab in self._waiting if news.concerns(lab)]:
            self._waiting.pop(lab).set()

    def close(self) -> None:
        """The service stops: streams end."""
        self.closed = True
        self.hear(News(everything=True))

    def next(self, lab: str) -> asyncio.Event:
        """Set by the next commit. Take it before looking into the database, so that nothing comes between."""
        return self._waiting.setdefault(lab, asyncio.Event())


def build_app(  # noqa: PLR0913 - the parts that main has made
    settings: AlertsSettings,
    database: Database,
    intake: Intake,
    commits: Commits,
    metrics: AlertsMetrics,
    registry: CollectorRegistry,
    *,
    endpoints: EndpointsApi,
    lab_data: LabDataApi,
    gate: LabGate,
    clock: Callable[[], datetime],
    is_ready: Callable[[], Any],
    lifespan: Lifespan | None = None,
) -> FastAPI:
    """The HTTP application. It owns nothing."""
    app = FastAPI(
        title="Neutrality Watch: alerts",
        version="1",
        summary="Tells labs when a vendor's neutrality changes.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        dependencies=[Depends(gate.guard)],
        responses=_EVERYWHERE,
    )
    add_problem_handlers(app)
    app.add_exception_handler(DatabaseUnavailable, _on_database_away)
    SubscriptionsApi(database, intake, clock).add_to(app)
    _add_alerts(app, settings, database, commits, metrics, gate)
    Inbox(database, clock).add_to(app)
    add_portfolio(app, database, intake)
    add_silences(app, database, intake, clock)
    endpoints.add_to(app)
    lab_data.add_to(app)
    add_vendors(app, database)
    add_health(app, is_ready)
    add_metrics(app, registry)
    add_docs(app)
    return app


async def _on_database_away(_request: Request, error: Exception) -> Response:
    log.warning("database_away", error=type(error).__name__)
    away = "The database does not answer; whether a change was made is not known. The same request may be sent again."
    return HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, "database-away", away, headers={"retry-after": "5"}).response()


def _add_alerts(
    app: FastAPI, settings: AlertsSettings, database: Database, commits: Commits, metrics: AlertsMetrics, gate: LabGate
) -> None:
    @app.get(
        "/labs/{lab}/alerts", tags=["alerts"], summary="A lab's alerts, in order", response_class=Response, responses=_UNKNOWN
    )
    async def list_alerts(
        lab: LabId,
        after: Annotated[str | None, Query(description="Id of the last alert seen.")] = None,
        limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100,
    ) -> Response:
        position = await _position(database, lab, after) if after is not None else 0
        found = await database.read(outbox.alerts_behind, lab, position, limit)
        return json_answer({"alerts": [stored.alert for stored in found]})

    @app.get(
        "/labs/{lab}/alerts/stream",
        tags=["alerts"],
        summary="A lab's alerts as server-sent events",
        response_class=EventSourceResponse,
        responses=_UNKNOWN,
    )
    async def stream_alerts(
        lab: LabId,
        request: Request,
        start: Annotated[
            Literal["now", "beginning"], Query(alias="from", description="Where to begin without Last-Event-ID.")
        ] = "now",
        last_event_id: Annotated[
            str | None, Header(description="Id of the last alert seen; the stream goes on behind it.")
        ] = None,
    ) -> EventSourceResponse:
        """Event `alert`; its id is the alert's id. Delivery is at least once: take each id once.

        Event `endpoint-disabled` (without an id) tells once in each stream of every endpoint that is disabled, and why.
        """
        if last_event_id:
            position = await _position(database, lab, last_event_id)
        else:
            position = 0 if start == "beginning" else await database.read(outbox.last_position)
        may_go_on = partial(gate.lets_in, request.headers.get("authorization"), lab)
        return EventSourceResponse(
            _events(lab, position, database, commits, metrics, may_go_on), ping=settings.heartbeat_s, send_timeout=30.0
        )


async def _events(
    lab: str, position: int, database: Database, commits: Commits, metrics: AlertsMetrics, may_go_on: Callable[[], bool]
) -> AsyncIterator[ServerSentEvent]:
    metrics.subscribers.inc()
    endpoints = DisabledEndpoints(database, lab)
    try:
        while not commits.closed and may_go_on():
            committed = commits.next(lab)
            found = await database.read(outbox.alerts_behind, lab, position, _PAGE)
            for stored in found:
                position = stored.position
                metrics.delivered.labels("sse").inc()
                yield ServerSentEvent(orjson.dumps(stored.alert).decode(), event="alert", id=stored.alert.id)
            if not found:
                for event in await endpoints.news():
                    yield event
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(committed.wait(), _LOOK_S)
    except DatabaseUnavailable:
        return  # who listens comes back, and goes on behind the last alert that it has
    finally:
        metrics.subscribers.dec()


async def _position(database: Database, lab: str, alert_id: str) -> int:
    position = await database.read(outbox.position_of, lab, alert_id)
    if position is None:
        raise not_found(f"{lab} has no alert {alert_id[:80]!r}; leave it out to begin anew")
    return position


def openapi_document() -> str:
    """The OpenAPI document as committed in contracts/openapi/alerts.json."""

    async def never() -> bool:
        return False

    def _epoch() -> datetime:
        return datetime(1970, 1, 1, tzinfo=UTC)

    registry = CollectorRegistry()
    metrics = AlertsMetrics(registry)
    # no request is ever made to this application
    nothing = cast("Any", None)
    intake = Intake(nothing, metrics, nothing, clock=_epoch)
    endpoints = EndpointsApi(Endpoints(nothing, intake, nothing, nothing, nothing, nothing, allow_http=False))
    lab_data = LabDataApi(nothing, intake, nothing, _epoch, 0.0)
    gate = LabGate(None, metrics, clock=_epoch)
    settings = AlertsSettings.model_construct()
    app = build_app(
        settings,
        nothing,
        intake,
        Commits(),
        metrics,
        registry,
        endpoints=endpoints,
        lab_data=lab_data,
        gate=gate,
        clock=_epoch,
        is_ready=never,
    )
    return orjson.dumps(app.openapi(), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode() + "\n"
