"""`neutrality export bods`: what is known of a vendor, in a standard's form."""

import sys
from pathlib import Path
from typing import Annotated

import orjson
import typer

from neutrality.cli.addresses import DEFAULT_BOOTSTRAP, BootstrapServers
from neutrality.cli.event_log import LogFiles, load_log
from neutrality.cli.exits import EPILOG, Exit, end, errors

export = typer.Typer(help="Write what is known in a standard's form.", epilog=EPILOG, no_args_is_help=True)


@export.callback()
def _export() -> None:
    """Write what is known in a standard's form."""


@export.command(epilog=EPILOG)
def bods(
    vendor: Annotated[str, typer.Argument(help="A vendor's entity id.")],
    log: LogFiles = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Into this file.")] = None,
    bootstrap_servers: BootstrapServers = DEFAULT_BOOTSTRAP,
) -> None:
    """Write a vendor, its holders and theirs as a JSON array of BODS 0.4 statements.

    Interests and roles that are in force or have ended are told; plans, rumours, contracts and revenues are not.

    Example: neutrality export bods scale-ai -o scale-ai.json
    """
    try:
        from neutrality.registers.bods import statements_about  # noqa: PLC0415  an extra
    except ImportError as error:
        end(f"this needs the extra `registers`: pip install 'neutrality-watch[registers]' ({error})", Exit.USAGE)
    found = statements_about(vendor, (event for event, _ in load_log(bootstrap_servers, log).events))
    if not found:
        end(f"nothing is known of {vendor!r}", Exit.FAILED)
    document = orjson.dumps(found, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if output is None:
        sys.stdout.write(document.decode())
        return
    try:
        output.write_bytes(document)
    except OSError as error:
        end(f"cannot write {output}: {error.strerror}", Exit.USAGE)
    errors().print(f"{len(found)} statements in {output}", markup=False)
