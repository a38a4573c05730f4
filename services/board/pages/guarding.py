"""What protects the pages: headers on every answer, and no change that another site's page asks for."""

from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFE: Final = ("GET", "HEAD", "OPTIONS")
_POLICY: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "font-src 'self'",
    "connect-src 'self'",
    "form-action 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
CONTENT_SECURITY_POLICY: Final = "; ".join(_POLICY)
HEADERS: Final = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware. `public_host`: the host that browsers use, if it is not the one of the request."""

    def __init__(self, app: ASGIApp, *, public_url: str | None, secure: bool) -> None:
        """Wrap the application."""
        self._app = app
        self._public_host = None if public_url is None else urlsplit(public_url).netloc
        self._headers = {**HEADERS, **({"strict-transport-security": "max-age=31536000"} if secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        if scope["method"] not in _SAFE and not self._is_own(Headers(scope=scope)):
            refusal = PlainTextResponse("This was asked for by a page of another site.\n", HTTPStatus.FORBIDDEN)
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _is_own(self, headers: Headers) -> bool:
        """Whether the request comes from a page of ours: by Fetch Metadata, or else by its origin."""
        if (site := headers.get("sec-fetch-site")) is not None:
            return site == "same-origin"
        return urlsplit(headers.get("origin", "")).netloc in (headers.get("host", "?"), self._public_host or "?")
