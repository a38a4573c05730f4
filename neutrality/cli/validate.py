"""`neutrality validate`: whether ingest would take the events of a file, without a server."""

from collections import Counter
from typing import Annotated, Any

import typer
from rich.console import Console

from neutrality.cli.addresses import AsJson
from neutrality.cli.documents import print_json
from neutrality.cli.event_files import open_events, tell_problems
from neutrality.cli.exits import Exit
from neutrality.cli.reading import Bad, read_events
from neutrality.events.cloudevent import short_type


def validate(
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="JSON lines, a JSON array or one object; - is standard input.")],
    as_json: AsJson = False,
) -> None:
    """Check events (CloudEvents 1.0 in JSON) as ingest would, without a server.

    What is wrong is shown with the line, a pointer to the field and how to mend it; then the exit code is 1. With --json, one
    object a wrong event and a summary as the last line.

    Example: neutrality validate events.jsonl
    """
    valid: Counter[str] = Counter()
    invalid = 0
    with open_events(file) as stream:
        for item in read_events(stream):
            if not isinstance(item, Bad):
                valid[short_type(item.document["type"])] += 1
                continue
            invalid += 1
            if as_json:
                print_json(_document(item))
            else:
                tell_problems(item)
    if as_json:
        print_json({"valid": valid.total(), "by_type": dict(valid), "invalid": invalid})
    else:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(valid.items()))
        Console(highlight=False).print(f"{valid.total()} valid{f' ({kinds})' if kinds else ''}, {invalid} not")
    if invalid:
        raise typer.Exit(Exit.FAILED)


def _document(refused: Bad) -> dict[str, Any]:
    return {"place": refused.place, "problems": refused.problems}
