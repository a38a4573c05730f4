"""A vendor's report for a review board: one page to print, a PDF and a CSV."""

import asyncio
import csv
import io
import re
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.responses import Response

from services.board.domain.alternatives import alternatives_to
from services.board.domain.points import waterfall_of
from services.board.domain.report import Report, Step, rows_of
from services.board.pages.vendor import VIEWS, Asked, At, Entry, Vendor, Vendors
from services.board.pages.web import Web
from services.board.pdf import pdf
from services.board.sessions import Session


@dataclass
class Reports:
    """The routes; `add_to` adds them."""

    web: Web
    vendors: Vendors

    def add_to(self, app: FastAPI) -> None:
        """Add the routes."""
        web = self.web
        reader = Annotated[Session, Depends(web.reader)]

        @app.get("/vendors/{vendor}/report")
        async def report_page(session: reader, vendor: Vendor, at: At = "") -> Response:
            asked = await self.vendors.ask(session, vendor, at)
            parts = await self._parts(asked)
            score = asked.found.score_for(session.lab)
            head: dict[str, Any] = {"view": "/report", "views": VIEWS, "asked": asked, "vendor": asked.found, "score": score}
            return web.page("report.html", session, **head, **parts)

        @app.get("/vendors/{vendor}/report.csv")
        async def report_csv(session: reader, vendor: Vendor, at: At = "") -> Response:
            report = await self._report(await self.vendors.ask(session, vendor, at))
            text = io.StringIO()
            csv.writer(text).writerows(rows_of(report))
            content = "\N{BYTE ORDER MARK}" + text.getvalue()  # so that spreadsheets read UTF-8
            return _file(content.encode(), "text/csv; charset=utf-8", report, "csv")

        @app.get("/vendors/{vendor}/report.pdf")
        async def report_pdf(session: reader, vendor: Vendor, at: At = "") -> Response:
            report = await self._report(await self.vendors.ask(session, vendor, at))
            return _file(await web.workers.run("pdf", "part", pdf, report), "application/pdf", report, "pdf")

    async def _parts(self, asked: Asked) -> dict[str, Any]:
        graph, contracts, entries = await asyncio.gather(
            self.vendors.ownership(asked), self.vendors.contracts(asked), self.vendors.past(asked)
        )
        everybody = self.web.knowledge.market.vendors.values()
        return {
            "fall": waterfall_of(asked.found, asked.session.lab),
            "graph": graph,
            "contracts": contracts,
            "entries": entries,
            "others": alternatives_to(asked.found, asked.session.lab, everybody),
        }

    async def _report(self, asked: Asked) -> Report:
        parts = await self._parts(asked)
        entries = parts.pop("entries")
        labs = {bar.lab for bar in parts["fall"].bars} | {one.customer for one in parts["contracts"].customers}
        return Report(
            vendor=asked.found,
            lab=asked.session.lab,
            lab_name=self.web.knowledge.name(asked.session.lab),
            score=asked.found.score_for(asked.session.lab),
            made=self.web.clock(),
            as_of=asked.at,
            steps=tuple(_step(entry, asked.session.lab) for entry in entries if entry.moved is not None),
            names={entity: self.web.knowledge.name(entity) for entity in labs},
            **parts,
        )


def _step(entry: Entry, lab: str) -> Step:
    what = "; ".join(report.summary for report in entry.moment.reports) or "time alone"
    score = 0.0 if entry.assessment is None else entry.assessment.score_for(lab).confirmed
    return Step(entry.moment.at, entry.moved or 0.0, score, what)


def _file(content: bytes, media_type: str, report: Report, ending: str) -> Response:
    when = report.made if report.as_of is None else report.as_of
    name = re.sub(r"[^a-z0-9._-]", "-", f"{report.vendor.vendor}-{report.lab}-{when:%Y-%m-%d}")
    headers = {"content-disposition": f'attachment; filename="{name}.{ending}"', "cache-control": "no-store"}
    return Response(content, media_type=media_type, headers=headers)
