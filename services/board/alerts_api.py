"""Alerts' API, asked as a lab under its own key: so the board can show nothing of another lab, whatever it does."""

import ssl
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx

from services.board.sessions import Session

_SUCCESS: Final = range(200, 300)


class AlertsAway(Exception):  # noqa: N818 - named for what it is
    """Alerts does not answer, or cannot. Fate: tell the reader; scores are shown all the same."""

    retriable = True


class AlertsRefused(Exception):  # noqa: N818 - named for what it is
    """Alerts refused a request; the message is its own, with the fields that are wrong. Fate: tell the reader."""

    retriable = False

    def __init__(self, status: int, kind: str, detail: str, errors: tuple[str, ...] = ()) -> None:
        """Keep what it said."""
        self.status, self.kind, self.detail, self.errors = status, kind, detail, errors
        super().__init__(f"{status}: {detail}")

    @property
    def is_about_the_key(self) -> bool:
        """Whether the session's key is no longer taken."""
        return self.status == HTTPStatus.UNAUTHORIZED


class AlertsApi:
    """Who makes it closes it. Paths are below `/labs/LAB`; their parts are quoted here."""

    def __init__(self, url: str, timeout_s: float, ca_file: Path | None = None) -> None:
        """Connect when first asked. `ca_file`: the authority of its certificate, if it is none that everybody knows."""
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20)
        trusted = ssl.create_default_context(cafile=ca_file)
        self._client = httpx.AsyncClient(
            base_url=url.rstrip("/"), timeout=timeout_s, limits=limits, trust_env=False, verify=trusted
        )

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def get(self, session: Session, *path: str, **params: str | int) -> dict[str, Any]:
        """What stands at a path. Raises AlertsAway, AlertsRefused."""
        return await self._ask("GET", session, path, params=params)

    async def put(self, session: Session, *path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make or replace. Raises AlertsAway, AlertsRefused."""
        return await self._ask("PUT", session, path, body=body)

    async def post(self, session: Session, *path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Do something. Raises AlertsAway, AlertsRefused."""
        return await self._ask("POST", session, path, body=body)

    async def delete(self, session: Session, *path: str) -> None:
        """Remove. Raises AlertsAway, AlertsRefused."""
        await self._ask("DELETE", session, path)

    async def _ask(
        self,
        method: str,
        session: Session,
        path: tuple[str, ...],
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        address = "/".join(("/labs", quote(session.lab, safe=""), *[quote(part, safe="") for part in path]))
        headers = {} if session.key is None else {"authorization": f"Bearer {session.key}"}
        try:
            response = await self._client.request(method, address, params=params, json=body, headers=headers)
        except httpx.TransportError as error:
            raise AlertsAway(f"alerts does not answer ({type(error).__name__})") from error
        if response.status_code in _SUCCESS:
            return dict(response.json()) if response.content else {}
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise AlertsAway(f"alerts answered {response.status_code}")
        raise _refusal(response)


def _refusal(response: httpx.Response) -> AlertsRefused:
    try:
        document = response.json()
    except ValueError:
        document = {}
    errors = tuple(f"{item.get('pointer', '')}: {item.get('detail', '')}" for item in document.get("errors", ()))
    kind = str(document.get("type", "")).rsplit(":", 1)[-1]
    return AlertsRefused(response.status_code, kind, str(document.get("detail", response.reason_phrase)), errors)
