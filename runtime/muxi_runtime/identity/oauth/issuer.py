"""The authorization server's signing keys, by its own metadata (RFC 8414, or OpenID Connect Discovery), cached.

They are fetched when the first token comes, when they are ten minutes old, and when a token names one that is not among
them: that is how keys are rotated. Never more often than every half minute, so that nobody can make us flood the
authorization server with tokens that name keys at will.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import anyio
import httpx2
import jwt

from muxi_runtime.errors import MuxiError
from muxi_runtime.identity.oauth.settings import is_safe_url

__all__ = ["IssuerError", "IssuerKeys"]

FRESH_SECONDS = 600
PAUSE_SECONDS = 30
USABLE_SECONDS = 3600
"""How old keys may be while the authorization server cannot be reached. After that a revoked key could still count."""
FETCH_SECONDS = 10
MAX_BYTES = 2**20
MAX_KEYS = 100


class IssuerError(MuxiError):
    """The authorization server is out of reach, or what it says of itself cannot be used."""


class IssuerKeys:
    """The keys of one issuer."""

    def __init__(self, issuer: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._problem = ""
        self._lock = anyio.Lock()

    async def find(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key of that id for that algorithm; without an id the only one that there is. `None`: there is none.

        Raises:
            IssuerError: the keys could not be fetched.
        """
        found = self._pick(kid, algorithm)
        if found is not None and self._age() < FRESH_SECONDS:
            return found
        async with self._lock:
            if self._tried_at is None or self._clock() - self._tried_at >= PAUSE_SECONDS:
                await self._refresh()
        if self._age() >= USABLE_SECONDS:
            raise IssuerError(
                f"The keys of {self._issuer} cannot be fetched: {self._problem}.",
                remedy="Try again later; auth.oauth.issuer in muxi.yaml names it.",
            )
        return self._pick(kid, algorithm)

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._clock() - self._fetched_at

    def _pick(self, kid: str | None, algorithm: str) -> jwt.PyJWK | None:
        fitting = [key for key in self._keys if kid in {None, key.get("kid")} and key.get("alg") in {None, algorithm}]
        for key in fitting if kid is not None or len(fitting) == 1 else ():
            try:
                made = jwt.PyJWK(dict(key), algorithm)
            except jwt.PyJWTError:
                continue  # of another kind than the algorithm wants
            return made
        return None

    async def _refresh(self) -> None:
        self._tried_at = self._clock()
        try:
            self._keys = await self._fetch()
        except (IssuerError, httpx2.HTTPError, httpx2.InvalidURL, OSError, TimeoutError) as error:
            self._problem = str(error) or type(error).__name__
            return
        self._fetched_at = self._clock()

    async def _fetch(self) -> tuple[Mapping[str, Any], ...]:
        with anyio.fail_after(FETCH_SECONDS):
            # No proxy and no password file of the environment; a redirect is an answer that is not 200.
            async with httpx2.AsyncClient(
                verify=ssl.create_default_context(), trust_env=False, follow_redirects=False, timeout=FETCH_SECONDS
            ) as http:
                where = await self._jwks_uri(http)
                document = await _get(http, where)
        keys = (document or {}).get("keys")
        if not isinstance(keys, list):
            raise IssuerError(f"{where} holds no keys")
        return tuple(key for key in keys[:MAX_KEYS] if _signs(key))

    async def _jwks_uri(self, http: httpx2.AsyncClient) -> str:
        for url in _metadata_urls(self._issuer):
            metadata = await _get(http, url)
            if metadata is None:
                continue
            if metadata.get("issuer") != self._issuer:
                raise IssuerError(f"{url} is of another issuer, {str(metadata.get('issuer'))[:200]!r}")
            found = metadata.get("jwks_uri")
            if not isinstance(found, str) or not is_safe_url(found):
                raise IssuerError(f"{url} names no jwks_uri that is https, or on loopback")
            return found
        raise IssuerError("it has no metadata")


def _signs(key: object) -> bool:
    """Whether it is a public key to verify signatures with: never one that both sides share."""
    return isinstance(key, dict) and key.get("kty") in {"RSA", "EC", "OKP"} and key.get("use") in {None, "sig"}


def _metadata_urls(issuer: str) -> tuple[str, ...]:
    """RFC 8414, 3.1 and its compatibility note; OpenID Connect Discovery, 4."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    return (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )


async def _get(http: httpx2.AsyncClient, url: str) -> dict[str, Any] | None:
    """The JSON object there; `None` where there is none."""
    body = b""
    async with http.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        if answer.status_code != 200:  # noqa: PLR2004 - HTTP's OK
            return None
        async for part in answer.aiter_bytes():
            body += part
            if len(body) > MAX_BYTES:
                raise IssuerError(f"{url} has more than {MAX_BYTES} bytes")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise IssuerError(f"{url} is no JSON") from error
    return document if isinstance(document, dict) else None
