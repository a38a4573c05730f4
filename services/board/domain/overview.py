"""The heat map: a row a vendor, a column a lab, the reader's own column first."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from neutrality.events.assessment import Assessment, Score
from services.board.domain.market import LEAST_MOVE

Order = Literal["score", "name", "moved"]
MOST_MOVERS: Final = 8
ORDERS: Final[tuple[Order, ...]] = get_args(Order)
Moved = Callable[[str, str | None], float | None]  # points by which a vendor's score towards a lab has moved, if that is known


@dataclass(frozen=True, slots=True)
class Cell:
    """A score towards a lab, and by how many points it has moved (None: not at all, or it was not rated)."""

    lab: str
    score: Score
    moved: float | None

    @property
    def is_rated(self) -> bool:
        """Whether anything is known; if not, it is not neutral."""
        return self.score.grade != "NR"


@dataclass(frozen=True, slots=True)
class Row:
    """A vendor's scores."""

    vendor: str
    name: str
    categories: tuple[str, ...]
    version: int
    own: Cell
    others: tuple[Cell, ...]

    @property
    def most_moved(self) -> float:
        """The largest move of all, in points, signed."""
        return max((cell.moved or 0.0 for cell in (self.own, *self.others)), key=abs)


@dataclass(frozen=True, slots=True)
class Filter:
    """What the reader wants to see. `text` is looked for in names and ids."""

    text: str = ""
    category: str = ""
    order: Order = "score"

    def passes(self, found: Assessment) -> bool:
        """Whether a vendor is among it."""
        wanted = self.text.casefold()
        return (wanted in found.name.casefold() or wanted in found.vendor) and (
            not self.category or self.category in found.categories
        )


def row_of(found: Assessment, lab: str, others: Sequence[str], moved: Moved) -> Row:
    """One vendor's row."""
    cells = tuple(_cell(found, other, moved) for other in others)
    return Row(found.vendor, found.name, found.categories, found.version, _cell(found, lab, moved), cells)


def _cell(found: Assessment, lab: str, moved: Moved) -> Cell:
    points = moved(found.vendor, lab)
    return Cell(lab, found.score_for(lab), None if points is None or abs(points) < LEAST_MOVE else points)


def arranged(rows: Iterable[Row], order: Order) -> list[Row]:
    """By the reader's own score, the lowest first and the unrated last; by name; or by what moved most."""
    if order == "name":
        return sorted(rows, key=lambda row: (row.name.casefold(), row.vendor))
    if order == "moved":
        return sorted(rows, key=lambda row: (-abs(row.own.moved or 0.0), -abs(row.most_moved), row.name.casefold(), row.vendor))
    return sorted(rows, key=lambda row: (not row.own.is_rated, row.own.score.confirmed, row.name.casefold(), row.vendor))


def movers(rows: Iterable[Row]) -> list[Row]:
    """The rows whose own score moved, the largest move first."""
    found = [row for row in rows if row.own.moved is not None]
    return sorted(found, key=lambda row: -abs(row.own.moved or 0.0))[:MOST_MOVERS]


def lab_columns(lab: str, known: Iterable[str], limit: int = 40) -> tuple[str, ...]:
    """The other labs, by id."""
    return tuple(sorted({*known} - {lab})[:limit])
