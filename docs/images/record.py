"""Records `neutrality up --demo` in a terminal of its own and draws the deal itself as an SVG: `make screenshot`."""

import io
import os
import pty
import sys
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

COLUMNS: Final = 150
SHOWN: Final = ("Row 10", "Row 11", "Scale AI: neutrality towards each lab")
TARGET: Final = Path(__file__).with_name("demo.svg")


def record() -> tuple[str, int]:
    """All that the demo writes to a terminal, and its exit code."""
    output = bytearray()

    def keep(descriptor: int) -> bytes:
        data = os.read(descriptor, 4096)
        output.extend(data)
        return data

    os.environ.update(COLUMNS=str(COLUMNS), LINES="60", TERM="xterm-256color")
    status = pty.spawn([str(Path(sys.executable).with_name("neutrality")), "up", "--demo"], keep)
    return output.decode(errors="replace").replace("\r", ""), os.waitstatus_to_exitcode(status)


def scenes(output: str) -> str:
    """The paragraphs that tell the story; of each row's alerts, Google's."""
    paragraphs = [Text.from_ansi(paragraph) for paragraph in output.split("\n\n")]
    chosen = [paragraph for paragraph in paragraphs if paragraph.plain.strip().startswith(SHOWN)]
    console = Console(width=COLUMNS, record=True, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ make demo", style="bold"))
    for paragraph in chosen:
        skipping = False
        for line in paragraph.split("\n"):
            plain = line.plain.strip()
            if plain.startswith("alert"):
                skipping = "to google" not in plain
            elif plain.startswith(("score", "accepted", "Row", "Scale AI")):
                skipping = False
            if plain and not skipping:
                console.print(line, no_wrap=True, overflow="ellipsis")
        console.print()
    return console.export_svg(title="Neutrality Watch")


def main() -> int:
    """Write the picture; fails if the demo does."""
    output, code = record()
    if code == 0:
        TARGET.write_text(scenes(output), encoding="utf-8")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
