"""HTTP: what a lab buys from whom, and how exposed it is by that. Private to the lab."""

from enum import Enum
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request, Response

from neutrality.http import HttpProblem, problem_responses
from services.alerts.answers import LabId, VendorId, body_of, json_answer, not_found, read_body
from services.alerts.database import Database
from services.alerts.decisions import store
from services.alerts.domain.portfolio import MAX_VENDORS, Portfolio, Purchase, stake_in
from services.alerts.domain.severity import load_severity_scale
from services.alerts.intake import Intake

_PATH: Final = "/labs/{lab}/portfolio"
_TAG: Final[list[str | Enum]] = ["portfolio"]
_REFUSED: Final = problem_responses(
    {409: "The portfolio is full.", 422: "Something in the request is wrong; `errors` says what."}
)
_UNKNOWN: Final = problem_responses({404: "The vendor is not in it.", 422: "Something in the request is wrong."})


def add_portfolio(app: FastAPI, database: Database, intake: Intake) -> None:
    """Add the routes."""

    @app.get(_PATH, tags=_TAG, summary="What a lab buys from whom, and its exposure to each", response_class=Response)
    async def get_portfolio(lab: LabId) -> Response:
        """`exposure` is in [0, 1]; severity is points of a fall times it, by the published scale of this version."""
        async with database.reading() as connection:
            found = await store.portfolio(connection, lab)
        scale = load_severity_scale()
        return json_answer({"purchases": [_document(found, vendor) for vendor in found], "scale": scale.model_dump(mode="json")})

    @app.put(
        _PATH + "/{vendor}",
        tags=_TAG,
        summary="Tell what the lab buys from a vendor",
        response_class=Response,
        openapi_extra=body_of(Purchase),
        responses={201: {"description": "It is new."}, 200: {"description": "It was there."}, **_REFUSED},
    )
    async def put_purchase(lab: LabId, vendor: VendorId, request: Request) -> Response:
        """From the next alert on it counts."""
        purchase = await read_body(request, Purchase, "invalid-purchase")
        async with intake.changing() as connection:
            known = await store.portfolio(connection, lab)
            if vendor not in known and len(known) >= MAX_VENDORS:
                raise HttpProblem(HTTPStatus.CONFLICT, "portfolio-full", f"A portfolio has {MAX_VENDORS} vendors at most.")
            await store.put_purchase(connection, lab, vendor, purchase)
        status = HTTPStatus.OK if vendor in known else HTTPStatus.CREATED
        return json_answer(_document({**known, vendor: purchase}, vendor), status)

    @app.delete(
        _PATH + "/{vendor}",
        tags=_TAG,
        summary="The lab no longer buys from a vendor",
        status_code=HTTPStatus.NO_CONTENT,
        response_class=Response,
        responses=_UNKNOWN,
    )
    async def delete_purchase(lab: LabId, vendor: VendorId) -> Response:
        async with intake.changing() as connection:
            gone = await store.remove_purchase(connection, lab, vendor)
        if not gone:
            raise not_found(f"{vendor} is not in the portfolio of {lab}")
        return Response(status_code=HTTPStatus.NO_CONTENT)


def _document(portfolio: Portfolio, vendor: str) -> dict[str, Any]:
    stake = stake_in(portfolio, vendor, vendor, load_severity_scale())
    return {
        "vendor": vendor,
        **portfolio[vendor].model_dump(mode="json"),
        "exposure": stake.exposure,
        "spending_share": stake.spending_share,
    }
