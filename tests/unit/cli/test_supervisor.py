"""A crashed service is started again after a growing pause, and given up with the end of its log."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from neutrality.cli.supervisor import Backoff, ServiceGaveUp, ServiceSpec, Supervised

QUICK = Backoff(first_pause_s=0.02, longest_pause_s=0.1, attempts=3, steady_s=60.0)


def spec(folder: Path, program: str) -> ServiceSpec:
    (folder / "a_service.py").write_text(textwrap.dedent(program))
    return ServiceSpec("a_service", "a_service", {**os.environ, "PYTHONPATH": str(folder)}, folder / "logs" / "a_service.log")


def watch_until_it_gives_up(service: Supervised) -> list[str]:
    told = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        happened = service.watch()
        if happened is not None:
            told.append(happened)
        time.sleep(0.005)
    raise AssertionError("it was never given up")


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(first_pause_s=0.5, longest_pause_s=8.0)
    assert [backoff.pause_s(crashes) for crashes in range(1, 7)] == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]


def test_a_killed_service_is_started_again(tmp_path: Path) -> None:
    service = Supervised(spec(tmp_path, "import time; time.sleep(60)"), monotonic=time.monotonic, backoff=QUICK)
    service.start()
    first = service.pid
    service.kill()
    said = service.watch()
    assert said is not None
    assert "status -9" in said
    deadline = time.monotonic() + 10
    while service.pid is None and time.monotonic() < deadline:
        service.watch()
        time.sleep(0.005)
    assert service.pid not in (None, first)
    assert service.restarts == 1
    service.stop(grace_s=5)


def test_a_service_that_keeps_ending_is_given_up_with_its_log(tmp_path: Path) -> None:
    service = Supervised(
        spec(tmp_path, "print('no luck', flush=True); raise SystemExit(1)"), monotonic=time.monotonic, backoff=QUICK
    )
    service.start()
    with pytest.raises(ServiceGaveUp, match=r"(?s)status 1, 3 time\(s\).*no luck"):
        watch_until_it_gives_up(service)


def test_wrong_settings_are_given_up_at_once(tmp_path: Path) -> None:
    service = Supervised(spec(tmp_path, "raise SystemExit(2)"), monotonic=time.monotonic, backoff=QUICK)
    service.start()
    with pytest.raises(ServiceGaveUp, match=r"status 2, 1 time"):
        watch_until_it_gives_up(service)


def test_a_service_that_does_not_heed_is_ended_by_force(tmp_path: Path) -> None:
    program = """
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        time.sleep(60)
    """
    service = Supervised(spec(tmp_path, program), monotonic=time.monotonic, backoff=QUICK)
    service.start()
    deadline = time.monotonic() + 10
    while "ready" not in service.log_tail() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert service.stop(grace_s=0.2) == -signal.SIGKILL
    assert service.pid is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_service_does_not_outlive_a_killed_parent(tmp_path: Path) -> None:
    (tmp_path / "a_service.py").write_text("import time; time.sleep(60)")
    parent_program = f"""
        import os, time
        from pathlib import Path
        from neutrality.cli.supervisor import ServiceSpec, Supervised
        folder = Path({str(tmp_path)!r})
        environment = {{**os.environ, "PYTHONPATH": str(folder)}}
        service = Supervised(ServiceSpec("a", "a_service", environment, folder / "a.log"), monotonic=time.monotonic)
        service.start()
        time.sleep(0.5)
        print(service.pid, flush=True)
        time.sleep(60)
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(parent_program)], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert psutil.pid_exists(child)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + 10
        while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE
    finally:
        parent.kill()
        parent.wait()
        if parent.stdout is not None:
            parent.stdout.close()
