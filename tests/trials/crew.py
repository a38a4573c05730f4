"""The workers of one group as an operator runs them: who leaves with exit code 1 is started again, after the pauses of `neutrality up`.

Started from the main thread only: the workers' lives are tied to the thread that starts them (see `neutrality.cli.tied`).
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from neutrality.cli.supervisor import Backoff, ServiceSpec

ROOT: Final = Path(__file__).parents[2]
BEYOND_REPAIR: Final = 1
STOP_S: Final = 40.0  # twice scoring's grace
START_S: Final = 10.0  # the imports, on a busy machine


@dataclass
class _Worker:
    spec: ServiceSpec
    process: subprocess.Popen[bytes]
    started_s: float
    crashes: int = 0
    due_s: float | None = None
    wanted: bool = True


@dataclass
class Crew:
    """Starts, mistreats and ends workers. `settings` are scoring's, without prefix; each worker has a log and a data folder of its own."""

    folder: Path
    settings: Mapping[str, object]
    restarts: int = 0
    failures: list[str] = field(default_factory=list)
    _workers: list[_Worker] = field(default_factory=list)
    _backoff: Backoff = field(default_factory=Backoff)

    @property
    def size(self) -> int:
        """How many were started, but for those that were started again."""
        return len(self._workers)

    @property
    def is_lost(self) -> bool:
        """Whether some worker has left for good though nobody wanted it to."""
        return bool(self.failures)

    def add(self) -> None:
        """Start one more."""
        name = f"worker-{len(self._workers)}"
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SCORING_")}
        given = {**self.settings, "METRICS_PORT": 0, "DATA_DIR": self.folder / name}
        environment |= {f"SCORING_{key}": str(value) for key, value in given.items()}
        spec = ServiceSpec(name, "services.scoring", environment, self.folder / f"{name}.log")
        self._workers.append(_Worker(spec, _start(spec), time.monotonic()))

    def supervise(self) -> None:
        """Notice who has left; to be called a few times a second."""
        now_s = time.monotonic()
        for worker in self._workers:
            if worker.due_s is not None and now_s >= worker.due_s:
                worker.process, worker.started_s, worker.due_s = _start(worker.spec), now_s, None
                self.restarts += 1
            elif worker.wanted and worker.due_s is None and worker.process.poll() is not None:
                self._has_left(worker, now_s)

    def send(self, number: int, signal_: signal.Signals) -> bool:
        """Signal a worker; False if it does not live at the moment. One that is killed is not started again."""
        worker = self._workers[number]
        if worker.due_s is not None or worker.process.poll() is not None:
            return False
        if signal_ is signal.SIGKILL:
            worker.wanted = False
        worker.process.send_signal(signal_)
        return True

    def stop(self) -> None:
        """End all in order; who does not leave with 0, or not in time, is a failure."""
        self.supervise()
        living = [worker for worker in self._workers if worker.wanted and worker.due_s is None]
        ended_s = time.monotonic()
        for worker in self._workers:
            worker.wanted, worker.due_s = False, None
        for worker in living:
            worker.process.terminate()
        deadline_s = time.monotonic() + STOP_S
        for worker in living:
            try:
                code = worker.process.wait(max(0.1, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.failures.append(f"{worker.spec.name} did not end within {STOP_S:g} s of SIGTERM")
            else:
                too_early = code == -signal.SIGTERM and ended_s - worker.started_s < START_S  # it did not listen yet
                if code != 0 and not too_early:
                    self.failures.append(f"{worker.spec.name} ended with {code} on SIGTERM")

    def kill(self) -> None:
        """End all at once. May be repeated."""
        for worker in self._workers:
            worker.wanted, worker.due_s = False, None
            if worker.process.poll() is None:
                worker.process.kill()
            worker.process.wait()

    def logs(self) -> dict[str, str]:
        """The text of each worker's log."""
        return {worker.spec.name: worker.spec.log_file.read_text(encoding="utf-8", errors="replace") for worker in self._workers}

    def _has_left(self, worker: _Worker, now_s: float) -> None:
        code, name = worker.process.returncode, worker.spec.name
        if now_s - worker.started_s >= self._backoff.steady_s:
            worker.crashes = 0
        worker.crashes += 1
        if code != BEYOND_REPAIR:
            self.failures.append(f"{name} left with exit code {code}")
            worker.wanted = False
        elif worker.crashes >= self._backoff.attempts:
            self.failures.append(f"{name} left {worker.crashes} times in a row")
            worker.wanted = False
        else:
            worker.due_s = now_s + self._backoff.pause_s(worker.crashes)


def _start(spec: ServiceSpec) -> subprocess.Popen[bytes]:
    with spec.log_file.open("ab") as log:
        return subprocess.Popen(
            spec.command(),
            cwd=ROOT,
            env=dict(spec.environment),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the trials alone
        )
