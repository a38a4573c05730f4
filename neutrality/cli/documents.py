"""What `--json` prints: plain documents with stable names, one a line."""

import orjson
import typer


def print_json(document: object) -> None:
    """One JSON document on one line of standard output; dataclasses are objects."""
    typer.echo(orjson.dumps(document).decode())
