"""The pages behind a mail's links. The code in the link is the key: these routes ask for no other."""

from http import HTTPStatus
from typing import Annotated, Final, Literal

from fastapi import FastAPI, Path
from fastapi.responses import HTMLResponse

from neutrality.http import HttpProblem
from services.alerts.answers import LabId, Name, not_found
from services.alerts.channels.rendering import page
from services.alerts.endpoints.confirmation import confirmed, unsubscribed
from services.alerts.endpoints.making import Endpoints

PREFIX: Final = "/mail/"
_PATH: Final = PREFIX + "{lab}/{name}/{code}/{what}"
_WORDS: Final = {
    "confirm": ("Send the alerts of {lab} to this address", "Alerts of {lab} are sent to this address from now on."),
    "unsubscribe": ("Send no more alerts of {lab} to this address", "No more alerts of {lab} are sent to this address."),
}
_RESPONSES: Final[dict[int | str, dict[str, str]]] = {404: {"description": "The link does not hold, or no longer."}}

Code = Annotated[str, Path(pattern=r"^[a-z2-7]{32}$", description="As it was mailed.")]
What = Annotated[Literal["confirm", "unsubscribe"], Path(description="What is answered.")]


def add_mail_pages(app: FastAPI, endpoints: Endpoints) -> None:
    """Add the routes."""

    @app.get(_PATH, tags=["mail"], summary="A page with a button", response_class=HTMLResponse, responses=_RESPONSES)
    async def show(lab: LabId, name: Name, code: Code, what: What) -> HTMLResponse:  # noqa: ARG001 - the form's address is the page's
        """Changes nothing: whatever scans mails opens links too. Says the same whether or not the code holds."""
        words = _WORDS[what][0].format(lab=lab)
        return HTMLResponse(page(f"<form method='post'><p>{words}?</p><button>{words}</button></form>"))

    @app.post(_PATH, tags=["mail"], summary="Answer a mail", response_class=HTMLResponse, responses=_RESPONSES)
    async def answer(lab: LabId, name: Name, code: Code, what: What) -> HTMLResponse:
        """Also as mail clients do with one click (RFC 8058)."""
        answered = confirmed if what == "confirm" else unsubscribed
        try:
            found = await endpoints.find(lab, name)
        except HttpProblem:
            found = None
        changed = None if found is None else answered(found, code, endpoints.clock())
        if found is None or changed is None:
            raise not_found("This link does not hold, or no longer.")
        if changed != found:
            await endpoints.put(changed, tell=what == "unsubscribe")
        return HTMLResponse(page(f"<p>{_WORDS[what][1].format(lab=lab)}</p>"), HTTPStatus.OK)
