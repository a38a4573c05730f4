"""Scores and alerts in words: what a person reads in a terminal. Pure; markup is rich's, and foreign text is escaped.

Points are shown to one decimal; a vendor without ownership data is *not rated*, never neutral.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from neutrality.events.alert import Alert
from neutrality.events.assessment import CHANNELS, Assessment, Score

NOT_RATED: Final = "not rated: no ownership data"
_LEAST_PART: Final = 0.2
_GRADE_STYLE: Final = {"N1": "green", "N2": "green", "N3": "yellow", "N4": "red", "N5": "bold red", "NR": "dim"}
_OUTLOOK_STYLE: Final = {"negative": "red", "positive": "green", "developing": "yellow", "stable": "default"}


def grade(score: Score) -> str:
    """The grade in its colour."""
    return f"[{_GRADE_STYLE[score.grade]}]{score.grade}[/]"


def points(value: float) -> str:
    """A score to one decimal."""
    return f"{value:.1f}"


def interval(score: Score) -> str:
    """`39-61` as low and high; one number if both are the same to a decimal."""
    low, high = points(score.low), points(score.high)
    return low if low == high else f"{low} to {high}"


def coverage(assessment: Assessment) -> str:
    """Which channels have any claim: `ownership, revenue; not votes, governance`."""
    known = [channel for channel in CHANNELS if assessment.coverage.get(channel)]
    unknown = [channel for channel in CHANNELS if not assessment.coverage.get(channel)]
    if not unknown:
        return "all four channels"
    return f"{', '.join(known)}; not {', '.join(unknown)}" if known else "nothing"


def standing(score: Score) -> str:
    """Outlook and watch in one: `negative, watch down`."""
    outlook = f"[{_OUTLOOK_STYLE[score.outlook]}]{score.outlook}[/]"
    return outlook if score.watch is None else f"{outlook}, [bold]watch {score.watch}[/]"


def is_same(one: Score | None, other: Score) -> bool:
    """Whether a reader would see no difference."""
    if one is None:
        return False
    return (points(one.confirmed), points(one.projected), one.grade, one.outlook, one.watch) == (
        points(other.confirmed),
        points(other.projected),
        other.grade,
        other.outlook,
        other.watch,
    )


def move(before: Score | None, after: Score) -> str:
    """`100.0 -> 60.8  N1 -> N3, projected 38.9, outlook negative, watch down`."""
    if after.grade == "NR":
        return f"[dim]{NOT_RATED}[/]"
    rated = before if before is not None and before.grade != "NR" else None
    same_points = rated is not None and points(rated.confirmed) == points(after.confirmed)
    text = f"[bold]{points(after.confirmed)}[/]"
    if rated is not None and not same_points:
        text = f"{points(rated.confirmed)} → {text}"
    text += f"  {grade(after)}" if rated is None or rated.grade == after.grade else f"  {grade(rated)} → {grade(after)}"
    return f"{text}  projected {points(after.projected)}, outlook {standing(after)}"


def evidence(items: Iterable[Mapping[str, Any]]) -> str:
    """Who says so: `Meta (official statement), Reuters (2 anonymous sources)`."""
    found = []
    for item in items:
        kind = str(item.get("kind", "unknown")).replace("_", " ")
        count = item.get("independent_sources", 1)
        several = f"{count} {kind}s" if isinstance(count, int) and count > 1 else kind
        found.append(f"{item.get('publisher', 'unknown')} ({several})")
    return ", ".join(found) or "nobody named"


def alert_title(alert: Alert) -> str:
    """What happened, without the lab and the reason, which are told beside it."""
    title = alert.title
    for reason in alert.reasons[:1]:
        title = title.removesuffix(f": {reason.summary}")
    return f"[bold]{escape(title.replace(f' for {alert.lab}', ''))}[/]"


def reason_lines(alert: Alert) -> list[str]:
    """The reasons that matter, one line each, with who says so: those that weigh at least a fifth of the first."""
    heaviest = max((abs(reason.points) for reason in alert.reasons), default=0.0)
    return [
        f"{escape(reason.summary)} [dim]({reason.points:.1f} points, {escape(reason.channel)}, {escape(reason.status)};"
        f" source: {escape(evidence(reason.evidence))})[/]"
        for reason in alert.reasons
        if abs(reason.points) >= _LEAST_PART * heaviest
    ]


def scores_table(assessments: Sequence[Assessment], lab: str | None) -> Table:
    """Every vendor's score towards one lab, or the headline."""
    towards = "towards any lab without ties" if lab is None else f"towards {lab}"
    table = Table(title=f"Neutrality {towards}", title_justify="left", highlight=False, box=SIMPLE_HEAD)
    for heading in ("vendor", "score", "grade", "outlook", "projected", "range", "known"):
        table.add_column(heading, justify="right" if heading in ("score", "projected") else "left", no_wrap=heading == "vendor")
    for assessment in assessments:
        score = assessment.score_for(lab)
        name = escape(assessment.name)
        if score.grade == "NR":
            table.add_row(name, "-", "[dim]NR[/]", f"[dim]{NOT_RATED}[/]", "-", "-", coverage(assessment))
            continue
        table.add_row(
            name,
            points(score.confirmed),
            grade(score),
            standing(score),
            points(score.projected),
            interval(score),
            coverage(assessment),
        )
    return table


def labs_table(assessment: Assessment, labs: Iterable[str], before: Assessment | None = None) -> Table:
    """One vendor's score towards each lab, and what it was."""
    table = Table(
        title=f"{escape(assessment.name)}: neutrality towards each lab", title_justify="left", highlight=False, box=SIMPLE_HEAD
    )
    for heading in ("lab", *(["before"] if before is not None else []), "score", "grade", "outlook", "projected"):
        table.add_column(heading, justify="right" if heading in ("before", "score", "projected") else "left")
    for lab in labs:
        score = assessment.score_for(lab)
        was = [points(before.score_for(lab).confirmed)] if before is not None else []
        table.add_row(lab, *was, points(score.confirmed), grade(score), standing(score), points(score.projected))
    return table
