"""The step between us and the JVM, with a Python in the JVM's place."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from neutrality.broker.embedded import become_jvm
from neutrality.broker.embedded.jvm import Jvm

_PROGRAM = str(Path(become_jvm.__file__))


def test_foreign_java_options_do_not_reach_our_jvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-javaagent:/not/ours.jar")
    monkeypatch.setenv("CLASSPATH", "/not/ours")
    log_file = tmp_path / "log"
    code = "import os; print(os.getpid(), {'JAVA_TOOL_OPTIONS', 'CLASSPATH'} & os.environ.keys(), os.getsid(0), os.getcwd())"
    jvm = Jvm([sys.executable, "-c", code], folder=tmp_path, log_file=log_file)
    assert jvm.wait(timedelta(seconds=20)) == 0
    # The same process id before and after, in a session of its own.
    assert log_file.read_text(encoding="utf-8").strip() == f"{jvm.pid} set() {jvm.pid} {tmp_path}"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_nothing_starts_for_a_parent_that_is_gone() -> None:
    result = subprocess.run(
        [sys.executable, "-I", _PROGRAM, str(os.getpid() + 1), "/bin/true"], check=False, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert "has ended before Kafka could start" in result.stderr


def test_a_program_that_is_not_there_is_an_end_with_its_reason_in_the_log(tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    jvm = Jvm(["/not/there/java"], folder=tmp_path, log_file=log_file)
    assert jvm.wait(timedelta(seconds=20)) == 1
    assert "No such file or directory: '/not/there/java'" in log_file.read_text(encoding="utf-8")


def test_a_log_that_cannot_be_written_is_raised_where_the_jvm_was_wanted(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Jvm(["/bin/true"], folder=tmp_path, log_file=tmp_path / "absent" / "log")
