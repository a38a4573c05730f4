"""Numbers and states as the pages say them: filters of the templates. Foreign text goes through the templates' escaping, never through here."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

from markupsafe import Markup, escape

from neutrality.events.assessment import Score
from services.board.domain.overview import Cell, Row

CHANNELS: Final = {"ownership": "Ownership", "votes": "Votes", "governance": "Governance", "revenue": "Revenue"}


def points(value: float) -> str:
    """A score to one decimal."""
    return f"{value:.1f}"


def signed(value: float | None) -> str:
    """A move with its sign, a real minus."""
    if value is None:
        return ""
    text = f"{value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", "\N{MINUS SIGN}")


def interval(score: Score) -> str:
    """`39.0 to 61.0`; one number if both ends are the same."""
    low, high = points(score.low), points(score.high)
    return low if low == high else f"{low} to {high}"


def percent(ratio: float | None) -> str:
    """A ratio in percent."""
    return "unknown" if ratio is None else f"{100.0 * ratio:.1f} %"


def standing(score: Score) -> str:
    """Outlook and watch in words."""
    return score.outlook if score.watch is None else f"{score.outlook}, watch {score.watch}"


def plain(text: object) -> str:
    """`official_statement` as words."""
    return str(text).replace("_", " ")


def sources(items: Iterable[Mapping[str, Any]]) -> str:
    """Who says so: `Meta (official statement), Reuters (2 anonymous sources)`."""
    found = []
    for item in items:
        kind = plain(item.get("kind", "unknown"))
        count = item.get("independent_sources", 1)
        several = f"{count} {kind}s" if isinstance(count, int) and count > 1 else kind
        found.append(f"{item.get('publisher', 'unknown')} ({several})")
    return ", ".join(found) or "nobody named"


def when(value: datetime | str | None, *, day: bool = False) -> Markup:
    """A time, which the page's script puts into the reader's time zone; without it, UTC."""
    if value is None or value == "":
        return Markup("")
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    shown = f"{instant:%Y-%m-%d}" if day else f"{instant:%Y-%m-%d %H:%M} UTC"
    kind = "date" if day else "time"
    return Markup('<time datetime="{}" data-show="{}">{}</time>').format(instant.isoformat(), kind, shown)


def grade_class(score: Score) -> str:
    """The CSS class of a grade."""
    return score.grade.lower()


def cell_html(cell: Cell) -> Markup:
    """A cell of the heat map: number, grade in words, and an arrow if it moved."""
    score = cell.score
    moved = 0 if cell.moved is None else (1 if cell.moved > 0 else -1)
    return _cell(points(score.confirmed), score.grade, moved, signed(cell.moved))


@lru_cache(maxsize=20_000)
def _cell(shown: str, grade: str, moved: int, by: str) -> Markup:
    if grade == "NR":
        return Markup('<td class="c nr"><span class="g">NR</span></td>')
    arrow = Markup("")
    if moved:
        arrow = Markup('<span class="a" title="{} points">{}</span>').format(by, "↑" if moved > 0 else "↓")
    return Markup('<td class="c {}">{}<span class="g">{}</span>{}</td>').format(escape(grade.lower()), shown, grade, arrow)


def row_document(row: Row) -> dict[str, Any]:
    """A row of the heat map as the page's script takes it: text that is shown as it is. `own` is null if it is not rated."""
    score = row.own.score
    own = None
    if row.own.is_rated:
        own = [points(score.confirmed), score.grade, score.outlook, score.watch or "", signed(row.own.moved)]
    others = [f"{points(c.score.confirmed)} {c.score.grade} {signed(c.moved)}" if c.is_rated else "NR" for c in row.others]
    return {"name": row.name, "version": row.version, "own": own, "others": others}


FILTERS: Final = {
    "points": points,
    "signed": signed,
    "interval": interval,
    "percent": percent,
    "standing": standing,
    "plain": plain,
    "sources": sources,
    "when": when,
    "grade_class": grade_class,
    "cell": cell_html,
}
