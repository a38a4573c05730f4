"""One broker per data folder: `broker.lock`, held with flock while the broker runs.

The kernel drops the lock with the process that holds it, so a lock file found unlocked is a leftover, and is taken over. What
it says is for people, and for one rare case: a JVM that outlived its owner (where the kernel does not end it with its parent,
see `become_jvm`). The lock being free proves that its owner is gone, and nobody else could ever stop that JVM, so we do.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import psutil

from neutrality.broker.embedded.errors import DataDirInUse

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO

# Kafka ends within a second; one that does not in ten has no more data to save than a killed one.
_ORPHAN_GRACE_S = 10.0
# Process ids are used again; with the time of start they are not. The kernel counts it in hundredths of a second.
_SAME_START_S = 0.5


@dataclass(frozen=True, slots=True)
class Holder:
    """What the lock file says: who runs which JVM."""

    owner_pid: int
    jvm_pid: int | None = None
    jvm_started_s: float | None = None
    port: int | None = None

    def __str__(self) -> str:
        """For messages."""
        broker = f", Kafka is process {self.jvm_pid} on port {self.port}" if self.jvm_pid else ""
        return f"process {self.owner_pid}{broker}"


def parse_holder(text: str) -> Holder | None:
    """Read a lock file. None if it is empty or not ours to understand: one cut short by a crash must not stop a start."""
    with suppress(ValueError, TypeError, LookupError):
        fields = json.loads(text)
        return Holder(
            owner_pid=int(fields["owner_pid"]),
            jvm_pid=int(fields["jvm_pid"]) if fields.get("jvm_pid") is not None else None,
            jvm_started_s=float(fields["jvm_started_s"]) if fields.get("jvm_started_s") is not None else None,
            port=int(fields["port"]) if fields.get("port") is not None else None,
        )
    return None


class DataDirLock:
    """The lock of one data folder. Held from `acquire` to `release`, or to the end of this process."""

    def __init__(self, data_dir: Path) -> None:
        """Nothing is locked yet."""
        self._path = data_dir / "broker.lock"
        self._file: TextIO | None = None

    def acquire(self) -> None:
        """Lock the folder, which must exist. No effect if this object holds it already.

        Raises:
            DataDirInUse: A living process holds it, maybe this one through another object.
        """
        if self._file is not None:
            return
        file = self._open_locked()
        leftover = parse_holder(file.read())
        self._file = file
        self._write(Holder(owner_pid=os.getpid()))
        if leftover is not None:
            _end_orphan(leftover)

    def note_jvm(self, jvm_pid: int, *, port: int) -> None:
        """Write down which JVM runs under this lock."""
        started_s = None
        with suppress(psutil.Error):  # It has ended already; the caller will see.
            started_s = psutil.Process(jvm_pid).create_time()
        self._write(Holder(owner_pid=os.getpid(), jvm_pid=jvm_pid, jvm_started_s=started_s, port=port))

    def release(self) -> None:
        """Remove and free the lock. No effect if it is not held."""
        if self._file is None:
            return
        # While it is still held: removed afterwards, it could be another's already.
        self._path.unlink(missing_ok=True)
        self._file.close()
        self._file = None

    def _open_locked(self) -> TextIO:
        while True:
            file = self._path.open("a+", encoding="utf-8")
            file.seek(0)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = parse_holder(file.read())
                file.close()
                raise data_dir_in_use(self._path.parent, str(holder or "another process")) from None
            # Its holder may have removed the file between our open and our lock: then we have locked a file without a name.
            with suppress(FileNotFoundError):
                if self._path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                    return file
            file.close()

    def _write(self, holder: Holder) -> None:
        if self._file is None:
            raise RuntimeError("the lock is not held")
        self._file.seek(0)
        self._file.truncate()
        self._file.write(json.dumps(asdict(holder)) + "\n")
        self._file.flush()


def data_dir_in_use(data_dir: Path, holder: str) -> DataDirInUse:
    """The error for a folder that `holder` uses."""
    return DataDirInUse(
        f"The data folder is in use by {holder}.",
        where=str(data_dir),
        remedy="Use the Kafka that runs there, or end that process; or give another data folder.",
    )


def _end_orphan(leftover: Holder) -> None:
    if leftover.jvm_pid is None or leftover.jvm_started_s is None:
        return
    with suppress(psutil.NoSuchProcess):
        orphan = psutil.Process(leftover.jvm_pid)
        if abs(orphan.create_time() - leftover.jvm_started_s) > _SAME_START_S:
            return
        orphan.terminate()
        try:
            orphan.wait(_ORPHAN_GRACE_S)
        except psutil.TimeoutExpired:
            orphan.kill()
            orphan.wait(_ORPHAN_GRACE_S)
