"""A lab's endpoints: where its alerts go, the log of deliveries, tests and replays."""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, FastAPI, Form, Query
from starlette.responses import RedirectResponse, Response

from services.board.pages.web import Name, Web
from services.board.sessions import Session

_LOG_PAGE: Final = 50
Text = Annotated[str, Form(max_length=2000)]
Action = Literal["enabled", "confirmation"]


@dataclass
class EndpointPages:
    """The routes; `add_to` adds them."""

    web: Web

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        self._add_list(app)
        self._add_actions(app)

    def _add_list(self, app: FastAPI) -> None:
        web = self.web
        reader = Annotated[Session, Depends(web.reader)]

        @app.get("/endpoints")
        async def show(session: reader) -> Response:
            found = (await web.alerts.get(session, "endpoints"))["endpoints"]
            return web.page("endpoints.html", session, endpoints=found)

        @app.post("/endpoints")
        async def make(
            session: reader,
            name: Annotated[str, Form(max_length=64)],
            kind: Annotated[Literal["webhook", "email", "apprise"], Form()],
            target: Text,
            subscriptions: Text = "",
            description: Annotated[str, Form(max_length=500)] = "",
        ) -> Response:
            chosen = subscriptions.replace(",", " ").split() or None
            body: dict[str, Any] = {"kind": kind, "subscriptions": chosen, "description": description.strip()}
            body["address" if kind == "email" else "url"] = target.strip()
            made = await web.alerts.put(session, "endpoints", name, body=body)
            return await self._one(session, name, secret=made.get("secret"), confirmation=made.get("confirmation"))

        @app.get("/endpoints/{name}")
        async def show_one(session: reader, name: Name, before: Annotated[int | None, Query(ge=1)] = None) -> Response:
            return await self._one(session, name, before=before)

    def _add_actions(self, app: FastAPI) -> None:
        web = self.web
        reader = Annotated[Session, Depends(web.reader)]

        @app.post("/endpoints/{name}/test")
        async def test(session: reader, name: Name) -> Response:
            return await self._one(session, name, tested=await web.alerts.post(session, "endpoints", name, "test"))

        @app.post("/endpoints/{name}/secret")
        async def rotate(session: reader, name: Name) -> Response:
            made = await web.alerts.post(session, "endpoints", name, "secret")
            return await self._one(session, name, secret=made["secret"])

        @app.post("/endpoints/{name}/confirmed")
        async def confirm(session: reader, name: Name, code: Annotated[str, Form(max_length=100)]) -> Response:
            await web.alerts.post(session, "endpoints", name, "confirmed", body={"code": code.strip()})
            return RedirectResponse(f"/endpoints/{name}", 303)

        @app.post("/endpoints/{name}/replay")
        async def replay(
            session: reader,
            name: Name,
            first: Annotated[str, Form(max_length=100)],
            last: Annotated[str, Form(max_length=100)] = "",
        ) -> Response:
            body = {"first": first.strip(), "last": last.strip() or None}
            found = await web.alerts.post(session, "endpoints", name, "replay", body=body)
            return await self._one(session, name, replayed=int(found["alerts"]))

        @app.post("/endpoints/{name}/do/{action}")
        async def act(session: reader, name: Name, action: Action) -> Response:
            await web.alerts.post(session, "endpoints", name, action)
            return RedirectResponse(f"/endpoints/{name}", 303)

        @app.post("/endpoints/{name}/remove")
        async def remove(session: reader, name: Name) -> Response:
            await web.alerts.delete(session, "endpoints", name)
            return RedirectResponse("/endpoints", 303)

    async def _one(self, session: Session, name: str, *, before: int | None = None, **told: Any) -> Response:
        """One endpoint with its log, and what came of the last action."""
        found = await self.web.alerts.get(session, "endpoints", name)
        params: dict[str, str | int] = {"limit": _LOG_PAGE} if before is None else {"limit": _LOG_PAGE, "before": before}
        attempts = (await self.web.alerts.get(session, "endpoints", name, "attempts", **params))["attempts"]
        older = attempts[-1]["number"] if len(attempts) == _LOG_PAGE else None
        nothing = {"secret": None, "confirmation": None, "tested": None, "replayed": None}
        return self.web.page("endpoint.html", session, endpoint=found, attempts=attempts, older=older, **(nothing | told))
