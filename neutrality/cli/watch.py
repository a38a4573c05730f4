"""`neutrality watch`: a register's folder or stream, imported as it grows, from where it was left."""

import contextlib
import io
import signal
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import orjson
import structlog
import typer
from prometheus_client import start_http_server

from neutrality.cli.addresses import DEFAULT_INGEST_URL, ApiKeyFile, AsJson, IngestUrl, read_key
from neutrality.cli.exits import Exit, end
from neutrality.cli.importing import Imported, Schema, connector_named, opened
from neutrality.cli.signals import StopSignal
from neutrality.cli.watching import Gap, NotAllowed, Stream, WatchMetrics, kept_position
from neutrality.client import Client, IngestError
from neutrality.registers.catalogue import CONNECTORS, STREAMS
from neutrality.registers.connector import Connector, Conversion, NotThisFormat
from neutrality.telemetry.logs import configure_logs

_INGEST_PAUSE_S: Final = 5.0
_log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(__name__)


def watch(
    connector: Annotated[str, typer.Argument(help="bods, gleif, psc or sec13; of streams psc.")],
    place: Annotated[
        str, typer.Argument(metavar="FOLDER|URL", help="A folder that files come to, or a stream of JSON lines over HTTP.")
    ],
    state: Annotated[
        Path | None,
        typer.Option(help="Where it is kept how far was read; next to the folder, or in the current folder for a stream."),
    ] = None,
    settle_s: Annotated[
        float, typer.Option("--settle", min=0.0, help="Seconds for which a file must not have grown before it is read.")
    ] = 5.0,
    key_file: Annotated[
        Path | None,
        typer.Option(envvar="NEUTRALITY_STREAM_KEY_FILE", help="A file with the stream's key (HTTP Basic, user name)."),
    ] = None,
    heartbeat_s: Annotated[
        float, typer.Option("--heartbeat", min=1.0, help="Seconds without a sign of life after which the stream is opened again.")
    ] = 90.0,
    from_now: Annotated[bool, typer.Option("--from-now", help="Forget how far was read; begin with what comes now.")] = False,
    metrics_port: Annotated[int | None, typer.Option(help="Export Prometheus metrics on this port.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Read what is there, and end; for folders.")] = False,
    schema: Schema = None,
    ingest_url: IngestUrl = DEFAULT_INGEST_URL,
    api_key_file: ApiKeyFile = None,
    as_json: AsJson = False,  # noqa: ARG001  logs are JSON already where nobody reads them on a terminal
) -> None:
    """Import what comes to a folder or over a stream, until it is told to stop (Ctrl-C, SIGTERM).

    How far was read is kept after Kafka has the events, so after a crash some are sent again, which counts once, and none is lost. While
    ingest is away nothing more is read. A file that has changed is imported again.

    Example: neutrality watch bods /data/incoming
    """
    if connector not in CONNECTORS:
        end(f"no connector {connector!r}; there are {', '.join(sorted(CONNECTORS))}", Exit.USAGE)
    configure_logs()
    metrics = WatchMetrics(connector)
    if metrics_port is not None:
        start_http_server(metrics_port, registry=metrics.registry)
    stop = StopSignal.install(signal.SIGINT, signal.SIGTERM)
    with Client(ingest_url, api_key=read_key(api_key_file), patience=timedelta(0)) as client:
        if place.startswith(("http://", "https://")):
            _watch_stream(connector, place, state, key_file, client, metrics, stop, heartbeat_s=heartbeat_s, from_now=from_now)
        else:
            _watch_folder(
                partial(connector_named, connector, schema),
                Path(place),
                state,
                client,
                metrics,
                stop,
                settle_s=settle_s,
                once=once,
            )


def _watch_stream(
    connector: str,
    url: str,
    state: Path | None,
    key_file: Path | None,
    client: Client,
    metrics: WatchMetrics,
    stop: StopSignal,
    *,
    heartbeat_s: float,
    from_now: bool,
) -> None:
    if connector not in STREAMS:
        end(f"{connector} has no stream that is known; there are {', '.join(sorted(STREAMS))}", Exit.USAGE)
    kept = kept_position(state or Path(f"{connector}.position.json"))
    if from_now:
        kept.save(None)
    try:
        key = None if key_file is None else key_file.read_text(encoding="utf-8").strip()
    except OSError as error:
        end(f"cannot read {key_file}: {error.strerror}", Exit.USAGE)
    stream = Stream(url, STREAMS[connector], key, kept, metrics, stop, heartbeat_s=heartbeat_s)
    try:
        for lines in stream.batches():
            conversions = list(connector_named(connector).convert(io.BytesIO(b"\n".join(lines)), url))
            if not _deliver(conversions, client, metrics, stop):
                return
            stream.done(lines)
    except NotThisFormat as error:
        end(f"the stream sends what {connector} does not read: {error}", Exit.FAILED)
    except Gap as error:
        end(str(error), Exit.FAILED)
    except NotAllowed as error:
        end(str(error), Exit.USAGE)
    finally:
        stream.close()


def _watch_folder(
    new_connector: Callable[[], Connector],
    folder: Path,
    state: Path | None,
    client: Client,
    metrics: WatchMetrics,
    stop: StopSignal,
    *,
    settle_s: float,
    once: bool,
) -> None:
    if not folder.is_dir():
        end(f"{folder} is no folder", Exit.USAGE)
    new_connector()  # what it cannot be made with is told now, not with the first file
    kept = kept_position(state or folder.with_name(f"{folder.name}.position.json"))
    done: dict[str, list[int]] = kept.load() or {}
    while not stop.is_set:
        for path in _settled(folder, done, 0.0 if once else settle_s):
            seen = _signature(path)
            if not _import_file(new_connector, path, client, metrics, stop):
                return
            done[path.name] = seen
            kept.save(done)
        if once:
            return
        stop.wait(min(1.0, max(0.1, settle_s)))


def _settled(folder: Path, done: dict[str, list[int]], settle_s: float) -> Iterator[Path]:
    """Files that are new or have changed, and are not being written any more, by name."""
    for path in sorted(folder.iterdir()):
        with contextlib.suppress(FileNotFoundError):
            if path.name.startswith(".") or not path.is_file() or done.get(path.name) == _signature(path):
                continue
            if time.time() - path.stat().st_mtime >= settle_s:
                yield path


def _signature(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _import_file(
    new_connector: Callable[[], Connector], path: Path, client: Client, metrics: WatchMetrics, stop: StopSignal
) -> bool:
    """Whether it was imported, or cannot be and was told of; False if we are to stop before that."""
    while not stop.is_set:
        imported = Imported()
        try:
            for name, stream in opened(path):
                events = imported.convert(new_connector().convert(stream, name), None)
                for rejected in imported.publish(client, events):
                    if rejected is not None:
                        _log.warning(
                            "event_rejected", file=path.name, place=rejected.place, problems=str(rejected.problems)[:500]
                        )
        except (NotThisFormat, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            metrics.took(imported)
            metrics.unreadable()
            _log.error("file_not_read", file=path.name, reason=str(error))
            return True
        except IngestError as error:
            _log.warning("ingest_away", reason=str(error), retry_s=_INGEST_PAUSE_S)
            stop.wait(_INGEST_PAUSE_S)
            continue
        metrics.took(imported)
        _log.info("file_imported", file=path.name, **_figures(imported))
        return True
    return False


def _deliver(conversions: Sequence[Conversion], client: Client, metrics: WatchMetrics, stop: StopSignal) -> bool:
    """Until ingest has them; False if we are to stop before that."""
    while not stop.is_set:
        imported = Imported()
        try:
            for rejected in imported.publish(client, imported.convert(conversions, None)):
                if rejected is not None:
                    _log.warning("event_rejected", place=rejected.place, problems=str(rejected.problems)[:500])
        except IngestError as error:
            _log.warning("ingest_away", reason=str(error), retry_s=_INGEST_PAUSE_S)
            stop.wait(_INGEST_PAUSE_S)
            continue
        metrics.took(imported)
        return True
    return False


def _figures(imported: Imported) -> dict[str, object]:
    found = imported.document()
    del found["places"]
    return {**found, "by_type": orjson.dumps(found["by_type"]).decode(), "refusals": orjson.dumps(found["refusals"]).decode()}
