"""Kafka's jars and the Java that runs them: pinned, fetched once, verified at every start.

`jars.toml` pins each jar by Maven coordinate, size and SHA-256; `pin` wrote it, once, from Kafka's POMs. A
start never resolves POMs again: it fetches exactly what is pinned, through jgo's pure-Python resolver, from Maven Central.

Order, at a start (`install_kafka`):

1. every jar that is there is hashed (45 MB, some 50 ms), so damage is named as such and not met later as a NoSuchMethodError;
2. if all are there, that was all: no network, and neither jgo nor rich is imported;
3. else the missing ones are fetched into a staging folder beside, hashed, and moved into place one by one. The move is
   atomic, so a start that is killed, or two first starts at once, leave no half jar.

The folder carries the digest of the pins: another version of the lock file gets another folder.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from neutrality.broker.embedded.errors import ChecksumMismatch, DiskFull, DownloadFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

LOCK_FILE_NAME = "jars.toml"

# jgo opens a new connection per request, two a jar: on a link of 100 ms, 45 jars one by one take over 30 s.
_PARALLEL_DOWNLOADS = 6
_HTTP_TIMEOUT_S = 30
# Room that a download must leave, so that we are never the ones who fill the disk to the brim.
_SPARE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class PinnedJar:
    """One file of Maven Central, as the lock file pins it."""

    group_id: str
    artifact_id: str
    version: str
    size_bytes: int
    sha256: str

    @property
    def coordinate(self) -> str:
        """`groupId:artifactId:version`, as Maven writes it."""
        return f"{self.group_id}:{self.artifact_id}:{self.version}"

    @property
    def file_name(self) -> str:
        """The jar's name in Maven Central and in our cache."""
        return f"{self.artifact_id}-{self.version}.jar"


@dataclass(frozen=True, slots=True)
class KafkaPins:
    """The lock file: Kafka's version and every jar it needs, in the order of the class path."""

    kafka_version: str
    jars: tuple[PinnedJar, ...]

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that change with any pin."""
        text = "\n".join(f"{jar.coordinate} {jar.sha256}" for jar in self.jars)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def default_cache_dir() -> Path:
    """The folder of the user's cache where the jars go unless the caller says otherwise."""
    return platformdirs.user_cache_path("neutrality-watch")


def load_pins() -> KafkaPins:
    """Read the lock file that ships with this package."""
    return parse_pins((resources.files("neutrality.broker.embedded") / LOCK_FILE_NAME).read_text(encoding="utf-8"))


def parse_pins(text: str) -> KafkaPins:
    """Read the pins from TOML.

    Raises:
        ValueError: A pin is malformed. A pin without a checksum would be no pin.
    """
    document = tomllib.loads(text)
    jars = []
    for entry in document["jar"]:
        parts = str(entry["coordinate"]).split(":")
        sha256 = str(entry["sha256"])
        if len(parts) != 3 or len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ValueError(f"{LOCK_FILE_NAME}: malformed pin {entry!r}")
        jars.append(PinnedJar(parts[0], parts[1], parts[2], size_bytes=int(entry["size"]), sha256=sha256))
    if not jars:
        raise ValueError(f"{LOCK_FILE_NAME}: no jar is pinned")
    return KafkaPins(kafka_version=str(document["kafka"]), jars=tuple(jars))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_free_space(folder: Path, needed_bytes: int, *, purpose: str) -> None:
    """Refuse early what would fail half-way.

    Raises:
        DiskFull: The file system of `folder`, which must exist, has less than `needed_bytes` left for us.
    """
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise DiskFull(
            f"The disk is too full for {purpose}: {free_bytes / 1e6:.0f} MB are free, {needed_bytes / 1e6:.0f} MB are needed.",
            where=str(folder),
            remedy="Free some space there, or choose a folder on another disk.",
        )


def install_kafka(
    cache_dir: Path,
    *,
    pins: KafkaPins | None = None,
    fetch: Callable[[Sequence[PinnedJar], Path], None] | None = None,
) -> list[Path]:
    """Make sure that every pinned jar is in the cache, and unharmed.

    Args:
        cache_dir: Where the jars are kept between runs; made if it is not there.
        pins: What to install; by default the lock file of this package.
        fetch: Puts jars, by their `file_name`, into a folder; by default from Maven Central.

    Returns:
        The paths of all jars, in the order of the class path.

    Raises:
        ChecksumMismatch: A jar, cached or fetched, is not the pinned one; it is removed.
        DiskFull: There is no room for the download.
        DownloadFailed: A jar is missing and cannot be fetched.
    """
    pins = pins or load_pins()
    folder = cache_dir / "kafka" / f"{pins.kafka_version}-{pins.digest}"
    folder.mkdir(parents=True, exist_ok=True)
    missing = []
    for jar in pins.jars:
        path = folder / jar.file_name
        if path.exists():
            _verify(path, jar, kept_in=folder)
        else:
            missing.append(jar)
    if missing:
        _download(missing, folder, fetch or fetch_from_maven_central)
    return [folder / jar.file_name for jar in pins.jars]


def fetch_from_maven_central(jars: Sequence[PinnedJar], folder: Path) -> None:
    """Fetch jars by their coordinates, with a progress bar on standard error.

    Raises:
        DownloadFailed: There is no network, or Maven Central does not have or give the jar.
    """
    # Imported here: jgo brings requests, 0.3 s that only a first start has to spend.
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("Fetching Apache Kafka", total=sum(jar.size_bytes for jar in jars))

        @contextmanager
        def count_bytes(_file_name: str, _total_bytes: int) -> Iterator[Callable[[int], None]]:
            yield lambda byte_count: progress.advance(task, byte_count)

        context = MavenContext(
            resolver=PythonResolver(progress_callback=count_bytes), repo_cache=folder / "m2", timeout=_HTTP_TIMEOUT_S
        )

        def fetch_one(jar: PinnedJar) -> None:
            artifact = context.project(jar.group_id, jar.artifact_id).at_version(jar.version).artifact()
            artifact.resolve().replace(folder / jar.file_name)

        pool = ThreadPoolExecutor(_PARALLEL_DOWNLOADS, thread_name_prefix="kafka-download")
        try:
            for jar, done in [(jar, pool.submit(fetch_one, jar)) for jar in jars]:
                try:
                    done.result()
                # requests' errors are OSErrors, jgo's own a RuntimeError.
                except (OSError, RuntimeError) as error:
                    raise _download_error(jar, folder, error) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _download_error(jar: PinnedJar, folder: Path, error: Exception) -> DownloadFailed | DiskFull:
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return DiskFull(
            f"The disk filled up while {jar.file_name} was fetched.",
            where=str(folder),
            remedy="Free some space there, or choose a cache folder on another disk.",
        )
    return DownloadFailed(
        f"Cannot fetch {jar.file_name}, a part of Apache Kafka: {type(error).__name__}: {error}",
        where=f"Maven Central, {jar.coordinate}",
        remedy="Check the network (and proxy settings), then start again: what was fetched is kept. "
        "Only a first start needs the network; a cache folder filled on another machine can be copied here.",
    )


def _download(missing: Sequence[PinnedJar], folder: Path, fetch: Callable[[Sequence[PinnedJar], Path], None]) -> None:
    require_free_space(folder, sum(jar.size_bytes for jar in missing) + _SPARE_BYTES, purpose="Apache Kafka's jars")
    # Beside the target, so that the move stays on one file system and is atomic.
    with tempfile.TemporaryDirectory(dir=folder, prefix="download-") as staging_name:
        staging = Path(staging_name)
        try:
            fetch(missing, staging)
        finally:
            # What has arrived is kept even if a later jar failed: the next try goes on from there.
            for jar in missing:
                arrived = staging / jar.file_name
                if arrived.exists():
                    _verify(arrived, jar, kept_in=folder)
                    arrived.replace(folder / jar.file_name)


def _verify(path: Path, jar: PinnedJar, *, kept_in: Path) -> None:
    found = sha256_of(path)
    if found == jar.sha256:
        return
    size_bytes = path.stat().st_size
    path.unlink(missing_ok=True)
    raise ChecksumMismatch(
        f"{jar.file_name} is not the file that is pinned: SHA-256 {found} ({size_bytes} bytes) "
        f"instead of {jar.sha256} ({jar.size_bytes} bytes). It has been removed.",
        where=f"{kept_in}, {jar.coordinate}",
        remedy="Start again to fetch it afresh. If that ends the same way, something between here and Maven Central "
        "alters downloads: do not go on before you know what.",
    )
