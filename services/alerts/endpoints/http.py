"""HTTP: a lab's endpoints, their secrets, the log of deliveries, tests and replays."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request, Response
from pydantic import Field

from neutrality.events.vocabulary import Wire, iso
from neutrality.http import HttpProblem, problem_responses
from services.alerts import outbox
from services.alerts.answers import LabId, Name, body_of, json_answer, not_found, read_body
from services.alerts.domain.attempts import Attempt
from services.alerts.domain.endpoint import TERMS, EmailTerms, Endpoint
from services.alerts.endpoints import store
from services.alerts.endpoints.confirmation import confirmed
from services.alerts.endpoints.mail_pages import add_mail_pages
from services.alerts.endpoints.making import Endpoints, invalid
from services.alerts.endpoints.sealing import new_secret

OLD_SECRET_KEPT: Final = timedelta(hours=24)
_PAGE: Final = 500
_PATH: Final = "/labs/{lab}/endpoints"
_404: Final = {404: "There is none of that name.", 422: "Something in the request is wrong."}
_UNKNOWN: Final = problem_responses(_404)
_CONFLICT: Final = problem_responses(_404 | {409: "Not with an endpoint of this kind, or as it stands."})
_LIMITED: Final = problem_responses({429: "Too many confirmations were mailed within the hour."})
_REFUSED: Final = problem_responses(
    {409: "It is of another kind, the lab has too many, or no mail is sent here.", 422: "Something in the request is wrong."}
)


class Replay(Wire):
    """Which alerts are sent again, by their ids, in the order of `GET /labs/{lab}/alerts`."""

    first: Annotated[str, Field(max_length=100, description="The first alert.")]
    last: Annotated[str | None, Field(max_length=100, description="The last one, included; null: the first alone.")] = None


class Confirmation(Wire):
    """The code that was mailed to the address."""

    code: Annotated[str, Field(max_length=100)]


@dataclass(frozen=True, slots=True)
class EndpointsApi:
    """`add_to` adds the routes."""

    endpoints: Endpoints

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        self._add_terms(app)
        self._add_secrets(app)
        self._add_deliveries(app)
        add_mail_pages(app, self.endpoints)

    def _add_terms(self, app: FastAPI) -> None:
        @app.put(
            _PATH + "/{name}",
            tags=["endpoints"],
            summary="Make an endpoint (webhook, email, apprise), or give it new terms",
            response_class=Response,
            openapi_extra=body_of(TERMS),
            responses={
                201: {"description": "It is new; a webhook's `secret` is shown now and never again."},
                200: {"description": "It was there."},
                **_REFUSED,
                **_LIMITED,
            },
        )
        async def put_endpoint(lab: LabId, name: Name, request: Request) -> Response:
            """Alerts that are raised from now on are sent there; one that was disabled stays so. A new address is mailed a confirmation first."""
            made = await self.endpoints.make(lab, name, await read_body(request, TERMS, "invalid-endpoint"))
            shown = _document(made.endpoint)
            if made.secret is not None:
                shown["secret"] = made.secret
            if made.confirmation is not None:
                shown["confirmation"] = _told(made.confirmation)
            return json_answer(shown, HTTPStatus.CREATED if made.is_new else HTTPStatus.OK)

        @app.get(_PATH, tags=["endpoints"], summary="A lab's endpoints", response_class=Response)
        async def list_endpoints(lab: LabId) -> Response:
            return json_answer({"endpoints": [_document(one) for one in await self.endpoints.of(lab)]})

        @app.get(_PATH + "/{name}", tags=["endpoints"], summary="One endpoint", response_class=Response, responses=_UNKNOWN)
        async def get_endpoint(lab: LabId, name: Name) -> Response:
            found = await self.endpoints.find(lab, name)
            async with self.endpoints.database.reading() as connection:
                counted = await store.counts(connection, (lab, name))
            states = {state: counted.get(state, 0) for state in ("pending", "delivered", "failed")}
            return json_answer(_document(found) | {"deliveries": states})

        @app.delete(
            _PATH + "/{name}",
            tags=["endpoints"],
            summary="Remove an endpoint, with its log",
            status_code=HTTPStatus.NO_CONTENT,
            response_class=Response,
            responses=_UNKNOWN,
        )
        async def delete_endpoint(lab: LabId, name: Name) -> Response:
            await self.endpoints.remove(lab, name)
            return Response(status_code=HTTPStatus.NO_CONTENT)

    def _add_secrets(self, app: FastAPI) -> None:
        @app.post(
            _PATH + "/{name}/secret",
            tags=["endpoints"],
            summary="A webhook's new secret",
            response_class=Response,
            responses=_CONFLICT,
        )
        async def rotate_secret(lab: LabId, name: Name) -> Response:
            """Shown now and never again. For a day requests carry a signature by the old one too."""
            found, now = await self.endpoints.find(lab, name), self.endpoints.clock()
            if found.terms.kind != "webhook":
                raise _conflict("only a webhook has a secret that is shown")
            until = now + OLD_SECRET_KEPT
            old = [
                replace(one, until=min(one.until or until, until))
                for one in found.secrets
                if one.until is None or now < one.until
            ]
            fresh = new_secret()
            await self.endpoints.put(replace(found, secrets=(fresh, *old)))
            return json_answer({"secret": fresh.secret, "old_until": iso(until)})

        @app.post(
            _PATH + "/{name}/confirmation",
            tags=["endpoints"],
            summary="Mail the confirmation again",
            response_class=Response,
            responses=_CONFLICT | _LIMITED,
        )
        async def ask_again(lab: LabId, name: Name) -> Response:
            """With a new code; earlier ones end. At most five an hour to one address."""
            found = await self.endpoints.find(lab, name)
            if not isinstance(found.terms, EmailTerms) or not found.awaits_confirmation:
                raise _conflict("it does not wait for a confirmation")
            made = await self.endpoints.ask(found, found.terms, is_new=False)
            return json_answer(_told(made.confirmation) if made.confirmation else {})

        @app.post(
            _PATH + "/{name}/confirmed",
            tags=["endpoints"],
            summary="Confirm an address with the code that was mailed there",
            response_class=Response,
            openapi_extra=body_of(Confirmation),
            responses=_CONFLICT,
        )
        async def confirm(lab: LabId, name: Name, request: Request) -> Response:
            """Alerts that are raised from now on are sent there."""
            given = await read_body(request, Confirmation, "invalid-confirmation")
            found = await self.endpoints.find(lab, name)
            changed = confirmed(found, given.code, self.endpoints.clock())
            if changed is None:
                raise invalid("/code", "not the code that was mailed last, or it has ended; POST …/confirmation mails a new one")
            if changed != found:
                await self.endpoints.put(changed)
            return json_answer(_document(changed))

        @app.post(
            _PATH + "/{name}/enabled",
            tags=["endpoints"],
            summary="Send to a disabled endpoint again",
            response_class=Response,
            responses=_CONFLICT,
        )
        async def enable_endpoint(lab: LabId, name: Name) -> Response:
            """What waited when it was disabled is sent now; for what was raised since, ask for a replay."""
            found = _usable(await self.endpoints.find(lab, name))
            changed = replace(found, disabled=None, failing_since_ms=None)
            await self.endpoints.put(changed)
            return json_answer(_document(changed))

    def _add_deliveries(self, app: FastAPI) -> None:
        @app.post(
            _PATH + "/{name}/test",
            tags=["endpoints"],
            summary="Send a test message",
            response_class=Response,
            responses=_CONFLICT,
        )
        async def test_endpoint(lab: LabId, name: Name) -> Response:
            """Sent once, at once, even if the endpoint is disabled; the answer tells what came of it."""
            return json_answer(_told(await self.endpoints.worker.test(_usable(await self.endpoints.find(lab, name)))))

        @app.post(
            _PATH + "/{name}/replay",
            tags=["endpoints"],
            summary="Send alerts again",
            response_class=Response,
            openapi_extra=body_of(Replay),
            status_code=HTTPStatus.ACCEPTED,
            responses=_CONFLICT,
        )
        async def replay(lab: LabId, name: Name, request: Request) -> Response:
            """Under the ids that they had, whatever became of them before and whichever subscription they are of."""
            wanted = await read_body(request, Replay, "invalid-replay")
            _usable(await self.endpoints.find(lab, name))
            database = self.endpoints.database
            ends = (wanted.first, wanted.last or wanted.first)
            places = [await database.read(outbox.position_of, lab, identity) for identity in ends]
            if places[0] is None or places[1] is None:
                raise not_found(f"{lab} has no such alert")
            async with database.transaction() as connection:
                now_ms = int(self.endpoints.clock().timestamp() * 1000)
                count = await store.deliver_again(connection, (lab, name), places[0], places[1], now_ms)
            return json_answer({"alerts": count}, HTTPStatus.ACCEPTED)

        @app.get(
            _PATH + "/{name}/attempts",
            tags=["endpoints"],
            summary="The log of deliveries, newest first",
            response_class=Response,
            responses=_UNKNOWN,
        )
        async def list_attempts(
            lab: LabId,
            name: Name,
            before: Annotated[int | None, Query(ge=1, le=2**62, description="Number of the last attempt seen.")] = None,
            limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100,
        ) -> Response:
            """`status` is HTTP's, or SMTP's reply code."""
            await self.endpoints.find(lab, name)
            async with self.endpoints.database.reading() as connection:
                rows = await store.attempts(connection, (lab, name), before, limit)
            return json_answer({"attempts": [_attempt(row) for row in rows]})


def _usable(found: Endpoint) -> Endpoint:
    if found.awaits_confirmation:
        raise _conflict("nothing is sent there until its address is confirmed")
    return found


def _conflict(detail: str) -> HttpProblem:
    return HttpProblem(HTTPStatus.CONFLICT, "not-with-this-endpoint", f"{detail[0].upper()}{detail[1:]}.")


def _document(found: Endpoint) -> dict[str, Any]:
    return {"lab": found.lab, "name": found.name, **found.terms.model_dump(mode="json"), "disabled": found.disabled}


def _told(attempt: Attempt) -> dict[str, Any]:
    return {
        "succeeded": attempt.succeeded,
        "status": attempt.status,
        "fault": attempt.fault,
        "duration_ms": round(attempt.duration_s * 1000.0, 1),
    }


def _attempt(row: dict[str, Any]) -> dict[str, Any]:
    waits = row["state"] == "pending"
    return {
        "number": row["number"],
        "alert": row["alert"],
        "at": _time(row["at_ms"]),
        "status": row["status"],
        "fault": row["fault"],
        "duration_ms": row["duration_ms"],
        "delivery": row["state"] or "test",
        "next_attempt": _time(row["due_ms"]) if waits else None,
    }


def _time(at_ms: int) -> str:
    return iso(datetime.fromtimestamp(at_ms / 1000.0, UTC))
