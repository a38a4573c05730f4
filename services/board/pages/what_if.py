"""What if: changes in a link, the scores before and after, and the same changes as a file of events. Nothing is published."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import Depends, FastAPI, Query
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from neutrality.events.assessment import Score
from neutrality.events.cloudevent import Event, event_from_json, event_to_json
from neutrality.model.whatif import Change as ScoreChange
from neutrality.model.whatif import changes
from services.board.domain.assumptions import Change, WrongChange, change_of, changes_from, events_of
from services.board.domain.replaying import what_if
from services.board.pages.web import Web, wrong_request
from services.board.sessions import Session

Changes = Annotated[list[str] | None, Query(alias="c", max_length=40)]


@dataclass(frozen=True, slots=True)
class Compared:
    """One vendor's score towards one lab, without and with the changes; `difference` of the confirmed ones, None if one is not rated."""

    vendor: str
    name: str
    lab: str | None
    before: Score | None
    after: Score | None
    difference: float | None
    found: ScoreChange


@dataclass
class WhatIfPages:
    """The routes; `add_to` adds them."""

    web: Web

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        web = self.web
        reader = Annotated[Session, Depends(web.reader)]

        @app.get("/what-if")
        async def show(request: Request, session: reader, texts: Changes = None) -> Response:
            given = list(texts or ())
            if "kind" in request.query_params:
                return self._added(session, given, dict(request.query_params))
            with web.metrics.page.labels("what_if").time():
                assumed = _read(given)
                compared = await self._compare(session, assumed)
                return self._page(session, assumed, compared)

        @app.get("/what-if/events.jsonl")
        async def save(session: reader, texts: Changes = None) -> Response:
            del session  # any reader may: it says nothing but what stands in the link
            content = b"".join(event_to_json(event) + b"\n" for event in self._events(_read(list(texts or ()))))
            headers = {"content-disposition": 'attachment; filename="what-if.jsonl"', "cache-control": "no-store"}
            return Response(content, media_type="application/x-ndjson", headers=headers)

    def _added(self, session: Session, given: list[str], fields: dict[str, Any]) -> Response:
        """The form: to the link with one more change in it."""
        try:
            more = change_of(fields)
        except WrongChange as error:
            return self._page(session, _read(given), (), problem=str(error), fields=fields)
        texts = [text for text in given if text != more.text] + [more.text]
        return RedirectResponse(f"/what-if?{urlencode([('c', text) for text in texts])}", 303)

    async def _compare(self, session: Session, assumed: Sequence[Change]) -> tuple[Compared, ...]:
        if not assumed:
            return ()
        log = self.web.knowledge.log
        events = self._events(assumed)
        touched = {entity for change in assumed for entity in (change.subject, change.party)}
        people = {event.data.person for event in events if hasattr(event.data, "person")}
        affected = log.affected({change.subject for change in assumed} | people)
        told = log.told(log.needed(affected | touched))
        found = await self.web.workers.run(
            "what_if", "part", what_if, told, [event_to_json(event) for event in events], self.web.clock()
        )
        return _ordered(changes(found.before, found.after), session.lab)

    def _events(self, assumed: Sequence[Change]) -> tuple[Event, ...]:
        log = self.web.knowledge.log
        return events_of(assumed, lambda entity: [event_from_json(one.json) for one in log.about(entity)], self.web.clock())

    def _page(
        self,
        session: Session,
        assumed: Sequence[Change],
        compared: Sequence[Compared],
        *,
        problem: str = "",
        fields: dict[str, Any] | None = None,
    ) -> Response:
        market = self.web.knowledge.market
        texts = [change.text for change in assumed]
        return self.web.page(
            "what_if.html",
            session,
            422 if problem else 200,
            assumed=[(change, _link([t for t in texts if t != change.text])) for change in assumed],
            texts=texts,
            query=urlencode([("c", text) for text in texts]),
            own=[one for one in compared if one.lab in (session.lab, None)],
            others=[one for one in compared if one.lab not in (session.lab, None)],
            problem=problem,
            fields=fields or {},
            vendors=sorted(
                ((vendor, found.name) for vendor, found in market.vendors.items()), key=lambda item: item[1].casefold()
            ),
            labs=self.web.knowledge.labs_by_name(),
        )


def _read(texts: list[str]) -> tuple[Change, ...]:
    try:
        return changes_from(texts)
    except WrongChange as error:
        raise wrong_request(f"This link cannot be read: {error}.") from error


def _link(texts: list[str]) -> str:
    return "/what-if" + (f"?{urlencode([('c', text) for text in texts])}" if texts else "")


def _ordered(found: Sequence[ScoreChange], lab: str) -> tuple[Compared, ...]:
    """The reader's own first, the largest difference first."""
    compared = [_compared(one) for one in found]
    return tuple(
        sorted(
            compared, key=lambda one: (one.lab != lab, one.lab is not None, -abs(one.difference or 0.0), one.name, one.lab or "")
        )
    )


def _compared(found: ScoreChange) -> Compared:
    rated = [score for score in (found.before, found.after) if score is not None and score.grade != "NR"]
    difference = rated[1].confirmed - rated[0].confirmed if len(rated) == 2 else None
    return Compared(found.vendor, found.name, found.lab, found.before, found.after, difference, found)
