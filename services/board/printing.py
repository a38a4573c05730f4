"""A vendor's report as PDF, with fpdf2 and a font that has the letters of most names (DejaVu)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fpdf import FPDF
from fpdf.enums import TableBordersLayout
from fpdf.fonts import FontFace

from neutrality.events.assessment import Assessment, ClaimNote
from services.board.domain.grades import GRADES
from services.board.domain.report import Report

_FONTS: Final = Path(__file__).parent / "fonts"
_DIM: Final = (90, 98, 108)
_LINE: Final = (200, 205, 210)
_HEAD: Final = FontFace(emphasis="BOLD", color=_DIM, size_pt=8)


class _Document(FPDF):
    """A4, with the page's number and the vendor at the foot."""

    def __init__(self, foot: str) -> None:
        super().__init__(format="A4")
        self._foot = foot
        for style, file in (("", "DejaVuSans.ttf"), ("B", "DejaVuSans-Bold.ttf")):
            self.add_font("DejaVu", style, _FONTS / file)
        self.set_margins(16, 14)
        self.set_auto_page_break(auto=True, margin=16)
        self.add_page()

    def footer(self) -> None:
        """See fpdf2."""
        self.set_y(-12)
        self._font(7, dim=True)
        self.cell(0, 5, f"{self._foot} · page {self.page_no()}", align="R")

    def _font(self, size: float, *, bold: bool = False, dim: bool = False) -> None:
        self.set_font("DejaVu", "B" if bold else "", size)
        self.set_text_color(*(_DIM if dim else (20, 24, 28)))

    def text_line(self, text: str, size: float = 9, *, bold: bool = False, dim: bool = False) -> None:
        """A paragraph."""
        self._font(size, bold=bold, dim=dim)
        self.multi_cell(0, size * 0.55, text, new_x="LMARGIN", new_y="NEXT", align="L")

    def heading(self, text: str) -> None:
        """A section's, which is not left alone at the foot of a page."""
        if self.get_y() > self.h - 45:
            self.add_page()
        self.ln(4)
        self.start_section(text)
        self.text_line(text, 11, bold=True)
        self.ln(1)

    def rows(self, heads: Sequence[str], widths: Sequence[int], rows: Sequence[Sequence[str]]) -> None:
        """A table; nothing if it is empty."""
        if not rows:
            self.text_line("None is known.", dim=True)
            return
        self._font(8)
        self.set_draw_color(*_LINE)
        self.set_line_width(0.15)
        lines = TableBordersLayout.HORIZONTAL_LINES
        with self.table(
            col_widths=tuple(widths), text_align="LEFT", borders_layout=lines, headings_style=_HEAD, line_height=4.4, padding=0.8
        ) as table:
            for row in (heads, *rows):
                table.row(list(row))


def pdf_of(report: Report) -> bytes:
    """The whole document."""
    vendor, score = report.vendor, report.score
    page = _Document(f"{vendor.name} towards {report.lab_name} · methodology {vendor.methodology}")
    page.set_title(f"{vendor.name} towards {report.lab_name}")
    page.set_lang("en")
    page.set_creation_date(report.made)
    page.text_line(vendor.name, 17, bold=True)
    when = report.made if report.as_of is None else report.as_of
    page.text_line(
        f"Neutrality towards {report.lab_name}, as of {when:%Y-%m-%d %H:%M} UTC. Made {report.made:%Y-%m-%d %H:%M} UTC.", dim=True
    )
    page.ln(2)
    if score.grade == "NR":
        page.text_line("Not rated: nobody has said who owns it. Unknown is not neutral.", 11, bold=True)
    else:
        standing = score.outlook if score.watch is None else f"{score.outlook}, watch {score.watch}"
        page.text_line(f"{score.confirmed:.1f}  {score.grade}, {GRADES[score.grade]}", 14, bold=True)
        page.text_line(f"projected {score.projected:.1f}, outlook {standing}, range {score.low:.1f} to {score.high:.1f}")
    for draw in (_points, _aside, _ownership, _customers, _others, _steps):
        draw(page, report)
    return bytes(page.output())


def _points(page: _Document, report: Report) -> None:
    page.heading("What the points were lost to")
    rows = [
        (
            f"{report.name(bar.lab)}, {bar.channel}",
            bar.path,
            _claim(bar.claim, report.vendor),
            f"-{bar.points:.1f}" if bar.points > 0 else "",
            f"-{bar.projected_points:.1f}" if bar.projected_points > 0 else "",
        )
        for bar in report.fall.bars
    ]
    page.rows(("Who", "Through what", "Claim, on whose word", "Confirmed", "Projected"), (24, 40, 76, 18, 18), rows)


def _aside(page: _Document, report: Report) -> None:
    if report.fall.aside:
        page.heading("Costs nothing now")
        page.rows(("Claim, on whose word",), (176,), [(_claim(note, report.vendor),) for note in report.fall.aside])
    if report.fall.unknown:
        page.heading("Not known")
        for what in report.fall.unknown:
            page.text_line(f"· {what}")


def _ownership(page: _Document, report: Report) -> None:
    page.heading("Who holds what")
    names = report.graph.names
    rows = [
        (
            names[edge.holder],
            f"{edge.share or 'a right'} ({edge.aspect})",
            names[edge.held],
            edge.status,
            f"{100 * edge.credibility:.0f} %",
        )
        for edge in report.graph.edges
    ]
    page.rows(("Holder", "Holds", "In", "Status", "Credibility"), (44, 48, 44, 22, 18), rows)


def _customers(page: _Document, report: Report) -> None:
    page.heading("Contracts and revenue at risk")
    page.text_line(
        f"Revenue: {'; '.join(report.contracts.revenue) or 'unknown'}. At risk: {100 * report.contracts.at_risk:.1f} %."
    )
    rows = [
        (
            report.name(one.customer),
            one.spent or "unknown",
            "unknown" if one.share is None else f"{100 * one.share:.1f} %",
            "; ".join(f"{plan.intent} ({plan.status}, {100 * plan.credibility:.0f} %)" for plan in one.plans),
        )
        for one in report.contracts.customers
    ]
    page.rows(("Customer", "Spends", "Of revenue", "Plan"), (40, 50, 24, 62), rows)


def _others(page: _Document, report: Report) -> None:
    page.heading("Alternatives")
    rows = [
        (
            one.name,
            f"{one.score.confirmed:.1f} {one.score.grade}" if one.is_rated else GRADES["NR"],
            ", ".join(one.known) or "nothing",
        )
        for one in report.others
    ]
    page.rows(("Vendor", "Score", "Known"), (60, 56, 60), rows)


def _steps(page: _Document, report: Report) -> None:
    page.heading("How the score came to be")
    rows = [(f"{step.at:%Y-%m-%d}", f"{step.moved:+.1f}", f"{step.score:.1f}", step.what) for step in report.steps]
    page.rows(("Recorded", "Moved", "To", "By what"), (24, 16, 16, 120), rows)


def _claim(note: ClaimNote | None, vendor: Assessment) -> str:
    if note is None:
        return ""
    sources = ", ".join(f"{item.get('publisher', '')} ({str(item.get('kind', '')).replace('_', ' ')})" for item in note.evidence)
    against = [found.summary if (found := vendor.claim(other)) else other for other in note.contradicted_by]
    disputed = f"; disputed: {', '.join(against)}" if against else ""
    return f"{note.summary} ({note.status}; {sources}; credibility {note.credibility:.2f}{disputed})"
