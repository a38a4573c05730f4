"""A vendor's report as data: what a table and a document are made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from neutrality.events.assessment import Assessment, ClaimNote, Score
from services.board.domain.alternatives import Alternative
from services.board.domain.contracts import Contracts
from services.board.domain.ownership import Ownership
from services.board.domain.points import Waterfall

COLUMNS = ("section", "what", "who", "detail", "status", "confirmed", "projected", "credibility", "sources", "since")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would reckon with


@dataclass(frozen=True, slots=True)
class Step:
    """A time at which the score moved, by how much, and by what."""

    at: datetime
    moved: float
    score: float
    what: str


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told of a vendor to a lab."""

    vendor: Assessment
    lab: str
    lab_name: str
    score: Score
    made: datetime
    as_of: datetime | None
    fall: Waterfall
    graph: Ownership
    contracts: Contracts
    others: tuple[Alternative, ...]
    steps: tuple[Step, ...]
    names: dict[str, str]

    def name(self, entity: str) -> str:
        """What an entity is called."""
        return self.names.get(entity, entity)


def rows_of(report: Report) -> Iterator[tuple[str, ...]]:
    """The report as a table of COLUMNS, safe for a spreadsheet: no cell begins like a formula."""
    yield COLUMNS
    for row in _rows(report):
        filled = [*row, *[""] * (len(COLUMNS) - len(row))]
        yield tuple(f"'{cell}" if cell.startswith(_FORMULA) and not _is_number(cell) else cell for cell in filled)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows(report: Report) -> Iterator[list[str]]:
    score, vendor = report.score, report.vendor
    rated = score.grade != "NR"
    standing = score.outlook if score.watch is None else f"{score.outlook}, watch {score.watch}"
    shown = [f"{score.confirmed:.1f}", f"{score.projected:.1f}"] if rated else ["", ""]
    yield ["score", vendor.name, report.lab_name, score.grade if rated else "not rated: no ownership data", standing, *shown]
    for bar in report.fall.bars:
        points = [f"{-bar.points:.2f}", f"{-bar.projected_points:.2f}"]
        yield [
            "points",
            bar.claim.summary if bar.claim else "",
            report.name(bar.lab),
            f"{bar.channel}: {bar.path}",
            *_claim(bar.claim, points),
        ]
    for note in report.fall.aside:
        yield ["costs nothing now", note.summary, "", note.note or "", *_claim(note, ["", ""])]
    for what in report.fall.unknown:
        yield ["not known", what]
    for edge in report.graph.edges:
        held = report.graph.names.get(edge.held, edge.held)
        holder = report.graph.names.get(edge.holder, edge.holder)
        yield ["ownership", held, holder, f"{edge.share} {edge.aspect}".strip(), edge.status, "", "", f"{edge.credibility:.2f}"]
    for customer in report.contracts.customers:
        plan = "; ".join(f"{one.intent} ({one.status})" for one in customer.plans)
        share = "" if customer.share is None else f"{customer.share:.4f} of revenue"
        yield [
            "customer",
            customer.spent or "",
            report.name(customer.customer),
            share,
            plan,
            "",
            "",
            f"{customer.at_risk:.4f} at risk",
        ]
    for other in report.others:
        points = [f"{other.score.confirmed:.1f}", f"{other.score.projected:.1f}"] if other.is_rated else ["", ""]
        yield ["alternative", other.name, ", ".join(other.known), ", ".join(other.shared), other.score.grade, *points]
    for step in report.steps:
        yield ["moved", step.what, "", f"{step.moved:+.2f} points", "", f"{step.score:.1f}", "", "", "", step.at.isoformat()]


def _claim(note: ClaimNote | None, points: list[str]) -> list[str]:
    if note is None:
        return ["", *points]
    sources = "; ".join(f"{item.get('publisher', '')} ({item.get('kind', '')})" for item in note.evidence)
    disputed = f"{note.status}, disputed by {', '.join(note.contradicted_by)}" if note.contradicted_by else note.status
    return [disputed, *points, f"{note.credibility:.2f}", sources, note.effective_time]
