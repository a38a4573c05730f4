"""`neutrality explain`: why a vendor's score is what it is."""

from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from neutrality.cli import words
from neutrality.cli.addresses import DEFAULT_BOOTSTRAP, AsJson, BootstrapServers
from neutrality.cli.documents import print_json
from neutrality.cli.exits import Exit, end
from neutrality.cli.score_log import newest_assessments
from neutrality.events.assessment import ClaimNote
from neutrality.explanation import Explanation, Line, explanation_document
from neutrality.explanation import explain as take_apart


def explain(
    vendor: Annotated[str, typer.Argument(help="The vendor's entity id.")],
    lab: Annotated[str | None, typer.Option("--for", metavar="LAB", help="Towards this lab; the headline if left out.")] = None,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
    as_json: AsJson = False,
) -> None:
    """Show which claim costs how many points, through which path, and on whose word.

    The points add up to 100 less the score. Claims that cost nothing are listed too, with what disputes them, and what
    is not known.

    Example: neutrality explain scale-ai --for google
    """
    known = newest_assessments(bootstrap_servers)
    if vendor not in known:
        end(f"no score of {vendor!r}; known: {', '.join(sorted(known)) or 'none yet'}", Exit.FAILED)
    explanation = take_apart(known[vendor], lab)
    if as_json:
        print_json(explanation_document(explanation))
        return
    _show(explanation, Console(highlight=False, soft_wrap=True))


def _show(explanation: Explanation, console: Console) -> None:
    assessment, lab = explanation.assessment, explanation.lab
    score = assessment.score_for(lab)
    towards = "a lab without ties" if lab is None else lab
    title = f"[bold]{escape(assessment.name)}[/] towards [bold]{escape(towards)}[/]"
    console.print(f"{title}: {words.move(None, score)}")
    if score.grade != "NR":
        console.print(
            f"[dim]methodology {assessment.methodology}, version {assessment.version}, range {words.interval(score)}[/]"
        )
    _show_moves(explanation, console)
    console.print()
    for line in explanation.lines:
        _show_line(line, console)
    sign = " + ".join(words.points(line.points) for line in explanation.lines) or "0.0"
    console.print(f"[bold]{sign} = {words.points(explanation.points_lost)} = 100 - {words.points(score.confirmed)}[/]")
    if explanation.aside:
        console.print("\n[bold]Costs nothing now[/]")
        for note in explanation.aside:
            console.print(f"  {_note(note)}")
    if explanation.unknown:
        console.print("\n[bold]Not known[/]")
        for what in explanation.unknown:
            console.print(f"  {escape(what)}")


def _show_moves(explanation: Explanation, console: Console) -> None:
    before = explanation.assessment.before
    if before is None:
        return
    console.print(
        f"\nIt was {words.points(before.score_for(explanation.lab).confirmed)} in version {before.version}; since then:"
    )
    for move in explanation.moves:
        console.print(f"[{'red' if move.points < 0 else 'green'}]{move.points:+6.1f}[/]  {move.channel:<10}  {escape(move.path)}")
        if move.claim is not None:
            console.print(f"        {escape(move.claim.summary)}")
    if not explanation.moves:
        console.print("        [dim]the score towards this lab has not moved[/]")


def _show_line(line: Line, console: Console) -> None:
    console.print(f"[red]{-line.points:6.1f}[/]  {line.channel:<10}  {escape(line.path)}")
    if line.claim is not None:
        console.print(f"        {_note(line.claim)}")


def _note(note: ClaimNote) -> str:
    state = "ended" if note.ended and note.status != "terminated" else note.status
    text = (
        f"{escape(note.summary)} [dim]({state}; {escape(words.evidence(note.evidence))}; credibility {note.credibility:.2f})[/]"
    )
    if note.counts == "pending":
        text += " [yellow]pending[/]"
    if note.contradicted_by:
        text += f" [yellow]disputed by {escape(', '.join(note.contradicted_by))}[/]"
    if note.note:
        text += f" [dim italic]{escape(note.note)}[/]"
    return text
