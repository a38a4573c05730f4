"""Ports for what tests start."""

import random
import socket


def free_low_port() -> int:
    """A free one below those that the system gives away by itself (32768 on Linux): nothing takes it between the asking and the use."""
    for _ in range(100):
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port between 20000 and 32000")
