"""Sign-in by OpenID Connect: authorization code with PKCE. The ID token's signature and claims are checked by joserfc.

Source: OpenID Connect Core 1.0, section 3.1; RFC 7636; RFC 9207 (`iss` in the answer).
"""

import base64
import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
_LEEWAY_S: Final = 60


class OidcFailed(Exception):  # noqa: N818 - named for what it is
    """The provider did not say who it is, or not in a way that can be trusted. Fate: tell the reader; nobody is signed in."""

    retriable = False


@dataclass(frozen=True, slots=True)
class Client:
    """What the board is to the provider."""

    issuer: str
    client_id: str
    client_secret: str | None
    redirect_uri: str
    scopes: str


class Oidc:
    """Asks the provider where things are when it is first needed, and for its keys when one is unknown."""

    def __init__(self, client: Client, http: httpx.AsyncClient, *, clock: Callable[[], datetime]) -> None:
        """Who makes it owns the HTTP client."""
        self._client, self._http, self._clock = client, http, clock
        self._about: dict[str, Any] | None = None
        self._keys: KeySet | None = None

    async def begin(self) -> tuple[str, dict[str, str]]:
        """Where to send the browser, and what must be remembered until it comes back. Raises OidcFailed."""
        about = await self._discover()
        flow = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow["verifier"].encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self._client.client_id,
            "redirect_uri": self._client.redirect_uri,
            "scope": self._client.scopes,
            "state": flow["state"],
            "nonce": flow["nonce"],
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        address = str(about["authorization_endpoint"])
        return f"{address}{'&' if '?' in address else '?'}{urlencode(query)}", flow

    async def finish(self, flow: dict[str, str], answer: dict[str, str]) -> dict[str, Any]:
        """The claims of the ID token. Raises OidcFailed."""
        if not flow["state"] or not secrets.compare_digest(flow["state"].encode(), answer.get("state", "").encode()):
            raise OidcFailed("this sign-in was not begun here, or it took too long; begin anew")
        if "error" in answer:
            raise OidcFailed(f"the provider refused: {answer.get('error_description', answer['error'])[:200]}")
        if answer.get("iss", self._client.issuer) != self._client.issuer:
            raise OidcFailed("the answer is another provider's")
        about = await self._discover()
        form = {
            "grant_type": "authorization_code",
            "code": answer.get("code", ""),
            "redirect_uri": self._client.redirect_uri,
            "code_verifier": flow["verifier"],
            "client_id": self._client.client_id,
        }
        secret = self._client.client_secret
        auth = None if secret is None else httpx.BasicAuth(self._client.client_id, secret)
        tokens = await self._ask("POST", str(about["token_endpoint"]), data=form, auth=auth)
        return await self._claims(str(tokens.get("id_token", "")), flow["nonce"])

    async def _claims(self, token: str, nonce: str) -> dict[str, Any]:
        try:
            try:
                found = jwt.decode(token, await self._key_set(), algorithms=_ALGORITHMS)
            except ValueError:  # a key that is not among those we have: the provider may have rotated them
                self._keys = None
                found = jwt.decode(token, await self._key_set(), algorithms=_ALGORITHMS)
            wanted = jwt.JWTClaimsRegistry(
                now=int(self._clock().timestamp()),
                leeway=_LEEWAY_S,
                iss={"essential": True, "value": self._client.issuer},
                aud={"essential": True, "value": self._client.client_id},
                exp={"essential": True},
                nonce={"essential": True, "value": nonce},
            )
            wanted.validate(found.claims)
        except (JoseError, ValueError) as error:
            raise OidcFailed(f"the provider's ID token cannot be trusted: {error}") from error
        return dict(found.claims)

    async def _key_set(self) -> KeySet:
        if self._keys is None:
            about = await self._discover()
            self._keys = KeySet.import_key_set(await self._ask("GET", str(about["jwks_uri"])))  # type: ignore[arg-type]
        return self._keys

    async def _discover(self) -> dict[str, Any]:
        if self._about is None:
            found = await self._ask("GET", f"{self._client.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self._client.issuer:
                raise OidcFailed(f"the provider calls itself {str(found.get('issuer'))[:200]!r}; set BOARD_OIDC_ISSUER to that")
            self._about = found
        return self._about

    async def _ask(self, method: str, url: str, **more: Any) -> dict[str, Any]:
        try:
            response = await self._http.request(method, url, **more)
            response.raise_for_status()
            return dict(response.json())
        except (httpx.HTTPError, ValueError) as error:
            raise OidcFailed(f"the provider does not answer as it should: {error}") from error
