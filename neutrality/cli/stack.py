"""Everything that runs: the embedded Kafka and the four services as processes of their own, over one folder.

Who creates a `Stack` ends it: `neutrality up`, the end-to-end tests and the benchmark do. Order of a start: the folder is locked, the ports
are looked at, Kafka, then all services at once, then wait until each says that it is ready. Order of an end: the services are asked together
and waited for, then Kafka, then the lock is freed. All calls must come from one thread that lives as long as the stack (see `tied`).

In the folder: `up.lock` while it runs, `kafka/`, `alerts.db`, `scoring/`, `board.key` and `logs/`.
"""

import fcntl
import os
import shutil
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TextIO

import httpx

from neutrality.broker.embedded import EmbeddedKafka, EmbeddedKafkaError
from neutrality.cli.addresses import ALERTS_PORT, BOARD_PORT, INGEST_PORT, KAFKA_PORT, METRICS_PORT
from neutrality.cli.supervisor import Backoff, ServiceSpec, Supervised
from neutrality.events.vocabulary import iso

HOST: Final = "127.0.0.1"
_KEPT: Final = ("kafka", "alerts.db", "alerts.db-wal", "alerts.db-shm", "alerts.db.lock", "scoring", "ingest")
_KAFKA_RESTARTS: Final = 3


class StackError(Exception):
    """The stack cannot be started; the message says what to do. Fate: stop."""

    retriable = False


@dataclass(frozen=True, slots=True)
class Ports:
    """Where each part listens, on 127.0.0.1."""

    kafka: int = KAFKA_PORT
    ingest: int = INGEST_PORT
    alerts: int = ALERTS_PORT
    metrics: int = METRICS_PORT
    board: int = BOARD_PORT

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody listens on now. Held open together while they are picked, so that all differ."""
        sockets = [socket.socket() for _ in range(5)]
        try:
            for one in sockets:
                one.bind((HOST, 0))
            kafka, ingest, alerts, metrics, board = (one.getsockname()[1] for one in sockets)
            return cls(kafka, ingest, alerts, metrics, board)
        finally:
            for one in sockets:
                one.close()

    def require_free(self) -> None:
        """Look at every port.

        Raises:
            StackError: one is taken; it is named with the option that chooses another.
        """
        if len({self.kafka, self.ingest, self.alerts, self.metrics, self.board}) < 5:
            raise StackError("two parts were given the same port")
        for option in ("kafka", "ingest", "alerts", "metrics", "board"):
            port: int = getattr(self, option)
            with socket.socket() as probe:
                # as the services do: a port whose last connection is only being forgotten is free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError as error:
                    raise StackError(
                        f"port {port} ({option}) is taken: {error.strerror}. End what listens there, or choose another port with --{option}-port"
                    ) from error


@dataclass
class Stack:
    """One running product. `tell` gets a line for everything a person would like to know; `settings` is more for the services' environment."""

    folder: Path
    ports: Ports
    tell: Callable[[str], None]
    clock_starts_at: datetime | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    ready_within_s: float = 90.0
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        """Nothing is started or written yet."""
        self.folder = self.folder.absolute()
        self.kafka = EmbeddedKafka(data_dir=self.folder / "kafka", port=self.ports.kafka)
        self.services: dict[str, Supervised] = {}
        self._lock: TextIO | None = None
        self._kafka_restarts = 0

    @property
    def bootstrap_servers(self) -> str:
        """Kafka's address."""
        return f"{HOST}:{self.ports.kafka}"

    @property
    def ingest_url(self) -> str:
        """Ingest's address."""
        return f"http://{HOST}:{self.ports.ingest}"

    @property
    def alerts_url(self) -> str:
        """Alerts' address."""
        return f"http://{HOST}:{self.ports.alerts}"

    @property
    def scoring_url(self) -> str:
        """Scoring's address: metrics only."""
        return f"http://{HOST}:{self.ports.metrics}"

    @property
    def board_url(self) -> str:
        """The board's address."""
        return f"http://{HOST}:{self.ports.board}"

    def lock(self) -> None:
        """Take the folder. No effect if this object holds it.

        Raises:
            StackError: another process has it.
        """
        if self._lock is not None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "up.lock"
        lock = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip() or "another process"
            lock.close()
            raise StackError(f"already running as process {holder} over {self.folder}; use that one, or end it first") from None
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def forget(self) -> None:
        """Remove what was kept from earlier runs. The folder must be locked and nothing run."""
        for name in _KEPT:
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def start(self) -> None:
        """Start everything and return when all of it is ready. If it raises, nothing is left running.

        Raises:
            StackError: a port is taken, the folder is in use, or a service was not ready in time.
            EmbeddedKafkaError: Kafka did not start.
            ServiceGaveUp: a service ended again and again.
        """
        try:
            self.lock()
            self.ports.require_free()
            self.tell("starting Kafka")
            self.kafka.start()
            self.tell(f"Kafka is up on {self.bootstrap_servers}")
            for spec in self._specs():
                self.services[spec.name] = Supervised(spec, monotonic=time.monotonic, backoff=self.backoff)
                self.services[spec.name].start()
            self.await_ready()
        except BaseException:
            self.stop()
            raise

    def await_ready(self) -> None:
        """Return when every service says that it is ready.

        Raises:
            StackError: one was not in time; the end of its log is in the message.
            ServiceGaveUp: one ended again and again.
        """
        checks: dict[str, Callable[[], bool]] = {
            "ingest": lambda: _answers(f"{self.ingest_url}/health/ready", ""),
            # its exporter answers every path; the gauge tells when it holds its partitions
            "scoring": lambda: _answers(f"{self.scoring_url}/metrics", "\nscoring_ready 1.0"),
            "alerts": lambda: _answers(f"{self.alerts_url}/health/ready", ""),
            "board": lambda: _answers(f"{self.board_url}/health/ready", ""),
        }
        waiting = set(self.services)
        deadline_s = time.monotonic() + self.ready_within_s
        while waiting:
            self.watch()
            for name in sorted(waiting):
                if checks[name]():
                    self.tell(f"{name} is ready")
                    waiting.discard(name)
            if waiting and time.monotonic() > deadline_s:
                name = min(waiting)
                service = self.services[name]
                raise StackError(
                    f"{name} was not ready after {self.ready_within_s:g} s. From {service.spec.log_file}:\n{service.log_tail()}"
                )
            time.sleep(0.05)

    def watch(self) -> None:
        """Start again what has crashed; to be called a few times a second.

        Raises:
            ServiceGaveUp: a service ended too often.
            EmbeddedKafkaError: Kafka ended too often, or cannot be started again.
        """
        try:
            self.kafka.check()
        except EmbeddedKafkaError as error:
            self._kafka_restarts += 1
            if self._kafka_restarts > _KAFKA_RESTARTS:
                raise
            self.tell(f"{error.problem.splitlines()[0]} It is started again")
            self.kafka.start()
            self.tell("Kafka is up again")
        for service in self.services.values():
            happened = service.watch()
            if happened is not None:
                self.tell(happened)

    def stop(self) -> None:
        """End everything in order; then no process, port or lock is left. May be repeated."""
        for service in self.services.values():
            service.ask_to_stop()
        for service in self.services.values():
            service.stop()
        self.services.clear()
        self.kafka.stop()
        if self._lock is not None:
            (self.folder / "up.lock").unlink(missing_ok=True)  # while it is held: afterwards it could be another's
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self.stop()

    def _specs(self) -> tuple[ServiceSpec, ...]:
        own = {
            "INGEST_HOST": HOST,
            "INGEST_PORT": str(self.ports.ingest),
            "INGEST_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "INGEST_DATA_DIR": str(self.folder / "ingest"),
            "ALERTS_HOST": HOST,
            "ALERTS_PORT": str(self.ports.alerts),
            "ALERTS_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "ALERTS_DATABASE_URL": f"sqlite+aiosqlite:///{self.folder / 'alerts.db'}",
            "SCORING_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "SCORING_METRICS_HOST": HOST,
            "SCORING_METRICS_PORT": str(self.ports.metrics),
            "SCORING_DATA_DIR": str(self.folder / "scoring"),
            "BOARD_HOST": HOST,
            "BOARD_PORT": str(self.ports.board),
            "BOARD_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "BOARD_ALERTS_URL": self.alerts_url,
            "BOARD_SECRETS_KEY_FILE": str(self.folder / "board.key"),
        }
        if self.clock_starts_at is not None:
            own["BOARD_CLOCK_STARTS_AT"] = iso(self.clock_starts_at)
            own["SCORING_CLOCK_STARTS_AT"] = iso(self.clock_starts_at)
        environment = {**os.environ, **own, **self.settings}
        logs = self.folder / "logs"
        return tuple(
            ServiceSpec(name, f"services.{name}", environment, logs / f"{name}.log")
            for name in ("ingest", "scoring", "alerts", "board")
        )


def _answers(url: str, needed: str) -> bool:
    """Whether it answers with success, and with the needed text in it."""
    try:
        response = httpx.get(url, timeout=2.0)
    except httpx.HTTPError:
        return False
    return response.is_success and needed in response.text
