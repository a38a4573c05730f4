"""What all pages share: templates, assets, who is signed in, and how errors look."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from time import monotonic
from typing import Annotated, Any, Final
from urllib.parse import quote, urlencode

from fastapi import FastAPI
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from neutrality.http import HttpProblem, add_problem_handlers
from services.board.alerts_api import AlertsApi, AlertsAway, AlertsRefused
from services.board.domain.grades import GRADES
from services.board.knowledge import Knowledge
from services.board.live import Hub
from services.board.metrics import BoardMetrics
from services.board.pages.words import CHANNELS, FILTERS
from services.board.sessions import Session, Sessions
from services.board.settings import BoardSettings
from services.board.workers import ReplayTookTooLong, Workers

HERE: Final = Path(__file__).parents[1]
STATIC: Final = HERE / "static"
_MOST_KEYS: Final = 10_000
_OPERATION: Final = ("/health", "/metrics")


Name = Annotated[str, PathParameter(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]  # of a subscription or an endpoint


class SignInNeeded(Exception):  # noqa: N818 - named for what it is
    """Nobody is signed in, or the key is no longer taken. Fate: the sign-in page."""


@dataclass
class Web:
    """The parts that pages need."""

    settings: BoardSettings
    knowledge: Knowledge
    workers: Workers
    hub: Hub
    sessions: Sessions
    alerts: AlertsApi
    metrics: BoardMetrics
    clock: Callable[[], datetime]  # the service's: in which the scores are reckoned
    wall: Callable[[], datetime]  # by which Kafka dates what is published
    digest: str = field(init=False)
    templates: Environment = field(init=False)

    def __post_init__(self) -> None:
        """Read the templates, and name the assets by their content."""
        self.digest = _digest(STATIC)
        self.templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default=True, default_for_string=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self.templates.filters.update(FILTERS)
        self.templates.filters["urlquery"] = urlencode
        self.templates.globals.update(
            asset=lambda name: f"/static/{self.digest}/{name}", GRADES=GRADES, CHANNELS=CHANNELS, name_of=self.knowledge.name
        )
        self._taken: dict[Session, float] = {}

    def add_assets(self, app: FastAPI) -> None:
        """Add the static files: their address changes with their content, so they may be kept for ever."""
        app.mount(f"/static/{self.digest}", _Assets(directory=STATIC), name="static")

    async def reader(self, request: Request) -> Session:
        """Who is signed in: a dependency of every page. Raises SignInNeeded."""
        session = self.sessions.of(request)
        if session is None or not await self.is_taken(session):
            raise SignInNeeded
        return session

    async def is_taken(self, session: Session) -> bool:
        """Whether alerts still takes the session's key. While alerts is away, what it said last holds."""
        if self._taken.get(session, 0.0) > monotonic():
            return True
        try:
            await self.alerts.get(session, "subscriptions")
        except AlertsRefused:
            self._taken.pop(session, None)
            return False
        except AlertsAway:
            return True
        if len(self._taken) >= _MOST_KEYS:
            self._taken.clear()
        self._taken[session] = monotonic() + self.settings.key_check_s
        return True

    def page(self, template: str, session: Session | None, status: int = HTTPStatus.OK, **more: Any) -> HTMLResponse:
        """A page of a template."""
        lab_name = None if session is None else self.knowledge.name(session.lab)
        context = {"session": session, "lab_name": lab_name, "now": self.clock(), "position": self.hub.position, **more}
        content = self.templates.get_template(template).render(context)
        return HTMLResponse(content, status, {"cache-control": "no-store"})

    def add_error_pages(self, app: FastAPI) -> None:
        """Answer every error with a page, but for what machines ask."""
        add_problem_handlers(app)
        defect = app.exception_handlers[Exception]

        async def on_error(request: Request, error: Exception) -> Response:
            status, title, detail, errors = _told(error)
            if request.url.path.startswith(_OPERATION) and isinstance(error, HttpProblem):
                return error.response()
            return self.page("error.html", self.sessions.of(request), status, title=title, detail=detail, errors=errors)

        async def on_defect(request: Request, error: Exception) -> Response:
            await defect(request, error)  # type: ignore[misc]  # logs it
            title = "Something failed here"
            return self.page("error.html", None, 500, title=title, detail="The failure is logged.", errors=())

        async def on_nobody(request: Request, _error: Exception) -> Response:
            path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            answer = RedirectResponse(f"/sign-in?next={quote(path)}", HTTPStatus.SEE_OTHER)
            self.sessions.sign_out(answer)
            return answer

        for kind in (HttpProblem, RequestValidationError, HTTPException, AlertsAway, AlertsRefused, ReplayTookTooLong):
            app.add_exception_handler(kind, on_error)
        app.add_exception_handler(SignInNeeded, on_nobody)
        app.add_exception_handler(Exception, on_defect)


def not_found(detail: str) -> HttpProblem:
    """404."""
    return HttpProblem(HTTPStatus.NOT_FOUND, "not-found", detail)


def wrong_request(detail: str) -> HttpProblem:
    """422."""
    return HttpProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-request", detail)


def _told(error: Exception) -> tuple[int, str, str, tuple[str, ...]]:
    """Status, title, detail and what is wrong in particular."""
    found: tuple[int, str, str, tuple[str, ...]] = (HTTPStatus.INTERNAL_SERVER_ERROR, "Something failed here", "", ())
    if isinstance(error, HttpProblem):
        found = error.status, error.title, error.detail, tuple(f"{one.pointer} {one.detail}" for one in error.errors)
    elif isinstance(error, AlertsRefused):
        found = error.status, "Alerts refused this", error.detail, error.errors
    elif isinstance(error, AlertsAway):
        found = HTTPStatus.BAD_GATEWAY, "Alerts does not answer", f"{error}. Scores can be read meanwhile.", ()
    elif isinstance(error, ReplayTookTooLong):
        found = HTTPStatus.GATEWAY_TIMEOUT, "This took too long", f"{error}.", ()
    elif isinstance(error, RequestValidationError):
        errors = tuple(f"{'/'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
        found = HTTPStatus.UNPROCESSABLE_ENTITY, "Something in the address is wrong", "", errors
    elif isinstance(error, HTTPException):
        found = error.status_code, HTTPStatus(error.status_code).phrase, "", ()
    return found


class _Assets(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        if response.status_code in (HTTPStatus.OK, HTTPStatus.NOT_MODIFIED):
            response.headers["cache-control"] = "public, max-age=31536000, immutable"
        return response


def _digest(folder: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            found.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]
