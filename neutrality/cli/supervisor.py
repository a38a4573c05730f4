"""Runs a service as a process of its own and starts it again when it crashes.

One `Supervised` a service. `start` and `watch` must be called from one thread that lives as long as the services may (see `tied`):
`neutrality up` does so from its main thread. `watch` is to be called a few times a second; it never blocks. A service that ends by itself is
started again after a pause that doubles; one that keeps ending is given up with `ServiceGaveUp`, which shows the end of its log. A service that
ends with the exit status for wrong settings (2) is given up at once: nothing would change.

Ports, settings and logs: the environment is given whole, the log file is appended to, standard input is closed, and the process is in a
session of its own, so that Ctrl-C in the terminal reaches `up` alone, which then ends the services in order.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TIED: Final = Path(__file__).with_name("tied.py")
_WRONG_SETTINGS: Final = 2
_LOG_TAIL_BYTES: Final = 8 * 1024
_LOG_TAIL_LINES: Final = 15


class ServiceGaveUp(Exception):  # noqa: N818 - named for what it is
    """A service ended by itself too often. Fate: stop everything and tell the user."""

    retriable = False


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often and after which pauses a service is started again. A run of `steady_s` or more forgives what was before."""

    first_pause_s: float = 0.5
    longest_pause_s: float = 8.0
    attempts: int = 6
    steady_s: float = 30.0

    def pause_s(self, crashes: int) -> float:
        """The pause after the given number of crashes in a row (1 or more)."""
        return float(min(self.longest_pause_s, self.first_pause_s * 2 ** (crashes - 1)))


@dataclass(frozen=True, slots=True)
class ServiceSpec:
    """What is run: `python -m module` with this environment, logging to this file."""

    name: str
    module: str
    environment: Mapping[str, str]
    log_file: Path

    def command(self) -> list[str]:
        """The process as it is started: the tie first, then the service."""
        return [sys.executable, "-I", str(_TIED), str(os.getpid()), sys.executable, "-m", self.module]


class Supervised:
    """One service and its restarts."""

    def __init__(self, spec: ServiceSpec, *, monotonic: Callable[[], float], backoff: Backoff | None = None) -> None:
        """Nothing is started yet. `monotonic` is a clock in seconds."""
        self.spec = spec
        self.restarts = 0
        self._monotonic = monotonic
        self._backoff = backoff or Backoff()
        self._process: subprocess.Popen[bytes] | None = None
        self._started_s = 0.0
        self._crashes = 0
        self._due_s: float | None = None

    @property
    def pid(self) -> int | None:
        """The service's process id while it lives."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self) -> None:
        """Start the process. A return promises no readiness."""
        self.spec.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.spec.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.spec.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.spec.environment),
                start_new_session=True,
            )
        self._started_s = self._monotonic()
        self._due_s = None

    def watch(self) -> str | None:
        """Notice an end and start again when it is due; what happened in words, or None.

        Raises:
            ServiceGaveUp: it ended too often, or with wrong settings.
        """
        now_s = self._monotonic()
        if self._due_s is not None:
            if now_s < self._due_s:
                return None
            self.start()
            self.restarts += 1
            return f"{self.spec.name} is started again"
        if self._process is None or (status := self._process.poll()) is None:
            return None
        if now_s - self._started_s >= self._backoff.steady_s:
            self._crashes = 0
        self._crashes += 1
        if status == _WRONG_SETTINGS or self._crashes >= self._backoff.attempts:
            raise ServiceGaveUp(
                f"{self.spec.name} ended with status {status}, {self._crashes} time(s) in a row. From {self.spec.log_file}:\n{self.log_tail()}"
            )
        pause_s = self._backoff.pause_s(self._crashes)
        self._due_s = now_s + pause_s
        return f"{self.spec.name} ended with status {status}; it is started again in {pause_s:g} s"

    def kill(self) -> None:
        """End it as a crash would; `watch` starts it again."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def ask_to_stop(self) -> None:
        """Send SIGTERM, and do not start it again."""
        self._due_s = None
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self, grace_s: float = 15.0) -> int | None:
        """End it in order, by force after the grace; its exit status. Then there is no process. May be repeated."""
        self.ask_to_stop()
        if self._process is None:
            return None
        try:
            status = self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        self._process = None
        return status

    def log_tail(self) -> str:
        """The last lines of its log, for messages."""
        try:
            with self.spec.log_file.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
                lines = log.read().decode("utf-8", errors="replace").splitlines()
        except OSError:
            return "    (no log)"
        return "\n".join(f"    {line[:300]}" for line in lines[-_LOG_TAIL_LINES:]) or "    (nothing was logged)"
