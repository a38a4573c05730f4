"""What the workers' logs tell. Pure."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

TRACEBACK: Final = "Traceback (most recent call last)"
TAIL_LINES: Final = 25
_ERROR: Final = re.compile(r"^[A-Za-z_][\w.]*(?=:|$)")


def entries(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The lines that are JSON objects."""
    for line in lines:
        if line.startswith("{"):
            try:
                yield json.loads(line)
            except json.JSONDecodeError:
                continue  # cut off by SIGKILL


def stale_refused(lines: Iterable[str]) -> int:
    """How many stale states were refused in replay."""
    return sum(entry["records"] for entry in entries(lines) if entry.get("event") == "stale_states_refused")


def tracebacks(lines: Iterable[str], expected: Iterable[str] = ()) -> list[str]:
    """The last lines of all tracebacks whose error is not one of the expected class names; also of those that no log call wrote."""
    allowed = set(expected)
    found = []
    for last in (*_in_entries(lines := list(lines)), *_bare(lines)):
        name = _ERROR.match(last)
        if name is None or name[0].rpartition(".")[2] not in allowed:
            found.append(last)
    return found


def tail(text: str, lines: int = TAIL_LINES) -> str:
    """The end of a log, for people."""
    return "\n".join(line[:400] for line in text.splitlines()[-lines:])


def _in_entries(lines: Iterable[str]) -> Iterator[str]:
    for entry in entries(lines):
        for text in (entry.get("exception"), entry.get("event")):
            if isinstance(text, str) and TRACEBACK in text:
                yield text.strip().splitlines()[-1]


def _bare(lines: list[str]) -> Iterator[str]:
    """Python's own: the first line after the header that is neither indented nor empty is the error."""
    inside = False
    for line in lines:
        if line.startswith(TRACEBACK):
            inside = True
        elif inside and line.strip() and not line.startswith((" ", "\t")):
            yield line.strip()
            inside = False
    if inside:
        yield "a traceback without an end"
