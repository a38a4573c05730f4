"""`neutrality broker`: only the embedded Kafka, in the foreground."""

import signal
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from neutrality.cli.addresses import KAFKA_PORT, AsJson
from neutrality.cli.documents import print_json
from neutrality.cli.exits import Exit, end
from neutrality.cli.folders import cache_folder
from neutrality.cli.signals import StopSignal

_LOOK_AT_KAFKA = timedelta(milliseconds=300)


def broker(
    port: Annotated[
        int, typer.Option("--kafka-port", min=0, max=65535, help="Where clients connect; 0 picks a free port.")
    ] = KAFKA_PORT,
    data_dir: Annotated[
        Path | None, typer.Option(help="What is kept between runs; by default a folder in the user's cache.", file_okay=False)
    ] = None,
    heap_mb: Annotated[int, typer.Option(min=128, help="The limit of Java's heap, in MB.")] = 384,
    as_json: AsJson = False,
) -> None:
    """Run a real Apache Kafka on this machine until Ctrl-C, without Docker and without Java installed.

    Example: neutrality broker --kafka-port 29092
    """
    from neutrality.broker.embedded import EmbeddedKafka, EmbeddedKafkaError  # noqa: PLC0415 - loads only what the command needs

    stop = StopSignal.install(signal.SIGINT, signal.SIGTERM)
    console = Console(highlight=False)
    try:
        with EmbeddedKafka(data_dir=data_dir or cache_folder("broker"), port=port, heap_mb=heap_mb) as kafka:
            if as_json:
                print_json(
                    {
                        "bootstrap_servers": kafka.bootstrap_servers,
                        "data_dir": str(kafka.data_dir),
                        "log_file": str(kafka.log_file),
                    }
                )
            else:
                console.print(f"Kafka is up: bootstrap {kafka.bootstrap_servers}, data in {kafka.data_dir}. Ctrl-C ends it.")
            while not stop.wait(_LOOK_AT_KAFKA.total_seconds()):
                kafka.check()
    except EmbeddedKafkaError as error:
        end(str(error), Exit.FAILED)
