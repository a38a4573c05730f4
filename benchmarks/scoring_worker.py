"""Scoring's real process, for benchmarks: started, watched and ended."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil
from prometheus_client.parser import text_string_to_metric_families

METRICS_TIMEOUT_S: Final = 30.0  # a worker in the middle of a large batch answers late
STOP_S: Final = 60.0


class WorkerEnded(RuntimeError):  # noqa: N818 - named for what it is
    """The worker is gone though nobody stopped it; the message has the end of its log."""


class ScoringWorker:
    """One worker, from its start on. Its log and its data lie in `folder`."""

    def __init__(self, folder: Path, name: str, settings: Mapping[str, object]) -> None:
        """Start it. `settings` are scoring's, without prefix."""
        self._log = folder / f"{name}.log"
        self._address: str | None = None
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SCORING_")}
        given = {"METRICS_PORT": 0, "DATA_DIR": folder / name, **settings}
        with self._log.open("wb") as output:
            self.started_s = time.time()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "services.scoring"],
                env=environment | {f"SCORING_{key}": str(value) for key, value in given.items()},
                stdout=output,
                stderr=output,
            )
        self.process = psutil.Process(self._process.pid)

    def check(self) -> None:
        """Return if it lives.

        Raises:
            WorkerEnded: it does not.
        """
        if (code := self._process.poll()) is not None:
            raise WorkerEnded(f"the worker ended with {code}: {self._log.read_text(errors='replace')[-2000:]}")

    def metrics(self) -> dict[str, float]:
        """Its metrics by sample name, summed over labels; empty as long as it serves none. Raises WorkerEnded."""
        self.check()
        if self._address is None:
            found = re.search(r'"port": (\d+), "event": "metrics_served"', self._log.read_text(errors="replace"))
            if found is None:
                return {}
            self._address = f"http://127.0.0.1:{found[1]}/metrics"
        try:
            text = urllib.request.urlopen(self._address, timeout=METRICS_TIMEOUT_S).read().decode()  # noqa: S310  our own worker
        except OSError:
            self.check()
            return {}
        values: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                values[sample.name] = values.get(sample.name, 0.0) + sample.value
        return values

    def is_ready(self) -> bool:
        """Whether it holds its partitions. Raises WorkerEnded."""
        return self.metrics().get("scoring_ready") == 1.0

    def cpu_s(self) -> float:
        """Processor time so far."""
        times = self.process.cpu_times()
        return times.user + times.system

    def resident_bytes(self) -> int:
        """Memory at the moment."""
        return int(self.process.memory_info().rss)

    def stop(self) -> None:
        """End it, in order if it takes no longer than `STOP_S`."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None) -> None:
        self.stop()
