"""One signed request to an endpoint.

A name is resolved once, and each of its addresses, like one that is written in the URL, is judged where the socket to that very address would be
made: nothing can answer otherwise in between. Redirects are not followed, and no proxy of the environment is used.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from ipaddress import ip_address
from typing import Any, Final

import aiohttp
import orjson
from standardwebhooks import Webhook
from yarl import URL

from services.alerts.domain.addresses import Network, refusal
from services.alerts.domain.attempts import Attempt, Fault

CONNECTIONS: Final = 8  # to one endpoint
_KEPT_S: Final = 30.0  # a connection that nothing is sent over
_READ_BYTES: Final = 16 * 1024  # of an answer; what is longer is not read, and its connection closed
_USER_AGENT: Final = "NeutralityWatch/1 (webhooks)"


class ForbiddenAddress(OSError):  # noqa: N818 - named for what it is
    """We may not connect there. Whatever the address, it says the same: so a client that tried several raises it."""

    def __init__(self) -> None:
        super().__init__("an address inside")


@cache  # some ten milliseconds and a megabyte each, for every endpoint
def _authorities() -> ssl.SSLContext:
    return ssl.create_default_context()


class Poster:
    """The requests to one endpoint, over connections of its own. Make it where a loop runs; `aclose` it."""

    def __init__(self, allowed: Sequence[Network], *, timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        """`allowed`: the operator's. `timeout_s` bounds a request as a whole. `tls`: the system's authorities by default."""
        self._allowed = allowed
        self._timeout_s = timeout_s
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS,
            keepalive_timeout=_KEPT_S,
            ssl=tls or _authorities(),
            resolver=aiohttp.ThreadedResolver(),
            use_dns_cache=False,
            socket_factory=self._socket,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("accept", "accept-encoding"),
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def post(self, url: str, message: bytes, *, identity: str, secrets: Sequence[str], now: datetime) -> Attempt:
        """Post a message under its id, signed with every secret; what came of it is told, never raised."""
        started_s = time.monotonic()
        status: int | None = None
        fault: Fault | None = None
        retry_after_s: float | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                headers = signed(message, identity, secrets, now)
                request = self._session.post(URL(url, encoded=True), data=message, headers=headers, allow_redirects=False)
                async with request as response:
                    status = response.status  # stands, however the rest of the answer comes
                    retry_after_s = _retry_after_s(response.headers, now)
                    read = 0
                    async for chunk in response.content.iter_any():
                        read += len(chunk)
                        if read > _READ_BYTES:
                            break
        except (aiohttp.ClientConnectorDNSError, aiohttp.InvalidURL, UnicodeError):
            fault = "name-not-resolved"
        except aiohttp.ClientSSLError:
            fault = "tls"
        except aiohttp.ClientConnectorError as error:
            fault = "forbidden-address" if isinstance(error.os_error, ForbiddenAddress) else "not-connected"
        except TimeoutError:
            fault = "timeout"
        except aiohttp.ClientResponseError:
            fault = "not-http"
        except (aiohttp.ClientError, OSError):
            fault = "connection-cut"
        return Attempt(status, fault if status is None else None, time.monotonic() - started_s, retry_after_s)

    def _socket(self, address: aiohttp.AddrInfoType) -> socket.socket:
        """For a connection to an address. Raises ForbiddenAddress."""
        family, kind, protocol, _, where = address
        if refusal(ip_address(str(where[0])), self._allowed) is not None:
            raise ForbiddenAddress
        return socket.socket(family, kind, protocol)


def signed(message: bytes, identity: str, secrets: Sequence[str], now: datetime) -> dict[str, str]:
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


def _retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """`Retry-After` (RFC 9110, 10.2.3): seconds or a date; None if there is none that can be read."""
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        return max(0.0, (parsedate_to_datetime(value) - now).total_seconds())
    except (ValueError, TypeError):
        return None
