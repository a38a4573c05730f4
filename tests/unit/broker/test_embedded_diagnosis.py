"""From the end of a log to the cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from neutrality.broker.embedded.diagnosis import excerpt, read_log, why_ended
from neutrality.broker.embedded.errors import BrokerCrashed, DataDirInUse, DiskFull, EmbeddedKafkaError, PortTaken

if TYPE_CHECKING:
    from pathlib import Path

_PLENTY = 10**12
_BIND = "org.apache.kafka.common.KafkaException: Socket server failed to bind to 127.0.0.1:29093: Address already in use."
_LOCKED = (
    "org.apache.kafka.common.KafkaException: Failed to acquire lock on file .lock in /d. A Kafka instance in another process"
)


def _why(folder: Path, *, log: str, returncode: int = 1, free_bytes: int = _PLENTY) -> EmbeddedKafkaError:
    return why_ended(
        returncode=returncode,
        log=log,
        during="while it started",
        free_bytes=free_bytes,
        log_file=folder / "kafka.log",
        port=29092,
        ports=(29092, 29093),
        heap_mb=384,
    )


@pytest.mark.parametrize(
    ("log", "returncode", "free_bytes", "kind", "says"),
    [
        ("java.io.IOException: No space left on device", 1, _PLENTY, DiskFull, "disk is full"),
        ("java.io.IOException: Disk quota exceeded", 1, _PLENTY, DiskFull, "disk is full"),
        ("", 1, 4096, DiskFull, "disk is full"),
        (_BIND, 1, _PLENTY, PortTaken, "Port 29093 is taken"),
        ("java.net.BindException: Address already in use", 1, _PLENTY, PortTaken, "Port 29092 is taken"),
        (_LOCKED, 1, _PLENTY, DataDirInUse, "not started by us"),
        ("java.lang.OutOfMemoryError: Java heap space", 3, _PLENTY, BrokerCrashed, "heap_mb=384"),
        ("all was well", -9, _PLENTY, BrokerCrashed, "by signal SIGKILL"),
        ("all was well", -9, _PLENTY, BrokerCrashed, "want of memory"),
        ("all was well", -250, _PLENTY, BrokerCrashed, "by signal 250"),
        ("java.lang.IllegalStateException: whatever", 1, _PLENTY, BrokerCrashed, "exit status 1"),
    ],
)
def test_the_log_tells_the_cause(
    tmp_path: Path, log: str, returncode: int, free_bytes: int, kind: type[EmbeddedKafkaError], says: str
) -> None:
    error = _why(tmp_path, log=log, returncode=returncode, free_bytes=free_bytes)
    assert type(error) is kind
    assert says in str(error)
    assert "what to do: " in str(error)


def test_a_crash_shows_the_first_error_and_where_the_log_is(tmp_path: Path) -> None:
    log = "\n".join(
        [
            *(f"INFO line {n}" for n in range(50)),
            "2026 ERROR it broke (k.Server)",
            *(f"\tat frame {n}" for n in range(50)),
            "Caused by: a typo",
        ]
    )
    error = _why(tmp_path, log=log)
    assert isinstance(error, BrokerCrashed)
    assert error.returncode == 1
    assert "ERROR it broke" in error.problem
    assert "Caused by: a typo" in error.problem
    assert "INFO line" not in error.problem
    assert "at frame" not in error.problem
    assert str(tmp_path / "kafka.log") in error.where


def test_an_excerpt_without_an_error_is_the_end_and_is_short() -> None:
    text = excerpt("\n".join([*(f"line {n}" for n in range(100)), "x" * 5000]))
    assert text.splitlines()[0].strip() == "line 89"
    assert max(map(len, text.splitlines())) <= 304
    assert excerpt("") == "    (nothing was logged)"


def test_an_earlier_run_is_not_blamed(tmp_path: Path) -> None:
    log_file = tmp_path / "kafka.log"
    log_file.write_text("No space left on device\n", encoding="utf-8")
    offset = log_file.stat().st_size
    with log_file.open("ab") as log:
        log.write(b"all is \xff well")
    assert read_log(log_file, since_byte=offset) == "all is \ufffd well"
    assert read_log(tmp_path / "absent.log", since_byte=0) == ""
