"""Where the services are: options with environment variables, the same for every subcommand."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

import typer

from neutrality.broker.access import PLAIN, AccessUnusable, Cluster, read_access
from neutrality.cli.exits import Exit, end

KAFKA_PORT: Final = 29092
INGEST_PORT: Final = 8801
ALERTS_PORT: Final = 8802
METRICS_PORT: Final = 8803
BOARD_PORT: Final = 8800
ACCESS_VARIABLE: Final = "NEUTRALITY_KAFKA_CONFIG"


def _cluster(servers: Cluster | str) -> Cluster:
    """The Kafka at these servers, talked to as the file in `ACCESS_VARIABLE` says. Ends the command if that cannot be used."""
    try:
        file = os.environ.get(ACCESS_VARIABLE)
        return Cluster(str(servers), read_access(Path(file)) if file else PLAIN)
    except AccessUnusable as error:
        end(f"{ACCESS_VARIABLE}: {error}", Exit.USAGE)


BootstrapServers = Annotated[
    Cluster,
    typer.Option(
        "--bootstrap-servers",
        envvar="NEUTRALITY_BOOTSTRAP_SERVERS",
        parser=_cluster,
        metavar="HOST:PORT",
        help=f"Kafka; several with commas. {ACCESS_VARIABLE} may name a file of client properties, for TLS and SASL.",
    ),
]
IngestUrl = Annotated[str, typer.Option("--ingest-url", envvar="NEUTRALITY_INGEST_URL", help="Where ingest answers.")]
AlertsUrl = Annotated[str, typer.Option("--alerts-url", envvar="NEUTRALITY_ALERTS_URL", help="Where alerts answers.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text: one object, or one a line where it streams.")]

ApiKeyFile = Annotated[
    Path | None,
    typer.Option("--api-key-file", envvar="NEUTRALITY_API_KEY_FILE", help="A file with the API key, if ingest asks for one."),
]

LabKeyFile = Annotated[
    Path | None,
    typer.Option(
        "--api-key-file", envvar="NEUTRALITY_LAB_KEY_FILE", help="A file with the lab's API key, if alerts asks for one."
    ),
]


def authorization(key: str | None) -> dict[str, str]:
    """The header that tells a key."""
    return {} if key is None else {"authorization": f"Bearer {key}"}


def read_key(file: Path | None) -> str | None:
    """The key in a file. Ends the command if it cannot be read."""
    try:
        return None if file is None else file.read_text(encoding="utf-8").strip()
    except OSError as error:
        end(f"cannot read {file}: {error.strerror}", Exit.USAGE)


DEFAULT_BOOTSTRAP: Final = Cluster(f"127.0.0.1:{KAFKA_PORT}")
DEFAULT_INGEST_URL: Final = f"http://127.0.0.1:{INGEST_PORT}"
DEFAULT_ALERTS_URL: Final = f"http://127.0.0.1:{ALERTS_PORT}"
AT_THE_TERMINAL: Final = timedelta(seconds=5)  # how long somebody who typed a command waits for a service that does not answer
