"""Ports on 127.0.0.1."""

from __future__ import annotations

import os
import socket

import pytest

from neutrality.broker.embedded.errors import PortTaken
from neutrality.broker.embedded.ports import pick_free_port, require_free_port


def test_a_taken_port_is_named_with_the_process_that_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(PortTaken) as error:
            require_free_port(port)
    assert f"Port {port} is taken by process {os.getpid()}" in error.value.problem
    assert error.value.where == f"127.0.0.1:{port}"
    assert "another port" in error.value.remedy
    assert not error.value.retriable


def test_a_port_taken_on_all_addresses_is_taken_on_ours() -> None:
    with socket.create_server(("", 0)) as other, pytest.raises(PortTaken):
        require_free_port(other.getsockname()[1])


def test_a_port_whose_last_connection_is_only_just_closed_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        with socket.create_connection(address) as client:
            accepted, _ = server.accept()
            accepted.close()  # Who closes first is left with TIME_WAIT.
            client.recv(1)
    require_free_port(address[1])


def test_a_picked_port_is_free_and_not_the_other_one() -> None:
    port = pick_free_port()
    require_free_port(port)
    assert pick_free_port(besides=port) != port
