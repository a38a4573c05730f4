"""Lets labs in by their keys: to what is their own, as far as the key's scopes go. Without a file of keys anybody is let in."""

from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final, cast

from fastapi import Request

from neutrality.http import HttpProblem
from neutrality.key_file import KeyFile, Unauthorized
from neutrality.labs import LabKey, Labs
from services.alerts.metrics import AlertsMetrics

_OPEN: Final = ("/health/", "/metrics", "/docs", "/openapi.json", "/mail/")  # behind /mail/ the code in the path is the key
_SAFE: Final = ("GET", "HEAD", "OPTIONS")


class LabGate:
    """`guard` is a dependency of every route; `follow` takes in changes of the file until it is cancelled."""

    def __init__(self, path: Path | None, metrics: AlertsMetrics, *, clock: Callable[[], datetime]) -> None:
        """Read the file. Raises KeysUnusable."""
        self._metrics = metrics
        self._file = (
            None
            if path is None
            else KeyFile(path, Labs.model_validate_json, clock=clock, broken=metrics.api_keys_file_broken.set)
        )

    async def guard(self, request: Request) -> None:
        """Whether this request may be answered. Raises HttpProblem."""
        if self._file is None or request.url.path.startswith(_OPEN):
            return
        lab = request.path_params.get("lab")
        try:
            owner, key = self._file.find(request.headers.get("authorization"))
        except Unauthorized as error:
            self._metrics.refused.labels("unauthorized").inc()
            raise HttpProblem(
                HTTPStatus.UNAUTHORIZED, "unauthorized", f"{error}.", headers={"www-authenticate": "Bearer"}
            ) from error
        if lab is not None and lab != owner:
            self._metrics.refused.labels("other-lab").inc()
            raise HttpProblem(HTTPStatus.FORBIDDEN, "other-lab", f"This key is {owner}'s, and reaches what is {owner}'s alone.")
        request.state.key = key.id
        wanted = "read" if request.method in _SAFE else "manage"
        if wanted not in cast("LabKey", key).scopes:
            self._metrics.refused.labels("out-of-scope").inc()
            raise HttpProblem(HTTPStatus.FORBIDDEN, "out-of-scope", f"This key may not {wanted}.")

    def lets_in(self, authorization: str | None, lab: str) -> bool:
        """Whether a stream that is open may go on: its key may have been revoked since."""
        if self._file is None:
            return True
        try:
            return self._file.find(authorization)[0] == lab
        except Unauthorized:
            return False

    async def follow(self) -> None:
        """Take in changes of the file."""
        if self._file is not None:
            await self._file.follow()
