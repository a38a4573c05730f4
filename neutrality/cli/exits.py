"""Exit codes that scripts can rely on, and the one way to end with a message.

0 done; 1 failed, refused or not found; 2 wrong usage; 3 a service cannot be reached.
"""

from enum import IntEnum
from typing import NoReturn

import typer
from rich.console import Console


class Exit(IntEnum):
    """What the command ended with."""

    OK = 0
    FAILED = 1
    USAGE = 2
    UNREACHABLE = 3


EPILOG = "Exit codes: 0 done, 1 failed or not found, 2 wrong usage, 3 a service cannot be reached."


def errors() -> Console:
    """A console on standard error, made when it is needed so that tests and pipes are seen."""
    return Console(stderr=True, soft_wrap=True, highlight=False)


def end(message: str, code: Exit) -> NoReturn:
    """End with a message on standard error. Raises typer.Exit."""
    errors().print(f"neutrality: {message}", markup=False, style="red")
    raise typer.Exit(code)
