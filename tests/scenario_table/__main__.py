"""`python -m tests.scenario_table`: starts the product, plays the scenario, and prints the table; `--output` writes the document too."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Final

from neutrality.cli.stack import Ports, Stack
from tests.scenario_table.playing import Played, play, table
from tests.support.background import Background
from tests.support.mailbox import mailbox
from tests.support.stack import CLOCK, World, settings_for

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "scenario-alerts.md"
HEAD: Final = """# What each lab is told of the Meta-Scale AI deal

Written by `make scenario-table`, and held by a test: the events of rows 1 to 20 go into the running product one by one, then row 10 is taken back.
Each lab has one subscription with the usual terms to Scale AI and its rivals, and listens on every channel: a Kafka consumer on its topic, an SSE
client, a webhook receiver that verifies signatures, and an SMTP server. The number under a channel is the place at which the alert came there.

"""


def document(played: Played, world: World) -> str:
    """The whole document."""
    return HEAD + table(played, world)


def main() -> int:
    """The exit code."""
    options = argparse.ArgumentParser(prog="python -m tests.scenario_table", description=__doc__)
    options.add_argument("--output", type=Path, help="also write the document to this file")
    chosen = options.parse_args()
    world = World("table")
    with tempfile.TemporaryDirectory() as folder, Background() as servers:
        box = servers.enter(mailbox())
        ports, settings = Ports.free(), settings_for(box)
        stack = Stack(
            Path(folder), ports, tell=lambda line: print(line, file=sys.stderr), clock_starts_at=CLOCK, settings=settings
        )
        with stack:
            written = document(play(stack, world, box), world)
    print(written)
    if chosen.output is not None:
        chosen.output.write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
