"""Who calls over HTTP: `Authorization: Bearer` with an API key, or with an authorization server's access token.

Where the runtime is bound to loopback it may be nobody: that is the machine's own operator. What was sent is looked at
here and goes no further.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse

from muxi_runtime.errors import ForbiddenError, MuxiError
from muxi_runtime.identity.keys import KeyRefusedError
from muxi_runtime.identity.principal import LOCAL, Principal
from muxi_runtime.identity.roles import Role
from muxi_runtime.journal.contract import Draft

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Scope

    from muxi_runtime.journal.contract import Journal

__all__ = [
    "METADATA_PATH",
    "NOBODY",
    "Authenticator",
    "Challenge",
    "KeyBackend",
    "principal_of",
    "refuse_unauthenticated",
]

METADATA_PATH = "/.well-known/oauth-protected-resource"
LOGIN_PAGES = "/login/"
OPEN_PATHS = frozenset({"/health", "/callback"})
"""What answers without a key: it tells nothing but that the runtime lives. So does what is at `METADATA_PATH`: which
authorization server a client needs (RFC 9728); and at `LOGIN_PAGES` and `/callback` browsers are, which have no key:
see `logins.pages`."""
NOBODY = Principal("nobody", role=Role.AUDITOR, scopes=frozenset())
"""Whoever was not asked who it is: may do nothing."""

_ERRORS = {403: "insufficient_scope", 429: "too_many_requests", 503: "temporarily_unavailable"}
KEY_PREFIX = "muxi_"
HOW = "Send `Authorization: Bearer KEY`; `muxi-runtime keys create` makes one."


class Authenticator(Protocol):
    """What knows the keys: `identity.known_keys.KnownKeys`."""

    async def authenticate(self, token: str) -> Principal:
        """Who the token belongs to.

        Raises:
            KeyRefusedError: nobody, or not any more.
        """


class TokenAuthenticator(Protocol):
    """What knows an authorization server's access tokens: `identity.oauth.tokens.Tokens`."""

    async def authenticate(self, token: str) -> Principal:
        """Who the token speaks for.

        Raises:
            KeyRefusedError: nobody here.
            ForbiddenError: it lacks a scope that every token must have.
            MuxiError: nothing can be said of it now.
        """


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a refused client is told of how to come in (RFC 6750, 3; RFC 9728, 5.1).

    Attributes:
        metadata: URL of the protected resource's metadata; empty where only API keys open.
    """

    metadata: str = ""

    def headers(self, error: str = "", scope: str = "") -> dict[str, str]:
        """The `WWW-Authenticate` header."""
        given = {"error": error, "scope": scope, "resource_metadata": self.metadata}
        parts = ", ".join(f'{name}="{value}"' for name, value in given.items() if value)
        return {"WWW-Authenticate": f"Bearer {parts}".strip()}


class _User(AuthenticatedUser):
    """The SDK binds legacy sessions to the key through its own user type; ours adds the principal."""

    def __init__(self, principal: Principal) -> None:
        super().__init__(
            # The secret stays out of what travels with a request.
            AccessToken(token=str(principal), client_id=principal.key or "", scopes=[], subject=principal.user)
        )
        self.principal = principal


LOCAL_CALLER = (AuthCredentials(["call"]), _User(LOCAL))

CountFailure = Callable[[HTTPConnection], Awaitable[int]]
"""Counts a refused request: seconds to wait where there were too many, else 0."""


class _RefusedError(AuthenticationError):
    """A request whose caller is not known, with the answer."""

    def __init__(self, message: str, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers


class KeyBackend(AuthenticationBackend):
    """Starlette's authentication by API key. A key that is sent must be right, also where none is needed."""

    def __init__(
        self,
        keys: Authenticator,
        journal: Journal,
        *,
        required: bool,
        count_failure: CountFailure | None = None,
        tokens: TokenAuthenticator | None = None,
        challenge: Challenge | None = None,
    ) -> None:
        self._keys = keys
        self._tokens = tokens
        self._count_failure = count_failure
        self.journal = journal
        self._required = required
        self.challenge = challenge or Challenge()

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, _User] | None:
        """The user of a request; `None` where nobody asks who it is."""
        path: str = conn.scope["path"]  # not the URL's, which is made of the Host header too
        if path in OPEN_PATHS or path.startswith((METADATA_PATH, LOGIN_PAGES)):
            return None
        header = conn.headers.get("authorization")
        if header is None:
            if self._required:
                raise await self._refusal(conn, "No key was sent.", why="missing")
            return LOCAL_CALLER
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise await self._refusal(conn, "The Authorization header holds no bearer key.", why="malformed")
        try:
            principal = await self._find(token.strip())
        except KeyRefusedError as error:
            raise await self._refusal(conn, str(error), why=error.refusal.value, key=error.key) from error
        except ForbiddenError as error:
            await self.journal.append(Draft("key.refused", data=_facts(conn, why="scope", key=None)))
            headers = self.challenge.headers("insufficient_scope", error.scope)
            raise _RefusedError(str(error), 403, headers) from error
        except MuxiError as error:
            raise _RefusedError(str(error), 503, {"Retry-After": "30"}) from error
        return AuthCredentials(["call"]), _User(principal)

    async def of_key(self, conn: HTTPConnection, key: str) -> Principal:
        """Whose key it is that came otherwise than in a header.

        Raises:
            AuthenticationError: nobody's; counted and journalled as all such.
        """
        try:
            return await self._keys.authenticate(key)
        except KeyRefusedError as error:
            raise await self._refusal(conn, str(error), why=error.refusal.value, key=error.key) from error

    async def _find(self, token: str) -> Principal:
        if self._tokens is None or token.startswith(KEY_PREFIX):
            return await self._keys.authenticate(token)
        return await self._tokens.authenticate(token)

    async def _refusal(
        self, conn: HTTPConnection, message: str, *, why: str, key: str | None = None
    ) -> AuthenticationError:
        wait = await self._count_failure(conn) if self._count_failure else 0
        if wait:
            # Not journalled one by one: whoever guesses must not fill the disk.
            text = f"Too many requests without a good key. Try again in {wait} s."
            return _RefusedError(text, 429, {"Retry-After": str(wait)})
        await self.journal.append(Draft("key.refused", data=_facts(conn, why=why, key=key)))
        sent = "authorization" in conn.headers
        return _RefusedError(f"{message} {HOW}", 401, self.challenge.headers("invalid_token" if sent else ""))


def _facts(conn: HTTPConnection, *, why: str, key: str | None) -> dict[str, object]:
    peer = conn.client.host if conn.client else None
    return {"why": why, "key": key, "address": peer, "path": conn.url.path[:200]}


def refuse_unauthenticated(_conn: HTTPConnection, error: Exception) -> Response:
    """The answer to a request whose caller is not known."""
    status, headers = (error.status, error.headers) if isinstance(error, _RefusedError) else (401, {})
    body = {"error": _ERRORS.get(status, "unauthorized"), "error_description": str(error)}
    return JSONResponse(body, status_code=status, headers=headers)


def principal_of(request: Request | None) -> Principal:
    """Who made the request, as `KeyBackend` found; `local` where there is no request at all."""
    return LOCAL if request is None else principal_in(request.scope)


def principal_in(scope: Scope) -> Principal:
    """Who made a request; `NOBODY` where nobody asked."""
    user = scope.get("user")
    return user.principal if isinstance(user, _User) else NOBODY
