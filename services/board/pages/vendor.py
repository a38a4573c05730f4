"""A vendor: what the points were lost to, its past, who owns it, its customers, and who else there is. Each view has its own address."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Depends, FastAPI, Path, Query
from starlette.responses import Response

from neutrality.events.assessment import Assessment
from neutrality.events.vocabulary import EntityId
from neutrality.model.whatif import Mover, changes
from services.board.domain.alternatives import alternatives_to
from services.board.domain.contracts import Contracts, contracts_of
from services.board.domain.log import Told
from services.board.domain.ownership import Ownership, ownership_of
from services.board.domain.points import waterfall_of
from services.board.domain.replaying import Moment, as_of, history
from services.board.pages.overview import day_of
from services.board.pages.web import Web, not_found
from services.board.sessions import Session

VIEWS: Final = {
    "": "Score",
    "/history": "History",
    "/ownership": "Ownership",
    "/contracts": "Contracts",
    "/alternatives": "Alternatives",
    "/report": "Report",
}
Vendor = Annotated[EntityId, Path()]
At = Annotated[str, Query(max_length=40)]


@dataclass(frozen=True, slots=True)
class Entry:
    """A moment of a vendor's past as a reader sees it: the score towards the reader then, and what moved it."""

    moment: Moment
    assessment: Assessment | None
    moved: float | None
    movers: tuple[Mover, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A vendor as somebody asked for it: at a day, or now (`at` is None)."""

    session: Session
    found: Assessment
    at: datetime | None

    @property
    def query(self) -> str:
        """What links carry on."""
        return "" if self.at is None else f"?at={self.at:%Y-%m-%d}"


@dataclass
class Vendors:
    """The routes; `add_to` adds them."""

    web: Web

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        web = self.web
        reader = Annotated[Session, Depends(web.reader)]

        @app.get("/vendors/{vendor}")
        async def score(session: reader, vendor: Vendor, at: At = "") -> Response:
            with web.metrics.page.labels("vendor").time():
                asked = await self.ask(session, vendor, at)
                return self._page("vendor.html", "", asked, fall=waterfall_of(asked.found, session.lab))

        @app.get("/vendors/{vendor}/history")
        async def past(session: reader, vendor: Vendor) -> Response:
            with web.metrics.page.labels("vendor").time():
                asked = await self.ask(session, vendor, "")
                entries = await self.past(asked)
                return self._page(
                    "history.html", "/history", asked, entries=entries, line=line_of(entries, session.lab, web.clock())
                )

        @app.get("/vendors/{vendor}/ownership")
        async def owners(session: reader, vendor: Vendor, at: At = "") -> Response:
            with web.metrics.page.labels("vendor").time():
                asked = await self.ask(session, vendor, at)
                graph = await self.ownership(asked)
                return self._page("ownership.html", "/ownership", asked, graph=graph, drawing=drawing_of(graph))

        @app.get("/vendors/{vendor}/contracts")
        async def customers(session: reader, vendor: Vendor, at: At = "") -> Response:
            with web.metrics.page.labels("vendor").time():
                asked = await self.ask(session, vendor, at)
                return self._page("contracts.html", "/contracts", asked, contracts=await self.contracts(asked))

        @app.get("/vendors/{vendor}/alternatives")
        async def others(session: reader, vendor: Vendor) -> Response:
            with web.metrics.page.labels("vendor").time():
                asked = await self.ask(session, vendor, "")
                everybody = web.knowledge.market.vendors.values()
                return self._page(
                    "alternatives.html", "/alternatives", asked, others=alternatives_to(asked.found, session.lab, everybody)
                )

    async def ask(self, session: Session, vendor: str, at: str) -> Asked:
        """A vendor as it stands, or as it stood. Raises HttpProblem."""
        if not at:
            found = self.web.knowledge.market.vendors.get(vendor)
            if found is None:
                raise not_found(f"Nothing is known of a vendor {vendor!r}.")
            return Asked(session, found, None)
        day = day_of(at, self.web)
        then = await self.web.workers.run("as_of", "part", as_of, self.part(vendor), day)
        if vendor not in then:
            raise not_found(f"Nothing was known of a vendor {vendor!r} on that day.")
        return Asked(session, then[vendor], day)

    def part(self, vendor: str) -> tuple[Told, ...]:
        """The part of the log that a vendor's score depends on."""
        log = self.web.knowledge.log
        return log.told(log.needed([vendor]))

    async def past(self, asked: Asked) -> tuple[Entry, ...]:
        """A vendor's past towards the reader, oldest first."""
        vendor = asked.found.vendor
        moments = await self.web.workers.run("history", "part", history, self.part(vendor), vendor, self._time(asked))
        return entries_of(moments, vendor, asked.session.lab)

    async def ownership(self, asked: Asked) -> Ownership:
        """Who holds what."""
        vendor = asked.found.vendor
        return await self.web.workers.run("ownership", "part", ownership_of, self.part(vendor), vendor, self._time(asked))

    async def contracts(self, asked: Asked) -> Contracts:
        """Who buys what."""
        vendor = asked.found.vendor
        about = self.web.knowledge.log.told([vendor])
        return await self.web.workers.run("contracts", "part", contracts_of, about, vendor, self._time(asked))

    def _time(self, asked: Asked) -> datetime:
        return self.web.clock() if asked.at is None else asked.at

    def _page(self, template: str, view: str, asked: Asked, **more: Any) -> Response:
        score = asked.found.score_for(asked.session.lab)
        return self.web.page(
            template, asked.session, view=view, views=VIEWS, asked=asked, vendor=asked.found, score=score, **more
        )


def entries_of(moments: Sequence[Moment], vendor: str, lab: str) -> tuple[Entry, ...]:
    """Each moment with what moved the confirmed score towards a lab."""
    found: list[Entry] = []
    known: Assessment | None = None
    for moment in moments:
        moved, movers = _move(known, moment.assessment, vendor, lab)
        found.append(Entry(moment, moment.assessment, moved, movers))
        known = moment.assessment
    return tuple(found)


def _move(old: Assessment | None, new: Assessment | None, vendor: str, lab: str) -> tuple[float | None, tuple[Mover, ...]]:
    if old is None or new is None or old is new:
        return None, ()
    was, now = old.score_for(lab), new.score_for(lab)
    if "NR" in (was.grade, now.grade) or math.isclose(was.confirmed, now.confirmed, abs_tol=0.05):
        return None, ()
    towards = lab if lab in {*old.labs, *new.labs} else None
    change = next(one for one in changes({vendor: old}, {vendor: new}) if one.lab == towards)
    return now.confirmed - was.confirmed, change.movers[:4]


def line_of(entries: Sequence[Entry], lab: str, now: datetime) -> dict[str, Any]:
    """What the step line is drawn from: seconds since 1970, confirmed and projected points (null: not rated), and the events on it.

    `first`: when it was first rated, where the line begins.
    """
    times: list[float] = []
    confirmed: list[float | None] = []
    projected: list[float | None] = []
    events = []
    for entry in entries:
        score = None if entry.assessment is None else entry.assessment.score_for(lab)
        rated = score is not None and score.grade != "NR"
        times.append(entry.moment.at.timestamp())
        confirmed.append(score.confirmed if score is not None and rated else None)
        projected.append(score.projected if score is not None and rated else None)
        if entry.moment.reports:
            events.append({"at": times[-1], "text": [report.summary for report in entry.moment.reports][:4]})
    if times and now.timestamp() > times[-1]:
        times.append(now.timestamp())
        confirmed.append(confirmed[-1])
        projected.append(projected[-1])
    first = next((at for at, points in zip(times, confirmed, strict=True) if points is not None), None)
    return {"first": first, "times": times, "confirmed": confirmed, "projected": projected, "events": events}


def drawing_of(graph: Ownership) -> dict[str, Any]:
    """What the graph is drawn from."""
    nodes = [{"id": node.entity, "name": node.name, "kind": node.kind} for node in graph.nodes]
    edges = [
        {
            "id": f"e{number}",
            "from": edge.holder,
            "to": edge.held,
            "aspect": edge.aspect,
            "label": (edge.share or "control").replace("an unknown part", "?"),
            "status": edge.status if edge.is_pending else "",
        }
        for number, edge in enumerate(graph.edges)
    ]
    return {"nodes": nodes, "edges": edges}
