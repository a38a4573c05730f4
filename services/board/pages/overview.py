"""The overview: the heat map as it stands, live, and as it stood on any day."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from heapq import nlargest
from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, FastAPI, Query
from sse_starlette import EventSourceResponse
from starlette.responses import Response

from neutrality.events.assessment import Assessment
from services.board.domain.market import WINDOWS, Window
from services.board.domain.overview import MOST_MOVERS, ORDERS, Filter, Order, Row, arranged, lab_columns, movers, row_of
from services.board.domain.replaying import scores_as_of
from services.board.pages.web import Web, wrong_request
from services.board.pages.words import row_document
from services.board.sessions import Session

_KEPT_DAYS: Final = 16  # replays of the whole log that are kept
_LOOK_S: Final = 15.0


@dataclass
class Overview:
    """The routes; `add_to` adds them."""

    web: Web
    _days: dict[tuple[str, int], dict[str, Assessment]] = field(default_factory=dict)

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        web = self.web
        reader = Annotated[Session, Depends(web.reader)]
        text = Annotated[str, Query(alias="q", max_length=200)]
        kind = Annotated[str, Query(max_length=64)]

        @app.get("/")
        async def overview(
            session: reader, text: text = "", category: kind = "", order: Order = "score", moved: Window = "week"
        ) -> Response:
            with web.metrics.page.labels("overview").time():
                return self._now(session, Filter(text.strip(), category, order), moved)

        @app.get("/as-of")
        async def then(
            session: reader,
            at: Annotated[str, Query(max_length=40)] = "",
            text: text = "",
            category: kind = "",
            order: Order = "score",
        ) -> Response:
            with web.metrics.page.labels("as_of").time():
                return await self._then(session, day_of(at, web), Filter(text.strip(), category, order))

        @app.get("/live")
        async def live(
            session: reader, since: Annotated[str, Query(max_length=40)] = "", moved: Window = "week"
        ) -> EventSourceResponse:
            return EventSourceResponse(self._stream(session, since, moved), ping=web.settings.heartbeat_s, send_timeout=30.0)

    def _now(self, session: Session, chosen: Filter, window: Window) -> Response:
        market = self.web.knowledge.market
        others = lab_columns(session.lab, self.web.knowledge.labs())
        rows = [self._row(found, session.lab, others, window) for found in market.vendors.values()]
        shown = {found.vendor for found in market.vendors.values() if chosen.passes(found)}
        return self.web.page(
            "overview.html",
            session,
            rows=arranged(rows, chosen.order),
            shown=shown,
            movers=movers(rows),
            window=window,
            at=None,
            **self._common(session, others, chosen, market.categories()),
        )

    async def _then(self, session: Session, at: datetime, chosen: Filter) -> Response:
        known = await self._day(at)
        labs = self.web.knowledge.labs()
        others = lab_columns(session.lab, labs)
        rows = [row_of(found, session.lab, others, lambda _vendor, _lab: None) for found in known.values()]
        first_ms = self.web.knowledge.log.first_ms
        now = self.web.clock()
        return self.web.page(
            "as_of.html",
            session,
            rows=arranged(rows, chosen.order),
            shown={found.vendor for found in known.values() if chosen.passes(found)},
            at=at,
            first=now if first_ms is None else datetime.fromtimestamp(first_ms / 1000.0, UTC),
            **self._common(session, others, chosen, tuple(sorted({c for found in known.values() for c in found.categories}))),
        )

    def _common(self, session: Session, others: tuple[str, ...], chosen: Filter, categories: tuple[str, ...]) -> dict[str, Any]:
        name = self.web.knowledge.name
        return {
            "columns": [(lab, name(lab)) for lab in (session.lab, *others)],
            "chosen": chosen,
            "orders": ORDERS,
            "windows": tuple(WINDOWS),
            "categories": categories,
        }

    async def _day(self, at: datetime) -> dict[str, Assessment]:
        log = self.web.knowledge.log
        key = at.isoformat(), log.size
        if key not in self._days:
            found = await self.web.workers.run("as_of", "whole", scores_as_of, log.everything(), at)
            while len(self._days) >= _KEPT_DAYS:
                self._days.pop(next(iter(self._days)))
            self._days[key] = found
        return self._days[key]

    def _row(self, found: Assessment, lab: str, others: tuple[str, ...], window: Window) -> Row:
        now_ms = int(self.web.wall().timestamp() * 1000)
        market = self.web.knowledge.market
        return row_of(found, lab, others, lambda vendor, towards: market.moved(vendor, towards, window, now_ms))

    async def _stream(self, session: Session, since: str, window: Window) -> AsyncIterator[bytes]:
        web = self.web

        def render(vendors: Iterable[str], position: str) -> bytes:
            return self._frame(vendors, position, session.lab, window)

        web.metrics.viewers.inc()
        checked_s = asyncio.get_running_loop().time()
        try:
            yield b": live\nretry: 1000\n\n"
            async for frame in web.hub.follow(since, (session.lab, window), render, _LOOK_S):
                now_s = asyncio.get_running_loop().time()
                if now_s - checked_s >= _LOOK_S:
                    if not await web.is_taken(session):
                        return  # the page connects again, and is sent to sign in
                    checked_s = now_s
                if frame is not None:
                    yield frame
        finally:
            web.metrics.viewers.dec()

    def _frame(self, vendors: Iterable[str], position: str, lab: str, window: Window) -> bytes:
        market = self.web.knowledge.market
        others = lab_columns(lab, self.web.knowledge.labs())
        rows = [self._row(market.vendors[vendor], lab, others, window) for vendor in vendors if vendor in market.vendors]
        document = {
            "movers": self._movers(lab, window),
            "labs": (lab, *others),
            "rows": {row.vendor: row_document(row) for row in rows},
        }
        return b"".join((b"event: rows\nid: ", position.encode(), b"\ndata: ", orjson.dumps(document), b"\n\n"))

    def _movers(self, lab: str, window: Window) -> str:
        """What moved, as the page shows it."""
        market, now_ms = self.web.knowledge.market, int(self.web.wall().timestamp() * 1000)
        moved = ((abs(market.moved(vendor, lab, window, now_ms) or 0.0), vendor) for vendor in market.vendors)
        rows = [self._row(market.vendors[vendor], lab, (), window) for _, vendor in nlargest(MOST_MOVERS, moved)]
        shown = self.web.templates.get_template("movers.html").module.shown  # type: ignore[attr-defined]
        return str(shown(movers(rows), self.web.knowledge.name(lab)))


def day_of(text: str, web: Web) -> datetime:
    """The end of a day (`2025-06-12`) or an instant, not after now; now if the text is empty. Raises HttpProblem."""
    now = web.clock()
    if not text:
        return now
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise wrong_request(f"{text[:40]!r} is no day; use for example 2025-06-12") from error
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    if len(text) == len("2025-06-12"):
        found += timedelta(days=1) - timedelta(seconds=1)
    return min(found, now)
