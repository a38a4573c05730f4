"""A lab's inbox: what calls for attention, and silences, each with who and why."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, Literal, get_args

from fastapi import Depends, FastAPI, Form, Path, Query
from starlette.responses import RedirectResponse, Response

from neutrality.events.vocabulary import iso
from services.board.pages.web import Web
from services.board.sessions import Session

_PAGE: Final = 50
Box = Literal["open", "acknowledged", "over", "held", "silenced", "inhibited", "minor", "cancelled"]
BOXES: Final[tuple[Box, ...]] = get_args(Box)
Field = Literal["vendor", "rule", "category", "subscription", "severity"]
AlertId = Annotated[str, Path(pattern=r"^al_[0-9a-f]{32}$")]
SilenceId = Annotated[str, Path(pattern=r"^si_[0-9a-f]{24}$")]
By = Annotated[str, Form(max_length=200)]


@dataclass
class InboxPages:
    """The routes; `add_to` adds them."""

    web: Web

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        self._add_alerts(app)
        self._add_silences(app)

    def _add_alerts(self, app: FastAPI) -> None:
        web = self.web
        reader = Annotated[Session, Depends(web.reader)]

        @app.get("/alerts")
        async def show(session: reader, box: Box = "open", before: Annotated[int | None, Query(ge=1)] = None) -> Response:
            with web.metrics.page.labels("alerts").time():
                params: dict[str, str | int] = {"box": box, "limit": _PAGE}
                if before is not None:
                    params["before"] = before
                found = (await web.alerts.get(session, "inbox", **params))["alerts"]
                older = found[-1]["number"] if len(found) == _PAGE else None
                return web.page("alerts.html", session, entries=found, box=box, boxes=BOXES, older=older, who=_who(session))

        @app.post("/alerts/{alert}/acknowledge")
        async def acknowledge(
            session: reader, alert: AlertId, by: By, note: Annotated[str, Form(max_length=2000)] = ""
        ) -> Response:
            body = {"by": by.strip(), "note": note.strip()}
            await web.alerts.put(session, "alerts", alert, "acknowledgement", body=body)
            return RedirectResponse("/alerts", 303)

    def _add_silences(self, app: FastAPI) -> None:
        web = self.web
        reader = Annotated[Session, Depends(web.reader)]

        @app.get("/silences")
        async def show(
            session: reader, vendor: Annotated[str, Query(max_length=128)] = "", rule: Annotated[str, Query(max_length=40)] = ""
        ) -> Response:
            found = (await web.alerts.get(session, "silences", ended="true"))["silences"]
            return web.page("silences.html", session, silences=found, vendor=vendor, rule=rule, who=_who(session))

        @app.post("/silences")
        async def make(
            session: reader,
            by: By,
            reason: Annotated[str, Form(max_length=500)],
            hours: Annotated[float, Form(gt=0, le=24 * 366)],
            vendor: Annotated[str, Form(max_length=2000)] = "",
            rule: Annotated[str, Form(max_length=400)] = "",
        ) -> Response:
            chosen: tuple[tuple[Field, str], ...] = (("vendor", vendor), ("rule", rule))
            matchers = [{"field": field, "values": text.replace(",", " ").split()} for field, text in chosen if text.strip()]
            ends = web.wall() + timedelta(hours=hours)
            body: dict[str, Any] = {"matchers": matchers, "ends": iso(ends), "reason": reason.strip(), "by": by.strip()}
            await web.alerts.post(session, "silences", body=body)
            return RedirectResponse("/silences", 303)

        @app.post("/silences/{silence}/end")
        async def end(session: reader, silence: SilenceId) -> Response:
            await web.alerts.delete(session, "silences", silence)
            return RedirectResponse("/silences", 303)


def _who(session: Session) -> str:
    return session.person or ""
