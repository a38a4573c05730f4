"""HTTP: a lab's webhook endpoints, their secrets, the log of deliveries, tests and replays."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from ipaddress import ip_address
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request, Response
from pydantic import Field

from neutrality.events.vocabulary import Wire, iso
from neutrality.http import Fault, HttpProblem, problem_responses
from services.alerts import outbox
from services.alerts.answers import LabId, Name, json_answer, not_found, read_body
from services.alerts.database import Database
from services.alerts.domain.addresses import Network, refusal
from services.alerts.domain.endpoint import Endpoint, EndpointTerms, Secret
from services.alerts.intake import Intake
from services.alerts.webhooks import store
from services.alerts.webhooks.sealing import Sealer, new_secret
from services.alerts.webhooks.worker import Webhooks

MAX_ENDPOINTS: Final = 50  # of a lab
OLD_SECRET_KEPT: Final = timedelta(hours=24)
_PAGE: Final = 500
_PATH: Final = "/labs/{lab}/endpoints"
_UNKNOWN: Final = problem_responses({404: "There is none of that name.", 422: "Something in the request is wrong."})
_REFUSED: Final = problem_responses({409: "The lab has too many endpoints.", 422: "Something in the request is wrong."})


class Replay(Wire):
    """Which alerts are sent again, by their ids, in the order of `GET /labs/{lab}/alerts`."""

    first: Annotated[str, Field(max_length=100, description="The first alert.")]
    last: Annotated[str | None, Field(max_length=100, description="The last one, included; null: the first alone.")] = None


def _body(model: type[Wire]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": model.model_json_schema()}}}}


@dataclass(frozen=True, slots=True)
class EndpointsApi:
    """What the routes need; `add_to` adds them."""

    database: Database
    intake: Intake
    sealer: Sealer
    webhooks: Webhooks
    clock: Callable[[], datetime]
    allow_http: bool
    allowed: tuple[Network, ...]

    async def find(self, lab: str, name: str) -> Endpoint:
        """One endpoint. Raises HttpProblem."""
        async with self.database.reading() as connection:
            found = next(iter(await store.endpoints(connection, self.sealer, lab, name)), None)
        if found is None:
            raise not_found(f"{lab} has no endpoint {name!r}")
        return found

    async def put(self, endpoint: Endpoint) -> None:
        """Write it, and serve it as it is now."""
        async with self.intake.changing() as connection:
            await store.put(connection, endpoint, self.sealer)

    def check(self, terms: EndpointTerms) -> None:
        """Raises HttpProblem: nothing may be sent to this URL. A name is judged when it is connected to, each time."""
        fault = None
        if not terms.is_https and not self.allow_http:
            fault = "https alone: the operator has not set ALERTS_WEBHOOK_ALLOW_HTTP"
        address = terms.literal_address()
        if address is not None and (why := refusal(address, self.allowed)) is not None:
            fault = f"{ip_address(int(address))} is {why}; name a host on the public Internet"
        if fault is not None:
            raise HttpProblem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-endpoint", "Nothing was changed.", errors=[Fault("/url", fault)]
            )

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        self._add_terms(app)
        self._add_actions(app)

    def _add_terms(self, app: FastAPI) -> None:
        @app.put(
            _PATH + "/{name}",
            tags=["webhooks"],
            summary="Make a webhook endpoint, or give it new terms",
            response_class=Response,
            openapi_extra=_body(EndpointTerms),
            responses={
                201: {"description": "It is new; `secret` is shown now and never again."},
                200: {"description": "It was there."},
                **_REFUSED,
            },
        )
        async def put_endpoint(lab: LabId, name: Name, request: Request) -> Response:
            """Alerts that are raised from now on are posted to it, signed as Standard Webhooks has it. One that was disabled stays so."""
            terms = await read_body(request, EndpointTerms, "invalid-endpoint")
            self.check(terms)
            async with self.database.reading() as connection:
                known = {found.name: found for found in await store.endpoints(connection, self.sealer, lab)}
            if (found := known.get(name)) is not None:
                await self.put(replace(found, terms=terms))
                return json_answer(_document(replace(found, terms=terms)))
            if len(known) >= MAX_ENDPOINTS:
                raise HttpProblem(HTTPStatus.CONFLICT, "too-many-endpoints", f"A lab has {MAX_ENDPOINTS} endpoints at most.")
            made = Endpoint(lab, name, terms, (new_secret(),))
            await self.put(made)
            return json_answer(_document(made) | {"secret": made.secrets[0].secret}, HTTPStatus.CREATED)

        @app.get(_PATH, tags=["webhooks"], summary="A lab's webhook endpoints", response_class=Response)
        async def list_endpoints(lab: LabId) -> Response:
            async with self.database.reading() as connection:
                found = await store.endpoints(connection, self.sealer, lab)
            return json_answer({"endpoints": [_document(one) for one in found]})

        @app.get(_PATH + "/{name}", tags=["webhooks"], summary="One endpoint", response_class=Response, responses=_UNKNOWN)
        async def get_endpoint(lab: LabId, name: Name) -> Response:
            found = await self.find(lab, name)
            async with self.database.reading() as connection:
                counted = await store.counts(connection, (lab, name))
            states = {state: counted.get(state, 0) for state in ("pending", "delivered", "failed")}
            return json_answer(_document(found) | {"deliveries": states})

        @app.delete(
            _PATH + "/{name}",
            tags=["webhooks"],
            summary="Remove an endpoint, with its log",
            status_code=HTTPStatus.NO_CONTENT,
            response_class=Response,
            responses=_UNKNOWN,
        )
        async def delete_endpoint(lab: LabId, name: Name) -> Response:
            async with self.intake.changing() as connection:
                gone = await store.remove(connection, (lab, name))
            if not gone:
                raise not_found(f"{lab} has no endpoint {name!r}")
            return Response(status_code=HTTPStatus.NO_CONTENT)

    def _add_actions(self, app: FastAPI) -> None:
        @app.post(
            _PATH + "/{name}/secret", tags=["webhooks"], summary="A new secret", response_class=Response, responses=_UNKNOWN
        )
        async def rotate_secret(lab: LabId, name: Name) -> Response:
            """Shown now and never again. For a day requests carry a signature by the old one too."""
            found, now = await self.find(lab, name), self.clock()
            until = now + OLD_SECRET_KEPT
            old = [
                replace(one, until=min(one.until or until, until))
                for one in found.secrets
                if one.until is None or now < one.until
            ]
            fresh: Secret = new_secret()
            await self.put(replace(found, secrets=(fresh, *old)))
            return json_answer({"secret": fresh.secret, "old_until": iso(until)})

        @app.post(
            _PATH + "/{name}/enabled",
            tags=["webhooks"],
            summary="Send to a disabled endpoint again",
            response_class=Response,
            responses=_UNKNOWN,
        )
        async def enable_endpoint(lab: LabId, name: Name) -> Response:
            """What waited when it was disabled is sent now; for what was raised since, ask for a replay."""
            found = replace(await self.find(lab, name), disabled=None, failing_since_ms=None)
            await self.put(found)
            return json_answer(_document(found))

        @app.post(
            _PATH + "/{name}/test", tags=["webhooks"], summary="Send a test message", response_class=Response, responses=_UNKNOWN
        )
        async def test_endpoint(lab: LabId, name: Name) -> Response:
            """Sent once, at once, even if the endpoint is disabled; the answer tells what came of it."""
            attempt = await self.webhooks.test(await self.find(lab, name))
            return json_answer(
                {
                    "succeeded": attempt.succeeded,
                    "status": attempt.status,
                    "fault": attempt.fault,
                    "duration_ms": round(attempt.duration_s * 1000.0, 1),
                }
            )

        @app.post(
            _PATH + "/{name}/replay",
            tags=["webhooks"],
            summary="Send alerts again",
            response_class=Response,
            openapi_extra=_body(Replay),
            responses=_UNKNOWN,
        )
        async def replay(lab: LabId, name: Name, request: Request) -> Response:
            """Under the ids that they had, whatever became of them before and whichever subscription they are of."""
            wanted = await read_body(request, Replay, "invalid-replay")
            await self.find(lab, name)
            ends = (wanted.first, wanted.last or wanted.first)
            places = [await self.database.read(outbox.position_of, lab, identity) for identity in ends]
            if places[0] is None or places[1] is None:
                raise not_found(f"{lab} has no such alert")
            async with self.database.transaction() as connection:
                now_ms = int(self.clock().timestamp() * 1000)
                count = await store.deliver_again(connection, (lab, name), places[0], places[1], now_ms)
            return json_answer({"alerts": count}, HTTPStatus.ACCEPTED)

        @app.get(
            _PATH + "/{name}/attempts",
            tags=["webhooks"],
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
            await self.find(lab, name)
            async with self.database.reading() as connection:
                rows = await store.attempts(connection, (lab, name), before, limit)
            return json_answer({"attempts": [_attempt(row) for row in rows]})


def _document(found: Endpoint) -> dict[str, Any]:
    return {"lab": found.lab, "name": found.name, **found.terms.model_dump(mode="json"), "disabled": found.disabled}


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
