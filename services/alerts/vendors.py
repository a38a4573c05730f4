"""HTTP: what is known of vendors, now and before. It is no lab's own, so every lab may ask towards any."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from fastapi import FastAPI, Query, Response

from neutrality.events.alert import Alternative
from neutrality.events.assessment import Assessment, Score, attribute
from neutrality.events.vocabulary import EntityId, iso
from neutrality.explanation import explain, explanation_document
from neutrality.http import problem_responses
from services.alerts import history
from services.alerts.answers import Moment, VendorId, json_answer, not_found
from services.alerts.database import Database
from services.alerts.domain.alternatives import rank_alternatives
from services.alerts.domain.history import HEADLINE, Step
from services.alerts.state import assessments_of

Towards = Annotated[EntityId | None, Query(alias="for", description="The lab; left out: a lab without ties.")]
_PAGE: Final = 500
_UNKNOWN: Final = problem_responses({404: "There is none of that name.", 422: "Something in the request is wrong."})
NO_DATA: Final = "no ownership data"
_FIRST_MS: Final = 0
_LAST_MS: Final = 2**62


def add_vendors(app: FastAPI, database: Database) -> None:
    """Add the routes."""
    _add_now(app, database)
    _add_alternatives(app, database)
    _add_before(app, database)


def _add_now(app: FastAPI, database: Database) -> None:
    @app.get("/vendors", tags=["vendors"], summary="Every vendor's score", response_class=Response)
    async def list_vendors(
        lab: Towards = None,
        as_of: Annotated[Moment | None, Query(description="As it stood then, by what had been recorded; left out: now.")] = None,
    ) -> Response:
        """What was before the history begins is not known."""
        if as_of is None:
            found: Sequence[Assessment | Step] = list((await database.read(assessments_of)).values())
        else:
            found = await database.read(history.stood_at, _ms(as_of))
        return json_answer({"vendors": [_vendor(one, lab) for one in found]})

    @app.get(
        "/vendors/{vendor}",
        tags=["vendors"],
        summary="A vendor's score and who took the points",
        response_class=Response,
        responses=_UNKNOWN,
    )
    async def get_vendor(vendor: VendorId, lab: Towards = None) -> Response:
        found = await _found(database, vendor)
        return json_answer({**_vendor(found, lab), "attribution": attribute(found, lab), "claims": found.claims})

    @app.get(
        "/vendors/{vendor}/explanation",
        tags=["vendors"],
        summary="Why a vendor's score is what it is",
        response_class=Response,
        responses=_UNKNOWN,
    )
    async def explain_vendor(vendor: VendorId, lab: Towards = None) -> Response:
        """The parts add up to the points lost; with the claims, what disputes them, and what is not known. As `neutrality explain --json`."""
        return json_answer(explanation_document(explain(await _found(database, vendor), lab)))


def _add_alternatives(app: FastAPI, database: Database) -> None:
    @app.get("/alternatives", tags=["vendors"], summary="Vendors of a category, the most neutral first", response_class=Response)
    async def list_alternatives(
        category: Annotated[str, Query(min_length=1, max_length=100, description="What they sell.")],
        lab: Towards = None,
        limit: Annotated[int, Query(ge=1, le=_PAGE)] = 20,
    ) -> Response:
        """With the channels of which anything is known. A vendor that is not rated comes last: no ownership data is not neutral."""
        vendors = [found for found in (await database.read(assessments_of)).values() if category in found.categories]
        ranked = rank_alternatives(vendors, lab or HEADLINE, limit=limit)
        return json_answer({"category": category, "for": lab, "alternatives": [_alternative(one) for one in ranked]})


def _add_before(app: FastAPI, database: Database) -> None:
    @app.get(
        "/vendors/{vendor}/history",
        tags=["vendors"],
        summary="The steps of a vendor's score, with their reasons",
        response_class=Response,
        responses=_UNKNOWN,
    )
    async def vendor_history(
        vendor: VendorId,
        lab: Towards = None,
        since: Annotated[Moment | None, Query(description="Begin with the step that held then.")] = None,
        until: Annotated[Moment | None, Query(description="End with the last step up to then.")] = None,
        after: Annotated[int | None, Query(ge=0, le=_LAST_MS, description="`next` of the page before.")] = None,
        limit: Annotated[int, Query(ge=1, le=_PAGE)] = 100,
    ) -> Response:
        """In order; a version that left the score towards this lab as it was is not among them. `next` is null on the last page."""
        found, following = await database.read(
            history.steps_towards,
            vendor,
            lab,
            since_ms=_FIRST_MS if since is None else _ms(since),
            until_ms=_LAST_MS if until is None else _ms(until),
            after=after,
            limit=limit,
        )
        if not found:
            await _found(database, vendor)
        return json_answer({"vendor": vendor, "for": lab, "steps": [_step(step, lab) for step in found], "next": following})


async def _found(database: Database, vendor: str) -> Assessment:
    found = (await database.read(assessments_of, [vendor])).get(vendor)
    if found is None:
        raise not_found(f"nothing is known of a vendor {vendor!r}")
    return found


def _vendor(found: Assessment | Step, lab: str | None) -> dict[str, Any]:
    score: Score = found.score_for(lab)
    return {
        "vendor": found.vendor,
        "name": found.name,
        "for": lab,
        "score": score,
        "rated": score.grade != "NR",
        "coverage": found.coverage,
        "categories": found.categories,
        "flags": found.flags,
        "version": found.version,
        "methodology": found.methodology,
    }


def _alternative(found: Alternative) -> dict[str, Any]:
    rated = found.grade != "NR"
    return {
        "vendor": found.vendor,
        "name": found.name,
        "rated": rated,
        "grade": found.grade,
        "confirmed": found.confirmed if rated else None,
        "projected": found.projected if rated else None,
        "known": found.known,
        "note": None if rated else NO_DATA,
    }


def _step(step: Step, lab: str | None) -> dict[str, Any]:
    return {
        "version": step.version,
        "at": iso(datetime.fromtimestamp(step.at_ms / 1000.0, UTC)),
        "score": step.score_for(lab),
        "reasons": step.reasons_for(lab),
        "cause": step.cause,
    }


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
