"""HTTP: a lab's subscriptions, and what they would have sent."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Request, Response

from neutrality.events.vocabulary import iso
from neutrality.http import Fault, HttpProblem, problem_responses
from services.alerts import state
from services.alerts.answers import LabId, Name, body_of, json_answer, not_found, read_body
from services.alerts.database import Database
from services.alerts.decisions import store
from services.alerts.decisions.dry_run import run_over_history
from services.alerts.domain.routing import Routed
from services.alerts.domain.subscription import Subscription, SubscriptionTerms, TermsDocument
from services.alerts.endpoints.store import endpoint_names
from services.alerts.intake import Intake

MAX_SUBSCRIPTIONS: Final = 1_000  # of a lab
MAX_SHOWN: Final = 1_000  # alerts of a dry run
_PATH: Final = "/labs/{lab}/subscriptions"
_TAG: Final[list[str | Enum]] = ["subscriptions"]
_REFUSED: Final = problem_responses(
    {409: "The lab has too many subscriptions.", 422: "Something in the request is wrong; `errors` says what."}
)
_UNKNOWN: Final = problem_responses({404: "There is none of that name.", 422: "Something in the request is wrong."})


@dataclass(frozen=True, slots=True)
class SubscriptionsApi:
    """What the routes need; `add_to` adds them."""

    database: Database
    intake: Intake
    clock: Callable[[], datetime]
    trying: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(1))  # dry runs compute

    async def read_terms(self, lab: str, request: Request) -> SubscriptionTerms:
        """Terms in the present version. Raises HttpProblem."""
        terms = (await read_body(request, TermsDocument, "invalid-subscription")).terms()
        async with self.database.reading() as connection:
            known = await endpoint_names(connection, lab)
        named = [(f"/endpoints/{place}", name) for place, name in enumerate(terms.endpoints or ())]
        if terms.escalation is not None:
            named += [(f"/escalation/endpoints/{place}", name) for place, name in enumerate(terms.escalation.endpoints)]
        faults = [
            Fault(pointer, f"{lab} has no endpoint {name!r}; make it first") for pointer, name in named if name not in known
        ]
        if faults:
            raise HttpProblem(
                HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-subscription", "Nothing was changed; see `errors`.", errors=faults
            )
        return terms

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""

        @app.put(
            _PATH + "/{name}",
            tags=_TAG,
            summary="Make a subscription, or give it new terms",
            response_class=Response,
            openapi_extra=body_of(TermsDocument),
            responses={201: {"description": "It is new."}, 200: {"description": "It was there."}, **_REFUSED},
        )
        async def put_subscription(lab: LabId, name: Name, request: Request) -> Response:
            """The same request twice changes nothing. Only changes after it raise alerts; new terms begin anew."""
            wanted = Subscription.of(lab, name, await self.read_terms(lab, request))
            async with self.database.reading() as connection:
                known = {one.name for one in await state.subscriptions_of(connection, lab)}
            if name not in known and len(known) >= MAX_SUBSCRIPTIONS:
                raise HttpProblem(HTTPStatus.CONFLICT, "too-many-subscriptions", f"A lab has {MAX_SUBSCRIPTIONS} at most.")
            created = await self.intake.put_subscription(wanted)
            return json_answer(_document(wanted), HTTPStatus.CREATED if created else HTTPStatus.OK)

        @app.post(
            _PATH + "/dry-run",
            tags=_TAG,
            summary="What a subscription would have sent",
            response_class=Response,
            openapi_extra=body_of(TermsDocument),
            responses=_REFUSED,
        )
        async def dry_run(
            lab: LabId,
            request: Request,
            days: Annotated[int, Query(ge=1, le=3650, description="How far to look back.")] = 90,
        ) -> Response:
            """Nothing is kept or sent. Settling, digests and quiet hours count; silences, reminders and escalations do not."""
            wanted = Subscription.of(lab, "dry-run", await self.read_terms(lab, request))
            now = self.clock()
            async with self.trying, self.database.reading() as connection:
                purchases = await store.portfolio(connection, lab)
                since = now - timedelta(days=days)
                run, begins, versions = await run_over_history(connection, wanted, purchases, since, now)
            return json_answer(_told(run.routed, begins, now, versions))

        @app.get(_PATH, tags=_TAG, summary="A lab's subscriptions", response_class=Response)
        async def list_subscriptions(lab: LabId) -> Response:
            async with self.database.reading() as connection:
                found = await state.subscriptions_of(connection, lab)
            return json_answer({"subscriptions": [_document(one) for one in found]})

        @app.get(_PATH + "/{name}", tags=_TAG, summary="One subscription", response_class=Response, responses=_UNKNOWN)
        async def get_subscription(lab: LabId, name: Name) -> Response:
            async with self.database.reading() as connection:
                found = next((one for one in await state.subscriptions_of(connection, lab) if one.name == name), None)
            if found is None:
                raise not_found(f"{lab} has no subscription {name!r}")
            return json_answer(_document(found))

        @app.delete(
            _PATH + "/{name}",
            tags=_TAG,
            summary="End a subscription",
            status_code=HTTPStatus.NO_CONTENT,
            response_class=Response,
            responses=_UNKNOWN,
        )
        async def delete_subscription(lab: LabId, name: Name) -> Response:
            """Alerts that were sent stay; what waits is not sent any more."""
            if not await self.intake.delete_subscription(lab, name):
                raise not_found(f"{lab} has no subscription {name!r}")
            return Response(status_code=HTTPStatus.NO_CONTENT)


def _document(found: Subscription) -> dict[str, Any]:
    return {"lab": found.lab, "name": found.name, **found.terms().model_dump(mode="json")}


def _told(routed: list[Routed], begins: datetime, ends: datetime, versions: int) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for one in routed:
        counts[one.outcome] = counts.get(one.outcome, 0) + 1
    shown = [
        {"outcome": one.outcome, "why": one.why, "due": None if one.due is None else iso(one.due), "alert": one.alert}
        for one in routed[:MAX_SHOWN]
    ]
    return {
        "from": iso(begins),
        "until": iso(ends),
        "versions": versions,
        "counts": counts,
        "messages": len({one.alert.group for one in routed if one.outcome in ("sent", "held")}),
        "alerts": shown,
        "complete": len(routed) <= MAX_SHOWN,
    }
