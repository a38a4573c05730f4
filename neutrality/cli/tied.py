"""The step between `neutrality up` and a service: tie its life to ours, then become it.

Run by path as `python -I tied.py PARENT_PID COMMAND ARGUMENT...`. A program of its own, because the alternative (`preexec_fn`) runs Python
between fork and exec, which may deadlock in a process with threads. On Linux the kernel then kills the service when the *thread* that
started it ends, however it ends, so that a killed `up` leaves nothing behind; elsewhere there is no such promise.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Never returns: becomes the command, or exits with 1 if the parent is already gone."""
    parent_pid, command = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent_pid:  # it died before prctl took effect; then nobody would ever tell us
            sys.exit("the process that starts this service has ended")
    os.execv(command[0], command)  # noqa: S606 - no shell is the point; the command is ours


if __name__ == "__main__":
    main(sys.argv[1:])
