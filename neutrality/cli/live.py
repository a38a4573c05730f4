"""The live view: what happens, as readable lines, on a terminal and in a CI log alike.

One thread prints (the main one); readers put what they see into a queue. A score's line groups labs for which the same happened:

    Row 10: Meta takes 49 % of Scale AI (completed)
      accepted   3 events
      score      Scale AI for google               100.0 → 60.8  N1 → N3  projected 38.9, outlook negative, watch down
      alert      google, openai  Scale AI falls ...
"""

from collections.abc import Iterable, Sequence
from typing import Final

from rich.console import Console
from rich.markup import escape

from neutrality.cli import words
from neutrality.cli.documents import print_json
from neutrality.events.alert import Alert
from neutrality.events.assessment import Assessment, Score
from neutrality.explanation import score_document

_LABEL_WIDTH: Final = 9


class LiveView:
    """Prints what happens, and remembers the newest assessment of each vendor so that a move has a before."""

    def __init__(self, console: Console, labs: Sequence[str]) -> None:
        """`labs` are those whose scores are followed; the headline stands for all others."""
        self._console = console
        self._labs = tuple(labs)
        self.newest: dict[str, Assessment] = {}

    def notice(self, text: str) -> None:
        """Something about the machinery."""
        self._console.print(f"[dim]· {escape(text)}[/]")

    def heading(self, title: str) -> None:
        """A step begins."""
        self._console.print()
        self._console.print(f"[bold cyan]{escape(title)}[/]")

    def accepted(self, count: int) -> None:
        """Ingest has taken events, and Kafka has them."""
        self._line("accepted", f"{count} event{'' if count == 1 else 's'}")

    def remember(self, assessments: Iterable[Assessment]) -> None:
        """What was known before; nothing is printed."""
        self.newest.update({assessment.vendor: assessment for assessment in assessments})

    def scored(self, before: dict[str, Assessment], vendors: Iterable[str]) -> None:
        """Print how scores moved since `before`, vendor by vendor."""
        for vendor in vendors:
            now, was = self.newest[vendor], before.get(vendor)
            for labs, move in self._moves(was, now):
                self._line("score", f"{escape(now.name)} for {labs}: {move}")

    def alerted(self, alerts: Sequence[Alert]) -> None:
        """Alerts that reached labs: those that say the same for the same reasons are told once, with all labs that got them."""
        told: dict[tuple[str, tuple[str, ...]], list[str]] = {}
        for alert in alerts:
            told.setdefault((words.alert_title(alert), tuple(words.reason_lines(alert))), []).append(alert.lab)
        by_reasons: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
        for (title, reasons), labs in told.items():
            by_reasons.setdefault((tuple(sorted(labs)), reasons), []).append(title)
        for (reached, reasons), titles in sorted(by_reasons.items()):
            self._line("[yellow]alert[/]", f"[yellow]to {', '.join(reached)}:[/] {'; '.join(titles)}", label_width=len("alert"))
            for line in reasons:
                self._line("", f"because {line}")

    def _moves(self, was: Assessment | None, now: Assessment) -> list[tuple[str, str]]:
        grouped: dict[str, list[str]] = {}
        for lab in self._labs:
            score = now.score_for(lab)
            before: Score | None = None if was is None else was.score_for(lab)
            if not words.is_same(before, score):
                grouped.setdefault(words.move(before, score), []).append(lab)
        return [("every lab" if len(labs) == len(self._labs) else ", ".join(labs), move) for move, labs in grouped.items()]

    def _line(self, label: str, text: str, label_width: int | None = None) -> None:
        width = len(label) if label_width is None else label_width
        self._console.print(f"  {label}{' ' * (_LABEL_WIDTH - width)} {text}")


class JsonView:
    """The same for programs: one JSON document a line, `what` says which."""

    def __init__(self, labs: Sequence[str]) -> None:
        """`labs` are those whose scores are followed."""
        self._labs = tuple(labs)
        self.newest: dict[str, Assessment] = {}

    def notice(self, text: str) -> None:
        """Something about the machinery."""
        print_json({"what": "notice", "text": text})

    def heading(self, title: str) -> None:
        """A step begins."""
        print_json({"what": "step", "title": title})

    def accepted(self, count: int) -> None:
        """Ingest has taken events, and Kafka has them."""
        print_json({"what": "accepted", "events": count})

    def remember(self, assessments: Iterable[Assessment]) -> None:
        """What was known before; nothing is printed."""
        self.newest.update({assessment.vendor: assessment for assessment in assessments})

    def scored(self, before: dict[str, Assessment], vendors: Iterable[str]) -> None:
        """Every vendor's score towards each lab, with what it was."""
        for vendor in vendors:
            now, was = self.newest[vendor], before.get(vendor)
            for lab in self._labs:
                earlier = None if was is None else was.score_for(lab)
                if not words.is_same(earlier, now.score_for(lab)):
                    print_json({"what": "score", "before": earlier, **score_document(now, lab)})

    def alerted(self, alerts: Sequence[Alert]) -> None:
        """Alerts that reached labs."""
        for alert in alerts:
            print_json({"what": "alert", "alert": alert})
