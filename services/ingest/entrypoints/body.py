"""Reading a request's body with a bound, so that no client can make us hold more than that."""

import asyncio
from http import HTTPStatus
from typing import Final

from starlette.requests import ClientDisconnect, Request

from neutrality.http import HttpProblem
from services.ingest.inflating import ENCODINGS, BadCompression, Inflater, InflatesTooFar, UnknownEncoding, inflater

_DISCARD_LIMIT_S: Final = 5.0
_DISCARD_FACTOR: Final = 64  # times the bound: what we read and drop so that the client gets our answer instead of a reset


def inflater_of(request: Request) -> Inflater:
    """What undoes the request's Content-Encoding.

    Raises:
        HttpProblem: 415, with the encodings that are known (RFC 7694, section 3).
    """
    try:
        return inflater(request.headers.get("content-encoding"))
    except UnknownEncoding as error:
        headers = {"accept-encoding": ", ".join(ENCODINGS)}
        raise HttpProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-encoding", f"Content-Encoding: {error}.", headers=headers
        ) from error


async def read_body(request: Request, *, max_bytes: int, deadline_s: float) -> bytes:
    """The body without its Content-Encoding, at most `max_bytes` of it held at any time.

    Raises:
        HttpProblem: 413 if it is larger, 408 if it takes too long or the client goes away, 400 or 415 if it cannot be inflated.
    """
    encoding = inflater_of(request)
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > max_bytes:
        if request.headers.get("expect", "").lower() != "100-continue":  # such a client has sent nothing yet
            await _discard(request, max_bytes * _DISCARD_FACTOR)
        raise _too_large(max_bytes)
    body = bytearray()
    try:
        async with asyncio.timeout(deadline_s):
            async for chunk in request.stream():
                if not all(_keep(body, piece, max_bytes) for piece in encoding.feed(chunk)):
                    break
            else:
                return _finished(encoding, body)
    except TimeoutError as error:
        raise HttpProblem(
            HTTPStatus.REQUEST_TIMEOUT, "body-too-slow", f"The body did not arrive within {deadline_s:g} s."
        ) from error
    except ClientDisconnect as error:
        raise HttpProblem(HTTPStatus.REQUEST_TIMEOUT, "body-not-received", "The client went away.") from error
    except BadCompression as error:
        await _discard(request, max_bytes * _DISCARD_FACTOR)
        raise _badly_compressed(error) from error
    except InflatesTooFar:
        pass  # as any other that is too large
    del body
    await _discard(request, max_bytes * _DISCARD_FACTOR)
    raise _too_large(max_bytes)


def _finished(encoding: Inflater, body: bytearray) -> bytes:
    """The whole body. Nothing more comes, so there is nothing to discard if it was cut."""
    try:
        encoding.finish()
    except BadCompression as error:
        raise _badly_compressed(error) from error
    return bytes(body)


def _keep(body: bytearray, piece: bytes, max_bytes: int) -> bool:
    """Whether the piece still found room."""
    if len(body) + len(piece) > max_bytes:
        return False
    body += piece
    return True


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


def _badly_compressed(error: BadCompression) -> HttpProblem:
    return HttpProblem(HTTPStatus.BAD_REQUEST, "bad-compression", f"The body is not what its Content-Encoding says: {error}.")


def _too_large(max_bytes: int) -> HttpProblem:
    detail = f"The body is larger than {max_bytes} bytes; send fewer events at a time."
    return HttpProblem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "body-too-large", detail, headers={"connection": "close"})
