"""Who is signed in: the lab and its key in a cookie that only the board can read (Fernet: AES-128-CBC and HMAC-SHA256, with its time).

The keys are in a file, one a line: the first encrypts, all decrypt, so a key is rotated by putting a new one on top.
"""

import os
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from starlette.requests import Request
from starlette.responses import Response

COOKIE: Final = "board_session"
FLOW_COOKIE: Final = "board_sign_in"
FLOW_LASTS: Final = timedelta(minutes=10)
LAB_PATTERN: Final = r"^[a-z0-9][a-z0-9._-]{0,127}$"


class SessionKeysUnusable(ValueError):  # noqa: N818 - named for what it is
    """The file of keys is broken. Fate: the operator's."""

    retriable = False


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in reader: of which lab, and the key under which alerts is asked (None: it asks for none)."""

    lab: str
    key: str | None
    person: str | None = None


class Sessions:
    """Reads and writes cookies. The board keeps no list of sessions: signing out forgets the cookie, revoking the key ends them all."""

    def __init__(self, keys: list[str], *, lasts: timedelta, secure: bool) -> None:
        """Fernet keys, the newest first. Raises SessionKeysUnusable."""
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise SessionKeysUnusable(
                "each line of BOARD_SECRETS_KEY_FILE is a Fernet key: 32 bytes in URL-safe base64"
            ) from error
        self._lasts = lasts
        self._secure = secure

    def of(self, request: Request) -> Session | None:
        """The session of a request, if it has one that holds."""
        found = self._open(request, COOKIE, self._lasts)
        return None if found is None else Session(**found)

    def sign_in(self, response: Response, session: Session) -> None:
        """Put the session in a cookie."""
        self._put(response, COOKIE, asdict(session), self._lasts)

    def sign_out(self, response: Response) -> None:
        """Take it away."""
        for name in (COOKIE, FLOW_COOKIE):
            response.delete_cookie(name, path="/", httponly=True, secure=self._secure, samesite="lax")

    def keep_flow(self, response: Response, flow: dict[str, str]) -> None:
        """Remember what a sign-in by OIDC has begun with."""
        self._put(response, FLOW_COOKIE, flow, FLOW_LASTS)

    def flow_of(self, request: Request) -> dict[str, str] | None:
        """What was remembered."""
        return self._open(request, FLOW_COOKIE, FLOW_LASTS)

    def _open(self, request: Request, name: str, lasts: timedelta) -> dict[str, Any] | None:
        try:
            found = orjson.loads(self._fernet.decrypt(request.cookies.get(name, ""), ttl=int(lasts.total_seconds())))
        except InvalidToken:
            return None
        return dict(found)

    def _put(self, response: Response, name: str, content: dict[str, Any], lasts: timedelta) -> None:
        response.set_cookie(
            name,
            self._fernet.encrypt(orjson.dumps(content)).decode(),
            max_age=int(lasts.total_seconds()),
            path="/",
            httponly=True,
            secure=self._secure,
            samesite="lax",  # a link from an alert's mail must open signed in; whatever changes something checks its origin
        )


def session_keys(path: Path) -> list[str]:
    """The keys of a file; one that is missing is made, for its owner alone. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").split()
    key = Fernet.generate_key()
    with os.fdopen(descriptor, "wb") as file:
        file.write(key + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return [key.decode()]
