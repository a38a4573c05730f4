"""A lab's subscriptions: what it wants to be told. Alerts judges every word of them; what it refuses is shown with the field and the reason."""

from dataclasses import dataclass
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, FastAPI, Form
from starlette.responses import RedirectResponse, Response

from services.board.pages.web import Name, Web, wrong_request
from services.board.sessions import Session

_SHOWN_APART: Final = ("lab", "name")
_LONGEST_TERMS: Final = 200_000


@dataclass
class Subscriptions:
    """The routes; `add_to` adds them."""

    web: Web

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        web = self.web
        reader = Annotated[Session, Depends(web.reader)]

        @app.get("/subscriptions")
        async def show(session: reader) -> Response:
            found = (await web.alerts.get(session, "subscriptions"))["subscriptions"]
            vendors = sorted(((one.vendor, one.name) for one in web.knowledge.market.vendors.values()), key=lambda item: item[1])
            rows = [{**one, "terms": terms_text(one)} for one in found]
            return web.page("subscriptions.html", session, subscriptions=rows, vendors=vendors)

        @app.post("/subscriptions")
        async def make(
            session: reader,
            name: Annotated[str, Form(max_length=64)],
            vendors: Annotated[str, Form(max_length=20_000)] = "",
            drop_points: Annotated[float, Form(gt=0, le=100)] = 5.0,
        ) -> Response:
            body: dict[str, Any] = {"vendors": vendors.replace(",", " ").split() or None, "drop_points": drop_points}
            await web.alerts.put(session, "subscriptions", name, body=body)
            return RedirectResponse("/subscriptions", 303)

        @app.post("/subscriptions/{name}")
        async def change(session: reader, name: Name, terms: Annotated[str, Form(max_length=_LONGEST_TERMS)]) -> Response:
            try:
                body = orjson.loads(terms)
            except orjson.JSONDecodeError as error:
                raise wrong_request(f"The terms are not JSON: {error}.") from error
            if not isinstance(body, dict):
                raise wrong_request("The terms are not a JSON object.")
            await web.alerts.put(session, "subscriptions", name, body=body)
            return RedirectResponse("/subscriptions", 303)

        @app.post("/subscriptions/{name}/end")
        async def end(session: reader, name: Name) -> Response:
            await web.alerts.delete(session, "subscriptions", name)
            return RedirectResponse("/subscriptions", 303)


def terms_text(document: dict[str, Any]) -> str:
    """The terms as JSON, to be read and changed."""
    terms = {name: value for name, value in document.items() if name not in _SHOWN_APART}
    return orjson.dumps(terms, option=orjson.OPT_INDENT_2).decode()
