"""The HTTP conventions that ingest and alerts share. Only services import it; it needs their extras (FastAPI, uvicorn).

Errors are RFC 9457 problem details, whoever raises them: our code (`HttpProblem`), FastAPI's validation, routing, or a defect.
A problem of the input names each wrong place with a JSON Pointer in `errors`; a defect says nothing of the inside and is logged.

`/docs` shows the OpenAPI document with Swagger UI from a wheel: no page of ours asks another site for anything.

`serve` owns the process's event loop: uvicorn takes SIGTERM and SIGINT, lets requests finish, and then `serve` returns an exit code.
"""

import errno
import gc
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from types import FrameType
from typing import Any, Final

import fastapi_offline
import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.docs import get_swagger_ui_html
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Match
from starlette.staticfiles import StaticFiles

PROBLEM_MEDIA_TYPE: Final = "application/problem+json"
_TYPE_PREFIX: Final = "urn:neutrality-watch:problem:"
_ASSETS_PATH: Final = "/docs/assets"
_STOP_GRACE_S: Final = 10  # longer than any request's deadline, shorter than the 30 s a supervisor waits before it kills
_BACKLOG: Final = 2048

EXIT_OK: Final = 0
EXIT_MISUSE: Final = 2

_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a request. `pointer` is a JSON Pointer (RFC 6901) into the body; "" is the whole."""

    pointer: str
    detail: str


class HttpProblem(Exception):  # noqa: N818 - RFC 9457's word
    """An answer that is a problem. `kind` is the last part of the type URI; it is bounded and part of the API."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        title: str | None = None,
        errors: Sequence[Fault] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Keep what the answer will say; `title` is the status's phrase unless given."""
        self.status = status
        self.kind = kind
        self.title = title or HTTPStatus(status).phrase
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.extensions: dict[str, Any] = {}
        super().__init__(f"{status} {kind}: {detail}")

    def document(self) -> dict[str, Any]:
        """The problem details document."""
        document: dict[str, Any] = {
            "type": f"{_TYPE_PREFIX}{self.kind}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            document["errors"] = [{"pointer": fault.pointer, "detail": fault.detail} for fault in self.errors]
        document |= self.extensions
        return document

    def response(self) -> Response:
        """The answer."""
        content = json.dumps(self.document(), ensure_ascii=False).encode(errors="replace")
        return Response(content, self.status, self.headers, PROBLEM_MEDIA_TYPE)


PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "description": "RFC 9457 problem details.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {
            "type": "string",
            "format": "uri",
            "description": "What kind of problem it is.",
            "examples": [f"{_TYPE_PREFIX}invalid-event"],
        },
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {
                        "type": "string",
                        "description": "JSON Pointer (RFC 6901) into the request; empty for the whole.",
                    },
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


def problem_responses(descriptions: Mapping[int, str]) -> dict[int | str, dict[str, Any]]:
    """FastAPI's `responses=` for answers that are problems, by status."""
    content = {PROBLEM_MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}
    return {status: {"description": description, "content": content} for status, description in descriptions.items()}


def json_pointer(path: Sequence[str | int]) -> str:
    """A JSON Pointer from its steps."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


def add_problem_handlers(app: FastAPI) -> None:
    """Answer every error with a problem."""

    async def on_problem(_request: Request, error: Exception) -> Response:
        return error.response() if isinstance(error, HttpProblem) else _defect().response()

    async def on_validation(_request: Request, error: Exception) -> Response:
        return _from_validation(error).response() if isinstance(error, RequestValidationError) else _defect().response()

    async def on_http(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            return _defect().response()
        problem = _from_http(error)
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            problem.headers = {"allow": ", ".join(_methods_of(request))}
        return problem.response()

    async def on_defect(request: Request, error: Exception) -> Response:
        route = request.scope.get("route")
        _log.error(
            "http_request_failed",
            method=request.method,
            route=getattr(route, "path", None),
            error=type(error).__name__,
            exc_info=error,
        )
        return _defect().response()

    app.add_exception_handler(HttpProblem, on_problem)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_defect)


def _methods_of(request: Request) -> list[str]:
    """All that the resource takes (RFC 9110, 10.2.1); Starlette names those of the first of its routes alone."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return sorted({method for route in routes for method in getattr(route, "methods", None) or ()})


def _defect() -> HttpProblem:
    return HttpProblem(HTTPStatus.INTERNAL_SERVER_ERROR, "internal-error", "The server failed; the failure is logged.")


def _from_validation(error: RequestValidationError) -> HttpProblem:
    """FastAPI's errors; `/body` is left out of pointers into the body, other places (query, path, header) are kept."""
    faults = []
    for item in error.errors():
        path = tuple(item["loc"])
        faults.append(
            Fault(json_pointer(path[1:] if path[:1] == ("body",) else path), str(item["msg"]).removeprefix("Value error, "))
        )
    return HttpProblem(
        HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", "The request is not valid; see `errors`.", errors=faults
    )


_KIND_BY_STATUS: Final = {400: "bad-request", 401: "unauthorized", 403: "forbidden", 404: "not-found", 405: "method-not-allowed"}


def _from_http(error: HTTPException) -> HttpProblem:
    kind = _KIND_BY_STATUS.get(error.status_code, "http-error")
    return HttpProblem(error.status_code, kind, str(error.detail), headers=error.headers)


def add_health(app: FastAPI, is_ready: Callable[[], Awaitable[bool]]) -> None:
    """Add `/health/live` (the process answers), `/health/ready` (`is_ready` says that it can do its work) and `/health/started` (it once could)."""
    has_started = False

    @app.get("/health/live", tags=["operation"], summary="Whether the process answers", response_class=PlainTextResponse)
    async def live() -> PlainTextResponse:
        return PlainTextResponse("live\n")

    @app.get(
        "/health/ready",
        tags=["operation"],
        summary="Whether it can do its work",
        response_class=PlainTextResponse,
        responses=problem_responses({503: "Not now; live all the same."}),
    )
    async def ready() -> PlainTextResponse:
        if not await is_ready():
            raise HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, "not-ready", "Not ready: what it depends on does not answer.")
        return PlainTextResponse("ready\n")

    @app.get(
        "/health/started",
        tags=["operation"],
        summary="Whether it has been ready since its start",
        response_class=PlainTextResponse,
        responses=problem_responses({503: "It is still getting ready."}),
    )
    async def started() -> PlainTextResponse:
        nonlocal has_started
        has_started = has_started or await is_ready()
        if not has_started:
            raise HttpProblem(HTTPStatus.SERVICE_UNAVAILABLE, "not-started", "Not started: it has not been ready yet.")
        return PlainTextResponse("started\n")


def add_metrics(app: FastAPI, registry: CollectorRegistry) -> None:
    """Add `/metrics` in Prometheus' text format, or in OpenMetrics (with exemplars) for who asks for that."""

    @app.get("/metrics", tags=["operation"], summary="Metrics for Prometheus", response_class=PlainTextResponse)
    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})


def add_docs(app: FastAPI) -> None:
    """Add `/docs`; make the app with `docs_url=None, redoc_url=None`. Everything the page needs comes from this server."""
    assets = Path(str(files(fastapi_offline))) / "static"  # Swagger UI 5, which reads OpenAPI 3.1
    app.mount(_ASSETS_PATH, StaticFiles(directory=assets), name="docs-assets")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> HTMLResponse:
        root = str(request.scope.get("root_path", "")).rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}",
            title=app.title,
            swagger_js_url=f"{root}{_ASSETS_PATH}/swagger-ui-bundle.js",
            swagger_css_url=f"{root}{_ASSETS_PATH}/swagger-ui.css",
            swagger_favicon_url=f"{root}{_ASSETS_PATH}/favicon.png",
        )


async def serve(
    app: FastAPI,
    host: str,
    port: int,
    *,
    on_stop: Callable[[], object] | None = None,
    certificate: tuple[Path | None, Path | None] = (None, None),
) -> int:
    """Serve until SIGTERM or SIGINT, let requests finish, and return the process's exit code: 0, or 2 if the address cannot be had.

    The address is bound before the app's lifespan starts, so that a taken port costs no connection to anything. `on_stop` is called by the
    signal's handler, before requests are waited for: what answers without end must end then. `certificate`: its file and its key's, for HTTPS.
    """
    try:
        listener = _listen(host, port)
    except OSError as error:
        reason = "already in use" if error.errno == errno.EADDRINUSE else (error.strerror or str(error))
        _log.error(
            "http_address_unavailable", host=host, port=port, reason=f"{reason}; stop what uses it or set another host or port"
        )
        return EXIT_MISUSE
    config = uvicorn.Config(
        app,
        access_log=False,
        log_config=None,  # the process's structured logs stay as they are
        timeout_graceful_shutdown=_STOP_GRACE_S,
        server_header=False,
        lifespan="on",
        ssl_certfile=certificate[0],
        ssl_keyfile=certificate[1],
    )
    server = _Server(config)
    server.on_stop = on_stop
    _log.info("http_listening", host=host, port=listener.getsockname()[1])
    gc.collect()
    gc.freeze()  # what was imported stays, and walking through it held up requests for 0.2 s now and then
    try:
        await server.serve(sockets=[listener])
    finally:
        listener.close()
    if not server.started:
        raise RuntimeError("the HTTP application did not start; its error is logged above")
    _log.info("http_stopped")
    return EXIT_OK


class _Server(uvicorn.Server):
    """uvicorn raises the captured signal again once it has stopped, which would end the process by that signal; we exit with 0."""

    on_stop: Callable[[], object] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, and forget the signal."""
        if self.on_stop is not None:
            self.on_stop()
        super().handle_exit(sig, frame)
        self._captured_signals.clear()


def _listen(host: str, port: int) -> socket.socket:
    """A bound, listening socket. Raises OSError."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)  # noqa: FBT003 - the socket takes it by position only
    except OSError:
        listener.close()
        raise
    return listener
