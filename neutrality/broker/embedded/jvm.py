"""One Java process, started by a thread of its own that waits for its end.

The thread is what makes the promise of `become_jvm` hold: the kernel kills the JVM when the *thread* that started it ends, so
that must not be a worker thread of the caller's (`asyncio.to_thread(kafka.start)`). Ours ends with the JVM, or with this process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

_BECOME_JVM = Path(__file__).with_name("become_jvm.py")


class Jvm:
    """A running or ended JVM. Created by `EmbeddedKafka`, which ends it."""

    def __init__(self, command: Sequence[str], *, folder: Path, log_file: Path) -> None:
        """Start it, in `folder`, its output going to the end of `log_file`.

        Raises:
            OSError: It cannot be started.
        """
        self._ended = threading.Event()
        self._started = threading.Event()
        self._failure: OSError | None = None
        self._process: subprocess.Popen[bytes] | None = None
        keeper = threading.Thread(target=self._keep, args=(command, folder, log_file), name="embedded-kafka", daemon=True)
        keeper.start()
        self._started.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def pid(self) -> int:
        """The process id, of an ended one too."""
        return self._popen().pid

    def returncode(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._popen().returncode if self._ended.is_set() else None

    def wait(self, limit: timedelta | None = None) -> int | None:
        """Wait for its end, at most `limit`; None if it still runs then."""
        self._ended.wait(None if limit is None else limit.total_seconds())
        return self.returncode()

    def terminate(self) -> None:
        """Ask it to end in order."""
        self._popen().terminate()

    def kill(self) -> None:
        """End it at once."""
        self._popen().kill()

    def _popen(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the JVM was not started")
        return self._process

    def _keep(self, command: Sequence[str], folder: Path, log_file: Path) -> None:
        try:
            with log_file.open("ab") as log:
                self._process = subprocess.Popen(  # noqa: S603 - our own program and arguments, no shell
                    [sys.executable, "-I", "-S", str(_BECOME_JVM), str(os.getpid()), *command],
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
        except OSError as failure:
            self._failure = failure
            return
        finally:
            self._started.set()
        self._process.wait()
        self._ended.set()
