"""TCP ports on 127.0.0.1: is this one free, who has it, and which one to take."""

from __future__ import annotations

import errno
import random
import socket

import psutil

from neutrality.broker.embedded.errors import PortTaken
from neutrality.broker.embedded.settings import HOST

# Below Linux's range for outgoing connections (32768 and up): what we found free is not handed out as one of those before
# Kafka binds it, and a client that retries against a port nobody listens on cannot connect to itself.
_PICKED_PORTS = range(20000, 32768)
_PICK_ATTEMPTS = 200


def pick_free_port(*, besides: int = 0) -> int:
    """A port that is free now. Nothing holds it until it is bound, so be ready to pick again.

    Raises:
        PortTaken: 200 random ones are all taken.
    """
    # Random, not the first free: several tests that start at once must not all see the same one.
    for port in random.sample(_PICKED_PORTS, _PICK_ATTEMPTS):
        if port != besides and _bind_error(port) is None:
            return port
    raise PortTaken(
        f"None of {_PICK_ATTEMPTS} ports tried is free.",
        where=f"{HOST}, ports {_PICKED_PORTS.start} to {_PICKED_PORTS.stop - 1}",
        remedy="End some programs that listen there, or give a port.",
    )


def require_free_port(port: int) -> None:
    """Return if the port can be listened on.

    Raises:
        PortTaken: It cannot. The message names the process that has it, where the system tells.
    """
    error = _bind_error(port)
    if error is None:
        return
    if error.errno == errno.EADDRINUSE:
        raise port_taken(port)
    raise PortTaken(
        f"Port {port} cannot be used: {error.strerror}.", where=f"{HOST}:{port}", remedy="Give another port, above 1023."
    )


def port_taken(port: int) -> PortTaken:
    """The error for a port that something else listens on."""
    return PortTaken(
        f"Port {port} is taken by {_listener_on(port)}.",
        where=f"{HOST}:{port}",
        remedy="End that process, or give another port (0 picks a free one).",
    )


def _bind_error(port: int) -> OSError | None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Kafka does: connections of a broker that has just ended, in TIME_WAIT, are no reason to refuse.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            # With SO_REUSEADDR two sockets may bind, but only one may listen.
            probe.listen(1)
        except OSError as error:
            return error
    return None


def _listener_on(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            here = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if here and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass  # macOS shows other processes' sockets to root only; the process may also have just ended.
    return "another process"
