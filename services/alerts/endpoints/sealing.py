"""Endpoint secrets are encrypted at rest (Fernet: AES-128-CBC and HMAC-SHA256), under keys in a file beside the database, not in it.

One key a line, the first encrypts and all decrypt: so a key is rotated by putting a new one on top.
"""

import base64
import os
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from services.alerts.domain.endpoint import Secret

SECRET_BYTES: Final = 32  # Standard Webhooks: 24 to 64
_PREFIX: Final = "whsec_"


class SecretKeysUnusable(Exception):  # noqa: N818 - named for what it is
    """The file of keys is broken, or not the one that the database was written with. Fate: the operator's."""

    retriable = False


def new_secret() -> Secret:
    """A fresh one."""
    return Secret(_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


class Sealer:
    """Encrypts and decrypts."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Fernet keys, the newest first. Raises SecretKeysUnusable."""
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except ValueError as error:
            raise SecretKeysUnusable(
                "each line of ALERTS_SECRETS_KEY_FILE is a Fernet key: 32 bytes in URL-safe base64"
            ) from error

    @classmethod
    def of(cls, path: Path, *, make: bool = True) -> "Sealer":
        """The keys of a file; one that is missing is made, for its owner alone, if so wanted. Raises SecretKeysUnusable, OSError."""
        if not make:
            return cls(path.read_text(encoding="ascii").split())
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return cls(path.read_text(encoding="ascii").split())
        key = Fernet.generate_key()
        with os.fdopen(descriptor, "wb") as file:
            file.write(key + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return cls([key.decode()])

    def seal(self, kept: Sequence[Secret]) -> bytes:
        """Encrypt."""
        return self._fernet.encrypt(orjson.dumps([{"secret": one.secret, "until": one.until} for one in kept]))

    def unseal(self, sealed: bytes) -> tuple[Secret, ...]:
        """Decrypt. Raises SecretKeysUnusable."""
        try:
            found = orjson.loads(self._fernet.decrypt(sealed))
        except InvalidToken as error:
            raise SecretKeysUnusable(
                "the secrets in the database were encrypted under a key that ALERTS_SECRETS_KEY_FILE lacks"
            ) from error
        return tuple(
            Secret(one["secret"], None if one["until"] is None else datetime.fromisoformat(one["until"])) for one in found
        )
