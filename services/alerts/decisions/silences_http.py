"""HTTP: a lab's silences."""

import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import FastAPI, Path, Query, Request, Response

from neutrality.events.vocabulary import iso
from neutrality.http import Fault, HttpProblem, problem_responses
from services.alerts.answers import LabId, body_of, json_answer, not_found, read_body
from services.alerts.database import Database
from services.alerts.decisions import store
from services.alerts.domain.silence import Silence, SilenceTerms
from services.alerts.intake import Intake

MAX_SILENCES: Final = 200  # of a lab that have not ended
LONGEST: Final = timedelta(days=366)
_PATH: Final = "/labs/{lab}/silences"
_TAG: Final[list[str | Enum]] = ["silences"]
_REFUSED: Final = problem_responses(
    {409: "The lab has too many silences.", 422: "Something in the request is wrong; `errors` says what."}
)
_UNKNOWN: Final = problem_responses({404: "There is no such silence.", 422: "Something in the request is wrong."})
SilenceId = Annotated[str, Path(pattern=r"^si_[0-9a-f]{24}$", description="The silence's id.")]


def add_silences(app: FastAPI, database: Database, intake: Intake, clock: Callable[[], datetime]) -> None:
    """Add the routes."""

    @app.post(
        _PATH,
        tags=_TAG,
        summary="Mute some alerts for a time",
        status_code=HTTPStatus.CREATED,
        response_class=Response,
        openapi_extra=body_of(SilenceTerms),
        responses=_REFUSED,
    )
    async def post_silence(lab: LabId, request: Request) -> Response:
        """What it mutes is kept in the inbox; what still holds when it ends is sent then."""
        terms = await read_body(request, SilenceTerms, "invalid-silence")
        now = clock()
        starts = terms.starts or now
        if not now < terms.ends <= starts + LONGEST:
            fault = Fault("/ends", f"after now, and at most {LONGEST.days} days after the start")
            raise HttpProblem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-silence", "Nothing was changed; see `errors`.", errors=[fault]
            )
        silence = Silence(f"si_{secrets.token_hex(12)}", lab, terms, starts, terms.ends)
        async with intake.changing() as connection:
            if len(await store.silences(connection, lab, after_ms=store.to_ms(now))) >= MAX_SILENCES:
                raise HttpProblem(
                    HTTPStatus.CONFLICT, "too-many-silences", f"A lab has {MAX_SILENCES} at most that have not ended."
                )
            await store.put_silence(connection, silence)
        return json_answer(_document(silence, now), HTTPStatus.CREATED)

    @app.get(_PATH, tags=_TAG, summary="A lab's silences", response_class=Response)
    async def list_silences(
        lab: LabId, ended: Annotated[bool, Query(description="Those that have ended too.")] = False
    ) -> Response:
        """Those that have not ended, the next to end first."""
        now = clock()
        async with database.reading() as connection:
            found = await store.silences(connection, lab, after_ms=0 if ended else store.to_ms(now))
        return json_answer({"silences": [_document(one, now) for one in found]})

    @app.delete(
        _PATH + "/{silence}",
        tags=_TAG,
        summary="End a silence now",
        status_code=HTTPStatus.NO_CONTENT,
        response_class=Response,
        responses=_UNKNOWN,
    )
    async def end_silence(lab: LabId, silence: SilenceId) -> Response:
        """What it muted and still holds is sent."""
        now = clock()
        async with intake.changing() as connection:
            known = await store.silences(connection, lab, after_ms=store.to_ms(now))
            found = next((one for one in known if one.id == silence), None)
            if found is not None:
                await store.put_silence(connection, replace(found, ends=now))
        if found is None:
            raise not_found(f"{lab} has no silence {silence} that has not ended")
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _document(silence: Silence, now: datetime) -> dict[str, Any]:
    stands = "ended" if silence.ends <= now else "active" if silence.starts <= now else "pending"
    return {
        "id": silence.id,
        **silence.terms.model_dump(mode="json"),
        "starts": iso(silence.starts),
        "ends": iso(silence.ends),
        "state": stands,
    }
