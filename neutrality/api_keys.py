"""API keys as the commands write them and the services read them. Pure.

A token is `nwk_` and 43 letters of randomness, so a plain SHA-256 of it is kept: a slow hash hinders guessing, and nobody guesses 256 random bits;
it is asked for at every request.
"""

import base64
import hashlib
from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

TOKEN_PREFIX: Final = "nwk_"  # noqa: S105 - by which a scanner of leaks knows a token
TOKEN_BYTES: Final = 32

Instant = Annotated[datetime, Field(strict=False)]


class Strict(BaseModel):
    """Frozen, and refuses what it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ApiKey(Strict):
    """A key. It is taken from `not_before` until `expires`."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    not_before: Instant
    expires: Instant | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it is taken now."""
        return self.not_before <= now and (self.expires is None or now < self.expires)


def token_of(random_bytes: bytes) -> str:
    """A token; `random_bytes` are TOKEN_BYTES from a secure source."""
    return TOKEN_PREFIX + base64.urlsafe_b64encode(random_bytes).rstrip(b"=").decode()


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()
