"""One broker per data folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest

from neutrality.broker.embedded.data_lock import DataDirLock, Holder, parse_holder
from neutrality.broker.embedded.errors import DataDirInUse

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process that stands for a JVM."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


def _leave_behind(data_dir: Path, holder: Holder) -> None:
    fields = {name: getattr(holder, name) for name in ("owner_pid", "jvm_pid", "jvm_started_s", "port")}
    (data_dir / "broker.lock").write_text(json.dumps(fields), encoding="utf-8")


def test_a_living_holder_is_named(tmp_path: Path) -> None:
    first, second = DataDirLock(tmp_path), DataDirLock(tmp_path)
    first.acquire()
    first.note_jvm(os.getpid(), port=29092)
    with pytest.raises(DataDirInUse) as error:
        second.acquire()
    assert f"in use by process {os.getpid()}, Kafka is process {os.getpid()} on port 29092" in error.value.problem
    assert error.value.where == str(tmp_path)
    first.release()
    second.acquire()
    second.release()


def test_the_lock_of_a_process_that_died_is_taken_over(tmp_path: Path) -> None:
    code = (
        "import os, signal, pathlib; from neutrality.broker.embedded.data_lock import DataDirLock;"
        f"DataDirLock(pathlib.Path({str(tmp_path)!r})).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    assert (tmp_path / "broker.lock").exists()
    lock = DataDirLock(tmp_path)
    lock.acquire()
    lock.release()


def test_nothing_is_left_of_a_released_lock_and_both_calls_may_be_repeated(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    lock.acquire()
    lock.acquire()
    lock.release()
    lock.release()
    assert not list(tmp_path.iterdir())


def test_a_jvm_that_outlived_its_owner_is_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    _leave_behind(tmp_path, Holder(2**22 + 1, sleeper.pid, psutil.Process(sleeper.pid).create_time(), 29092))
    lock = DataDirLock(tmp_path)
    lock.acquire()
    # Not its exit status: it is our own child here, and the lock, waiting for it, has taken that.
    assert not psutil.pid_exists(sleeper.pid)
    lock.release()


def test_another_process_with_the_old_process_id_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    _leave_behind(tmp_path, Holder(2**22 + 1, sleeper.pid, psutil.Process(sleeper.pid).create_time() - 3600, 29092))
    lock = DataDirLock(tmp_path)
    lock.acquire()
    assert sleeper.poll() is None
    lock.release()


@pytest.mark.parametrize("text", ["", "{", "[]", "4711", '{"owner_pid": "x"}', "{}"])
def test_a_lock_file_that_a_crash_cut_short_stops_nobody(tmp_path: Path, text: str) -> None:
    assert parse_holder(text) is None
    (tmp_path / "broker.lock").write_text(text, encoding="utf-8")
    lock = DataDirLock(tmp_path)
    lock.acquire()
    lock.release()


def test_only_a_held_lock_can_be_written(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not held"):
        DataDirLock(tmp_path).note_jvm(1, port=1)
