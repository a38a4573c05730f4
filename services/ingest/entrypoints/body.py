"""Reading a request's body with a bound, so that no client can make us hold more than that."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request

from neutrality.http import HttpProblem

_DISCARD_LIMIT_S: Final = 5.0
_DISCARD_FACTOR: Final = 64  # times the bound: what we read and drop so that the client gets our answer instead of a reset


async def read_body(request: Request, *, max_bytes: int, deadline_s: float) -> bytes:
    """The body, at most `max_bytes` of it held at any time.

    Raises:
        HttpProblem: 413 if it is larger, 408 if it takes too long or the client goes away.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        if request.headers.get("expect", "").lower() != "100-continue":  # such a client has sent nothing yet
            await _discard(request, max_bytes * _DISCARD_FACTOR)
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(deadline_s):
            async for chunk in request.stream():
                if len(body) + len(chunk) > max_bytes:
                    break
                body += chunk
            else:
                return bytes(body)
    except TimeoutError as error:
        raise HttpProblem(
            HTTPStatus.REQUEST_TIMEOUT, "body-too-slow", f"The body did not arrive within {deadline_s:g} s."
        ) from error
    except ClientDisconnect as error:
        raise HttpProblem(HTTPStatus.REQUEST_TIMEOUT, "body-not-received", "The client went away.") from error
    del body
    await _discard(request, max_bytes * _DISCARD_FACTOR)
    raise _too_large(max_bytes)


async def _discard(request: Request, limit_bytes: int) -> None:
    """Read and drop, within bounds: a server that answers and closes with unread data resets the connection and may lose its answer."""
    dropped = 0
    try:
        async with asyncio.timeout(_DISCARD_LIMIT_S):
            while dropped < limit_bytes:
                message = await request.receive()
                dropped += len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
    except TimeoutError:
        return


def _too_large(max_bytes: int) -> HttpProblem:
    detail = f"The body is larger than {max_bytes} bytes; send fewer events at a time."
    return HttpProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", detail, headers={"connection": "close"})
