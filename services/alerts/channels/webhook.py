"""One signed request to an endpoint.

A name is resolved once, its addresses are judged, and the connection is made to the very address that was judged, with the name for TLS: nothing
can answer otherwise in between. Redirects are not followed, and no proxy of the environment is used.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

import httpcore
import orjson
from standardwebhooks import Webhook

from services.alerts.domain.addresses import Network, refusal
from services.alerts.domain.attempts import Attempt, Fault

CONNECTIONS: Final = 8  # to one endpoint
_READ_BYTES: Final = 16 * 1024  # of an answer; what is longer is not read, and its connection closed
_USER_AGENT: Final = "NeutralityWatch/1 (webhooks)"


class ForbiddenAddress(Exception):  # noqa: N818 - named for what it is
    """A name has no address that we may connect to."""


class GuardedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to permitted addresses alone."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        """`allowed`: the operator's."""
        self._allowed = allowed
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """See httpcore. Raises ForbiddenAddress, OSError (socket.gaierror)."""
        permitted = await self.permitted(host, port)
        error: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in permitted:
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failed:
                error = failed
        raise error or ForbiddenAddress(host)

    async def permitted(self, host: str, port: int) -> list[str]:
        """Those of a host's addresses that may be connected to. Raises ForbiddenAddress (there is none), OSError, UnicodeError."""
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        reasons: dict[str, str | None] = {
            str(address[0]): refusal(ip_address(str(address[0])), self._allowed) for *_, address in found
        }
        permitted = [address for address, why in reasons.items() if why is None]
        if not permitted:
            raise ForbiddenAddress(f"{host} is {next(iter(reasons.values()), 'nowhere')}")
        return permitted


@cache  # some ten milliseconds and a megabyte each, for every endpoint
def _authorities() -> ssl.SSLContext:
    return ssl.create_default_context()


class Poster:
    """The requests to one endpoint, over connections of its own. `close` it."""

    def __init__(self, allowed: Sequence[Network], *, timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        """`timeout_s` bounds a request as a whole. `tls`: the system's authorities by default."""
        self._timeout_s = timeout_s
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or _authorities(),
            max_connections=CONNECTIONS,
            max_keepalive_connections=CONNECTIONS,
            keepalive_expiry=30.0,
            network_backend=GuardedNetwork(allowed),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def post(self, url: str, message: bytes, *, identity: str, secrets: Sequence[str], now: datetime) -> Attempt:
        """Post a message under its id, signed with every secret; what came of it is told, never raised."""
        started_s = time.monotonic()
        status: int | None = None
        fault: Fault | None = None
        retry_after_s: float | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                request = self._pool.stream("POST", url, headers=signed(message, identity, secrets, now), content=message)
                async with request as response:
                    status = response.status  # stands, however the rest of the answer comes
                    retry_after_s = _retry_after_s(response.headers, now)
                    read = 0
                    async for chunk in response.aiter_stream():
                        read += len(chunk)
                        if read > _READ_BYTES:
                            break
        except ForbiddenAddress:
            fault = "forbidden-address"
        except (socket.gaierror, UnicodeError):
            fault = "name-not-resolved"
        except (TimeoutError, httpcore.TimeoutException):
            fault = "timeout"
        except httpcore.ConnectError as error:
            fault = "tls" if isinstance(error.__context__ or error.__cause__, ssl.SSLError) else "not-connected"
        except httpcore.RemoteProtocolError as error:
            fault = "connection-cut" if "disconnected" in str(error) else "not-http"
        except (httpcore.NetworkError, httpcore.ProtocolError):
            fault = "connection-cut"
        return Attempt(status, fault if status is None else None, time.monotonic() - started_s, retry_after_s)


def signed(message: bytes, identity: str, secrets: Sequence[str], now: datetime) -> dict[bytes | str, bytes | str]:
    """The headers of a request; `webhook-signature` holds one signature for each secret."""
    return {
        "content-type": "application/json",
        "user-agent": _USER_AGENT,
        "webhook-id": identity,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(Webhook(secret).sign(identity, now, message.decode()) for secret in secrets),
    }


def message_of(kind: str, timestamp: str, data: Any) -> bytes:
    """The body, as Standard Webhooks recommends it."""
    return orjson.dumps({"type": kind, "timestamp": timestamp, "data": data})


def _retry_after_s(headers: Iterable[tuple[bytes, bytes]], now: datetime) -> float | None:
    """`Retry-After` (RFC 9110, 10.2.3): seconds or a date; None if there is none that can be read."""
    value = next((value.decode("latin-1").strip() for name, value in headers if name.lower() == b"retry-after"), None)
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None
