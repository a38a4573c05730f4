"""What a benchmark hands back, and how its tables are written."""

import argparse
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Report:
    """A text in Markdown, and whether everything in it came out right."""

    text: str
    right: bool


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; every row has a cell for each column."""
    return "\n".join([markdown_row(columns), "|" + "---|" * len(columns), *map(markdown_row, rows)])


def markdown_row(cells: Sequence[str]) -> str:
    """One line of a table."""
    return "| " + " | ".join(cells) + " |"


def machine() -> str:
    """What it was measured on."""
    return f"{os.cpu_count()} cores ({platform.machine()}) shared with the embedded Kafka, Python {platform.python_version()}"


def parser_of(description: str) -> argparse.ArgumentParser:
    """The options that all benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, help="also write the table to this file")
    parser.add_argument("--quick", action="store_true", help="a short form: small loads, to see that it works")
    return parser


def publish(report: Report, output: Path | None) -> int:
    """Print the report, and write it if wanted; the exit code: 0 if all is right."""
    print(report.text)
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(report.text, encoding="utf-8")
    return 0 if report.right else 1
