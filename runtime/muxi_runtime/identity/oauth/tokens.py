"""Access tokens of an authorization server: a signed JWT (RFC 9068) becomes a principal, or is refused.

This is the resource server's side of OAuth 2.1 and of MCP's authorization. Above: `gateway.http_auth`. Below:
`issuer.IssuerKeys` and `identity.users`. A token ends here: nothing keeps it or passes it on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeAlias

import jwt
from anyio import to_thread

from muxi_runtime.errors import ForbiddenError
from muxi_runtime.identity.keys import KeyRefusedError
from muxi_runtime.identity.oauth.issuer import IssuerKeys
from muxi_runtime.identity.oauth.settings import OAuthSettings
from muxi_runtime.identity.principal import LOCAL_USER, Principal
from muxi_runtime.identity.roles import Role
from muxi_runtime.identity.scopes import is_scope, parse_scopes
from muxi_runtime.identity.users import UserRecord, check_user

__all__ = ["ALGORITHMS", "TokenRefusal", "Tokens"]

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"},
)
"""Asymmetric ones alone: with others, whoever knows the public key could sign."""
TYPES = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
"""Media types of access tokens, in lower case; some authorization servers name none."""
NOT_OF_ACCESS_TOKENS = frozenset({"nonce", "at_hash", "c_hash"})
"""Claims of ID tokens, which say who logged in to some client and open nothing."""
MAX_BYTES = 16 * 1024
MAX_GROUPS = 200
MAX_GROUP = 200
MAX_SCOPES = 64

FindUser: TypeAlias = Callable[[str], UserRecord | None]
Claims: TypeAlias = Mapping[str, Any]


class TokenRefusal(StrEnum):
    """Why a token was refused: for the journal."""

    MALFORMED = "token-malformed"
    ALGORITHM = "token-algorithm"
    SIGNING_KEY = "token-signing-key"
    SIGNATURE = "token-signature"
    AUDIENCE = "token-audience"
    ISSUER = "token-issuer"
    EXPIRED = "token-expired"
    NOT_YET = "token-not-yet-valid"
    CLAIMS = "token-claims"
    USER = "token-user"


class Tokens:
    """Takes the tokens of one issuer for one audience."""

    def __init__(self, settings: OAuthSettings, keys: IssuerKeys, find_user: FindUser) -> None:
        """`find_user` blocks shortly."""
        self._settings = settings
        self._keys = keys
        self._find_user = find_user

    async def authenticate(self, token: str) -> Principal:
        """Who the token speaks for.

        Raises:
            KeyRefusedError: nobody here.
            ForbiddenError: it lacks a scope that every token must have.
            IssuerError: the issuer's keys cannot be had, so that nothing can be said of it.
        """
        kid, algorithm = _header(token)
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise _refused("names a signing key that its issuer does not have", TokenRefusal.SIGNING_KEY)
        claims = self._verified(token, key, algorithm)
        scopes = _scopes(claims)
        if missing := [scope for scope in self._settings.required_scopes if scope not in scopes]:
            raise ForbiddenError(
                f"The token lacks the scope {missing[0]!r}.",
                remedy="Ask the authorization server for it.",
                scope=" ".join(self._settings.required_scopes),
            )
        return await to_thread.run_sync(self._principal, claims, scopes)

    def _verified(self, token: str, key: jwt.PyJWK, algorithm: str) -> Claims:
        try:
            claims: Claims = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self._settings.audience,
                issuer=self._settings.issuer,
                leeway=self._settings.leeway_seconds,
                options={
                    "require": ["exp", "iss", "aud", self._settings.user_claim],
                    "enforce_minimum_key_length": True,
                },
            )
        except jwt.PyJWTError as error:
            why, refusal = _WHY.get(type(error), (f"is not valid: {error}", TokenRefusal.CLAIMS))
            raise _refused(why, refusal) from error
        if claims.keys() & NOT_OF_ACCESS_TOKENS:
            raise _refused("is an ID token, not an access token", TokenRefusal.CLAIMS)
        if "cnf" in claims:
            raise _refused("is bound to a key of its client's, and that is not checked here", TokenRefusal.CLAIMS)
        return claims

    def _principal(self, claims: Claims, scopes: frozenset[str]) -> Principal:
        name = self._user_name(claims)
        known = self._find_user(name)
        self._check_user(name, known)
        groups = self._groups(claims)
        mapped = next((role for group, role in self._settings.role_mapping.items() if group in groups), None)
        return Principal(
            user=name,
            key=_client_key(self._settings.issuer, claims),
            role=mapped or (known.role if known else Role.USER),
            groups=groups | (known.groups if known else frozenset()),
            scopes=self._ours(scopes),
        )

    def _user_name(self, claims: Claims) -> str:
        name = claims[self._settings.user_claim]
        if self._settings.user_claim == "email" and claims.get("email_verified") is not True:
            raise _refused("has an e-mail address that nobody has verified", TokenRefusal.USER)
        try:
            return check_user(name if isinstance(name, str) else "")
        except ValueError as error:
            raise _refused(f"names no user: its {self._settings.user_claim!r} cannot be one", TokenRefusal.USER) from (
                error
            )

    def _check_user(self, name: str, known: UserRecord | None) -> None:
        """A name that is an API key's belongs to its user: the issuer could otherwise speak for anybody."""
        if name == LOCAL_USER:
            raise _refused(f"names the user {LOCAL_USER!r}, who is on this machine only", TokenRefusal.USER)
        if known is None:
            return
        if known.state != "active":
            raise _refused(f"is of the user {name!r}, who is {known.state}", TokenRefusal.USER)
        if known.issuer != self._settings.issuer:
            raise _refused(
                f"is of the user {name!r}, for whom this issuer may not speak; an owner allows it by "
                f"`muxi-runtime users set {name} --issuer {self._settings.issuer}`",
                TokenRefusal.USER,
            )

    def _groups(self, claims: Claims) -> frozenset[str]:
        given = claims.get(self._settings.groups_claim, ()) if self._settings.groups_claim else ()
        named = [given] if isinstance(given, str) else given
        if not isinstance(named, list | tuple) or len(named) > MAX_GROUPS:
            raise _refused("has groups that are no list of names, or too many", TokenRefusal.CLAIMS)
        if not all(isinstance(group, str) and len(group) <= MAX_GROUP and group.isprintable() for group in named):
            raise _refused("has groups that are no names", TokenRefusal.CLAIMS)
        return frozenset(named)

    def _ours(self, scopes: frozenset[str]) -> frozenset[str]:
        mapped = {ours for scope in scopes for ours in self._settings.scope_mapping.get(scope, ())}
        written = {scope for scope in scopes if scope not in self._settings.scope_mapping and is_scope(scope)}
        return parse_scopes(sorted(mapped | written)[:MAX_SCOPES])


_WHY: Mapping[type[jwt.PyJWTError], tuple[str, TokenRefusal]] = {
    jwt.InvalidSignatureError: ("is not signed by its issuer", TokenRefusal.SIGNATURE),
    jwt.InvalidAudienceError: ("was made for another resource", TokenRefusal.AUDIENCE),
    jwt.InvalidIssuerError: ("is of another issuer", TokenRefusal.ISSUER),
    jwt.ExpiredSignatureError: ("has expired", TokenRefusal.EXPIRED),
    jwt.ImmatureSignatureError: ("is not valid yet", TokenRefusal.NOT_YET),
    jwt.InvalidKeyError: ("is signed by a key that is too weak", TokenRefusal.SIGNING_KEY),
}


def _header(token: str) -> tuple[str | None, str]:
    """Key id and algorithm. What else a header says of keys (`jwk`, `jku`, `x5u`, `x5c`) is never looked at."""
    if len(token) > MAX_BYTES:
        raise _refused(f"has more than {MAX_BYTES} bytes", TokenRefusal.MALFORMED)
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError) as error:
        raise _refused("is neither an API key nor a signed JWT", TokenRefusal.MALFORMED) from error
    algorithm, kind, kid = header.get("alg"), header.get("typ", ""), header.get("kid")
    if algorithm not in ALGORITHMS:
        raise _refused(f"is signed by {str(algorithm)[:20]!r}, which is not taken", TokenRefusal.ALGORITHM)
    if not isinstance(kind, str) or kind.lower() not in TYPES or "crit" in header:
        raise _refused("is of a kind that is no access token", TokenRefusal.MALFORMED)
    if not isinstance(kid, str | None):
        raise _refused("names its signing key by what is no name", TokenRefusal.MALFORMED)
    return kid, algorithm


def _scopes(claims: Claims) -> frozenset[str]:
    """`scope` (RFC 8693, 4.2: a string), or `scp`, which some authorization servers use."""
    given = claims.get("scope", claims.get("scp", ""))
    words = given.split() if isinstance(given, str) else given
    return frozenset(word for word in words if isinstance(word, str)) if isinstance(words, list) else frozenset()


def _client_key(issuer: str, claims: Claims) -> str:
    """Stands for the client that the token was issued to: tasks of one are not another's, as with keys."""
    client = claims.get("client_id", claims.get("azp", ""))
    return "o-" + hashlib.sha256(f"{issuer}\0{client}".encode(errors="replace")).hexdigest()[:12]


def _refused(why: str, refusal: TokenRefusal) -> KeyRefusedError:
    return KeyRefusedError(f"The token {why}.", refusal=refusal)
