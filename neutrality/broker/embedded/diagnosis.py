"""From the end of a log to the cause: why did the JVM end?"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING

from neutrality.broker.embedded.data_lock import data_dir_in_use
from neutrality.broker.embedded.errors import BrokerCrashed, DiskFull, EmbeddedKafkaError
from neutrality.broker.embedded.ports import port_taken

if TYPE_CHECKING:
    from pathlib import Path

_TAIL_BYTES = 64 * 1024
_TAIL_LINES = 12
_LINE_CHARACTERS = 300
# Less is full: the JVM could not write its last words either, as its log is on the same disk.
_FULL_DISK_BYTES = 4 * 1024 * 1024

_NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
_ADDRESS_IN_USE = re.compile(r"Address already in use")
_DIRECTORY_LOCKED = re.compile(r"Failed to acquire lock on file")
_NO_MEMORY = re.compile(
    r"OutOfMemoryError|Could not reserve enough space|insufficient memory|[Ii]nvalid maximum heap size|Too small maximum heap"
)
# Where in Kafka's code it happened helps nobody who reads a message; the log has it.
_STACK_FRAME = re.compile(r"^\s+(at |\.\.\. \d+ more)")
_ERROR_LINE = re.compile(r" (ERROR|FATAL) |^Exception in thread|^Error[: ]|^Caused by:|^# ")


def read_log(log_file: Path, *, since_byte: int) -> str:
    """The end of what was logged since `since_byte`; an earlier run's errors are not this one's cause."""
    try:
        with log_file.open("rb") as log:
            end = log.seek(0, 2)
            log.seek(max(since_byte, end - _TAIL_BYTES))
            return log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""


def excerpt(log: str) -> str:
    """At most twelve lines for a message: from the first error if there is one, else the last ones."""
    lines = [line[:_LINE_CHARACTERS] for line in log.splitlines() if line.strip() and not _STACK_FRAME.match(line)]
    first_error = next((number for number, line in enumerate(lines) if _ERROR_LINE.search(line)), None)
    chosen = lines[-_TAIL_LINES:] if first_error is None else lines[first_error : first_error + _TAIL_LINES]
    return "\n".join(f"    {line}" for line in chosen) or "    (nothing was logged)"


def why_ended(  # noqa: PLR0913 - facts, all by name
    *, returncode: int, log: str, during: str, free_bytes: int, log_file: Path, port: int, ports: tuple[int, ...], heap_mb: int
) -> EmbeddedKafkaError:
    """The error that tells why the JVM ended by itself.

    Args:
        returncode: Its exit status; negative is the number of a signal.
        log: What it logged since it was started.
        during: What it was doing, as the end of a sentence.
        free_bytes: What is left on the disk of the data folder.
        log_file: Where the log is; its folder is the data folder.
        port: The port of the clients.
        ports: All ports that the broker listens on.
        heap_mb: The limit of Java's heap.
    """
    data_dir = log_file.parent
    if _NO_SPACE.search(log) or free_bytes < _FULL_DISK_BYTES:
        return DiskFull(
            f"Kafka ended {during}, as the disk is full.",
            where=str(data_dir),
            remedy="Free some space there, then start again.",
        )
    if _DIRECTORY_LOCKED.search(log):
        return data_dir_in_use(data_dir, "a Kafka that was not started by us")
    if _ADDRESS_IN_USE.search(log):
        named = next((candidate for candidate in ports if re.search(rf":{candidate}\b.*{_ADDRESS_IN_USE.pattern}", log)), port)
        return port_taken(named)
    if _NO_MEMORY.search(log):
        remedy = f"Give it more memory than heap_mb={heap_mb}, or if the machine has none left, end other programs."
    elif returncode == -signal.SIGKILL:
        remedy = "Somebody killed it, or the system did for want of memory (see dmesg). Start again: the data is kept."
    else:
        remedy = f"Read {log_file}. If the data is damaged and can be done without, remove {data_dir}."
    return BrokerCrashed(
        f"Kafka ended {during}, {_status(returncode)}. From its log:\n{excerpt(log)}",
        where=str(log_file),
        remedy=remedy,
        returncode=returncode,
    )


def _status(returncode: int) -> str:
    if returncode >= 0:
        return f"exit status {returncode}"
    try:
        return f"by signal {signal.Signals(-returncode).name}"
    except ValueError:
        return f"by signal {-returncode}"
