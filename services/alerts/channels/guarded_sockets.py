"""Refuses connections to addresses inside, whatever library makes them: for code that brings its own HTTP client.

CPython reports every connection to an audit hook (PEP 578) before it is made, with the very address: after resolution, on every redirect and
reconnect. The hook judges those of code that runs `within` a guard, in that code's context and wherever that context is copied to; others pass.
A hook stays for the process's life, so it is added once, when it is first needed.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from ipaddress import ip_address
from threading import Lock
from typing import Any, Final

from services.alerts.domain.addresses import Network, refusal

_CONNECTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


class ForbiddenConnection(PermissionError):  # noqa: N818 - named for what it is
    """To an address inside, which the operator does not allow. An OSError, so that a client takes it for what it is: no connection."""


@dataclass
class Guard:
    """What is allowed besides the public Internet, and whether something else was tried."""

    allowed: Sequence[Network]
    has_refused: bool = False

    @contextmanager
    def within(self) -> Iterator[None]:
        """Judge what is connected to from here on, in this context."""
        _add_hook()
        token = _guard.set(self)
        try:
            yield
        finally:
            _guard.reset(token)

    def judge(self, address: Any) -> None:
        """Raises ForbiddenConnection."""
        why = self._refusal(address)
        if why is not None:
            self.has_refused = True
            raise ForbiddenConnection(why)

    def _refusal(self, address: Any) -> str | None:
        if address is None:  # sendmsg on a connection that was judged
            return None
        if not isinstance(address, tuple):
            return "no Internet address"
        try:
            return refusal(ip_address(address[0]), self.allowed)
        except ValueError:
            return "a name, which would be resolved after it was judged"


_guard: ContextVar[Guard | None] = ContextVar("guard", default=None)
_adding = Lock()
_is_added = False


def _add_hook() -> None:
    global _is_added  # noqa: PLW0603 - a hook is the process's, and cannot be removed
    with _adding:
        if not _is_added:
            sys.addaudithook(_hear)
            _is_added = True


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _CONNECTS and (guard := _guard.get()) is not None:
        guard.judge(arguments[1])
