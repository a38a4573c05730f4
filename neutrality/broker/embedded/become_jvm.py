"""The step between us and the JVM: tie its life to ours, then become it.

Run as a program of its own, by path: `python -I become_jvm.py PARENT_PID JAVA ARGUMENT...`. It replaces itself by Java, so
the process id that the caller sees is the JVM's. A program, because the alternative (`preexec_fn`) runs Python between fork
and exec, which may deadlock in a process with threads. It imports nothing of ours: it must start in 20 ms.

On Linux the kernel then kills the JVM when its parent *thread* ends, however the parent ends, SIGKILL included; who starts us
must therefore do so from a thread that lives as long as the JVM may (`jvm.Jvm` does). Elsewhere there is no such promise,
and the next start finds the orphan by the lock file.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
# Java reads options from all of these; ours are complete, and a foreign agent or heap size would break them.
_FOREIGN_JAVA_VARIABLES = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH")


def main(argv: list[str]) -> None:
    """Never returns: becomes `argv[2:]`, or exits with 1 if the parent is already gone."""
    parent_pid, command = int(argv[1]), argv[2:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"prctl(PR_SET_PDEATHSIG) failed: {os.strerror(ctypes.get_errno())}")
        # The parent may have died before prctl took effect; then nobody would ever tell us.
        if os.getppid() != parent_pid:
            sys.exit("the process that starts Kafka has ended before Kafka could start")
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN_JAVA_VARIABLES}  # noqa: TID251 - passed on, not read
    os.execve(command[0], command, environment)  # noqa: S606 - no shell is the point; the command is ours


if __name__ == "__main__":
    main(sys.argv)
