"""HTTP: a lab's inbox. What calls for attention, who has acknowledged it, and what was not sent, with the reason."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from http import HTTPStatus
from typing import Annotated, Any, Final, Literal

from fastapi import FastAPI, Path, Query, Request, Response
from pydantic import Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncConnection

from neutrality.events.alert import Alert
from neutrality.events.vocabulary import Wire, iso
from neutrality.http import HttpProblem, problem_responses
from services.alerts.answers import LabId, body_of, json_answer, key_of, not_found, read_body
from services.alerts.database import Database
from services.alerts.decisions import store
from services.alerts.decisions.store import Attention, Due, TimerKey, Unsent
from services.alerts.domain.silence import Person
from services.alerts.outbox import alert_of

_PAGE: Final = 500
_TAG: Final[list[str | Enum]] = ["inbox"]
_ALERT_PATH: Final = "/labs/{lab}/alerts/{alert}"
_UNKNOWN: Final = problem_responses({404: "The lab has no such alert.", 422: "Something in the request is wrong."})
_REFUSED: Final = problem_responses(
    {
        404: "The lab has no such alert.",
        409: "It calls for no acknowledgement, or was not sent.",
        422: "Something in the request is wrong; `errors` says what.",
    }
)
AlertId = Annotated[str, Path(pattern=r"^al_[0-9a-f]{32}$", description="The alert's id.")]
Box = Literal["open", "acknowledged", "over", "held", "silenced", "inhibited", "minor", "cancelled"]


class Acknowledgement(Wire):
    """Who has seen to an alert."""

    by: Person
    note: Annotated[str, StringConstraints(max_length=2000), Field(description="What was done.")] = ""


@dataclass(frozen=True, slots=True)
class Inbox:
    """What the routes need; `add_to` adds them."""

    database: Database
    clock: Callable[[], datetime]

    def add_to(self, app: FastAPI) -> None:
        """Add the routes, after that of the stream."""

        @app.get("/labs/{lab}/inbox", tags=_TAG, summary="A lab's alerts by what became of them", response_class=Response)
        async def list_inbox(
            lab: LabId,
            box: Annotated[
                Box,
                Query(
                    description="open: sent, and nobody has acknowledged it; over: it no longer matters; the others were not sent (yet)."
                ),
            ] = "open",
            before: Annotated[int | None, Query(ge=1, le=2**62, description="`number` of the last one seen.")] = None,
            limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100,
        ) -> Response:
            """Newest first."""
            async with self.database.reading() as connection:
                if box in ("open", "acknowledged", "over"):
                    sent = await store.attention_page(connection, lab, box, before, limit)
                    found = [{"number": number, **_of_sent(alert, one)} for number, alert, one in sent]
                else:
                    unsent = await store.unsent_page(connection, lab, box, before, limit)
                    found = [{"number": one.number, **_of_unsent(one)} for one in unsent]
            return json_answer({"alerts": found})

        @app.get(_ALERT_PATH, tags=_TAG, summary="One alert, and what became of it", response_class=Response, responses=_UNKNOWN)
        async def get_alert(lab: LabId, alert: AlertId) -> Response:
            async with self.database.reading() as connection:
                found = await alert_of(connection, lab, alert)
                if found is not None:
                    attention = await store.attention(connection, lab, [found.reminds or found.id])
                    return json_answer(_of_sent(found, attention.get(found.reminds or found.id)))
                unsent = await store.unsent_alert(connection, lab, alert)
            if unsent is None:
                raise not_found(f"{lab} has no alert {alert}")
            return json_answer(_of_unsent(unsent))

        @app.put(
            _ALERT_PATH + "/acknowledgement",
            tags=_TAG,
            summary="Say that somebody has seen to an alert",
            response_class=Response,
            openapi_extra=body_of(Acknowledgement),
            responses=_REFUSED,
        )
        async def acknowledge(lab: LabId, alert: AlertId, request: Request) -> Response:
            """Ends its reminders and its escalation. A reminder's id stands for the alert's. The first to say so stands."""
            said = await read_body(request, Acknowledgement, "invalid-acknowledgement")
            async with self.database.transaction() as connection:
                found = await alert_of(connection, lab, alert)
                if found is None:
                    await self._why_not(connection, lab, alert)
                    raise not_found(f"{lab} has no alert {alert}")
                told = found if found.reminds is None else await alert_of(connection, lab, found.reminds) or found
                attention = (await store.attention(connection, lab, [told.id])).get(told.id)
                if attention is None:
                    raise HttpProblem(HTTPStatus.CONFLICT, "needs-no-acknowledgement", "It tells of nothing that was lost.")
                if attention.state != "acknowledged":
                    at_ms = store.to_ms(self.clock())
                    values = {
                        "state": "acknowledged",
                        "person": said.by,
                        "note": said.note,
                        "key": key_of(request),
                        "at_ms": at_ms,
                    }
                    await store.set_attention(connection, lab, told.id, **values)
                    keys = [TimerKey(kind, lab, told.subscription, told.id) for kind in ("remind", "escalate")]
                    none: dict[TimerKey, Due | None] = dict.fromkeys(keys)
                    await store.set_timers(connection, none)
                    attention = (await store.attention(connection, lab, [told.id]))[told.id]
            return json_answer(_of_sent(told, attention))

    async def _why_not(self, connection: AsyncConnection, lab: str, alert: str) -> None:
        unsent = await store.unsent_alert(connection, lab, alert)
        if unsent is not None:
            raise HttpProblem(HTTPStatus.CONFLICT, "not-sent", f"It was not sent: {unsent.outcome}, {unsent.why}.")


def _of_sent(alert: Alert, attention: Attention | None) -> dict[str, Any]:
    if attention is None:
        return {"alert": alert, "state": "sent", "why": None, "due": None, "reminders": 0, "acknowledged": None}
    acknowledged = None
    if attention.state == "acknowledged" and attention.at_ms is not None:
        at = iso(store.from_ms(attention.at_ms))
        acknowledged = {"by": attention.person, "at": at, "note": attention.note, "key": attention.key}
    return {
        "alert": alert,
        "state": attention.state,
        "why": None,
        "due": None,
        "reminders": attention.reminders,
        "acknowledged": acknowledged,
    }


def _of_unsent(one: Unsent) -> dict[str, Any]:
    due = None if one.due_ms is None else iso(store.from_ms(one.due_ms))
    return {"alert": one.alert, "state": one.outcome, "why": one.why, "due": due, "reminders": 0, "acknowledged": None}
