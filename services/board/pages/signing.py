"""Signing in and out: by a lab's API key, or by OpenID Connect."""

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final
from urllib.parse import urlsplit

import structlog
from fastapi import FastAPI, Form, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from services.board.alerts_api import AlertsAway, AlertsRefused
from services.board.oidc import Oidc, OidcFailed
from services.board.pages.web import Web
from services.board.sessions import LAB_PATTERN, Session

log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)

_ANYBODY: Final = "neutrality-board"  # a lab that nobody is, to see whether alerts asks for a key at all
Next = Annotated[str, Query(alias="next", max_length=2000)]


@dataclass(frozen=True, slots=True)
class SignIn:
    """The routes; `add_to` adds them. `lab_keys` are the keys under which those who came by OIDC reach alerts."""

    web: Web
    oidc: Oidc | None
    lab_keys: dict[str, str]

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        self._add_key(app)
        if self.oidc is not None:
            self._add_oidc(app, self.oidc)

    def _add_key(self, app: FastAPI) -> None:
        @app.get("/sign-in")
        async def show(next_: Next = "/") -> Response:
            return await self._form(next_)

        @app.post("/sign-in")
        async def sign_in(
            lab: Annotated[str, Form(max_length=128)] = "",
            key: Annotated[str, Form(max_length=500)] = "",
            next_: Annotated[str, Form(alias="next", max_length=2000)] = "/",
        ) -> Response:
            session = Session(lab.strip(), key.strip() or None)
            if not re.fullmatch(LAB_PATTERN, session.lab):
                return await self._form(next_, "Name your lab by its id: lower-case letters, digits and . _ -")
            if session.key is None and not self.web.settings.may_be_anonymous:
                return await self._form(next_, "Give your lab's API key.", lab=session.lab)
            try:
                await self.web.alerts.get(session, "subscriptions")
            except AlertsRefused as error:
                self.web.metrics.sign_ins.labels("refused").inc()
                log.warning("sign_in_refused", kind=error.kind)
                return await self._form(next_, error.detail, lab=session.lab, status=HTTPStatus.FORBIDDEN)
            except AlertsAway as error:
                return await self._form(next_, f"{error}; try again soon.", lab=session.lab, status=HTTPStatus.BAD_GATEWAY)
            self.web.metrics.sign_ins.labels("key").inc()
            return self._signed_in(session, next_)

        @app.post("/sign-out")
        async def sign_out() -> Response:
            answer = RedirectResponse("/sign-in", HTTPStatus.SEE_OTHER)
            self.web.sessions.sign_out(answer)
            return answer

    def _add_oidc(self, app: FastAPI, oidc: Oidc) -> None:
        @app.get("/oidc/start")
        async def start(next_: Next = "/") -> Response:
            try:
                address, flow = await oidc.begin()
            except OidcFailed as error:
                return await self._refused(error)
            answer = RedirectResponse(address, HTTPStatus.SEE_OTHER)
            self.web.sessions.keep_flow(answer, {**flow, "next": _within(next_)})
            return answer

        @app.get("/oidc/callback")
        async def callback(request: Request) -> Response:
            flow = self.web.sessions.flow_of(request) or {"state": "", "next": "/"}
            try:
                claims = await oidc.finish(flow, dict(request.query_params))
                session = self._session_of(claims)
            except OidcFailed as error:
                return await self._refused(error)
            if not await self.web.is_taken(session):
                return await self._refused(OidcFailed(f"the board's key for {session.lab} is not taken by alerts"))
            self.web.metrics.sign_ins.labels("oidc").inc()
            return self._signed_in(session, flow["next"])

    def _session_of(self, claims: dict[str, object]) -> Session:
        name = self.web.settings.oidc_lab_claim
        lab = claims.get(name)
        if not isinstance(lab, str) or not re.fullmatch(LAB_PATTERN, lab):
            raise OidcFailed(f"the provider does not tell your lab: the ID token has no claim {name!r} with a lab's id")
        key = self.lab_keys.get(lab)
        if key is None and not self.web.settings.may_be_anonymous:
            raise OidcFailed(f"the board has no key for {lab}: its operator must put one into BOARD_LAB_KEYS_FILE")
        person = claims.get("email") or claims.get("preferred_username") or claims.get("sub")
        return Session(lab, key, None if person is None else str(person)[:200])

    async def _refused(self, error: OidcFailed) -> Response:
        self.web.metrics.sign_ins.labels("refused").inc()
        log.warning("sign_in_refused", kind="oidc", reason=str(error))
        return await self._form("/", f"Signing in failed: {error}.", status=HTTPStatus.FORBIDDEN)

    def _signed_in(self, session: Session, next_: str) -> Response:
        answer = RedirectResponse(_within(next_), HTTPStatus.SEE_OTHER)
        self.web.sessions.sign_out(answer)
        self.web.sessions.sign_in(answer, session)
        return answer

    async def _form(self, next_: str, problem: str = "", *, lab: str = "", status: int = HTTPStatus.OK) -> Response:
        try:
            await self.web.alerts.get(Session(_ANYBODY, None), "subscriptions")
            is_open = self.web.settings.may_be_anonymous
        except (AlertsRefused, AlertsAway):
            is_open = False
        if problem and status == HTTPStatus.OK:
            status = HTTPStatus.UNPROCESSABLE_ENTITY
        return self.web.page(
            "sign_in.html",
            None,
            status,
            next=_within(next_),
            problem=problem,
            chosen=lab,
            is_open=is_open,
            has_oidc=self.oidc is not None,
            labs=self.web.knowledge.labs_by_name(),
        )


def _within(address: str) -> str:
    """A path of the board; anything else, such as another site, becomes the overview."""
    parts = urlsplit(address)
    inside = not parts.scheme and not parts.netloc and address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if inside and "\n" not in address and "\r" not in address else "/"
