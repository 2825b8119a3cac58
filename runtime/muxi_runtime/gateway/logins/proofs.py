"""How the runtime proves to a token endpoint which client it is: RFC 6749, 2.3.1; RFC 7523, 2.2."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

from anyio import to_thread
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from muxi_runtime.errors import LoginError, VaultError

if TYPE_CHECKING:
    from pathlib import Path

    from muxi_runtime.catalog.remote_oauth import RemoteOAuth
    from muxi_runtime.gateway.logins.login import Client
    from muxi_runtime.vault.store import Vault

__all__ = ["Proof", "Proofs"]

ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
SECONDS = 60
MOST_BYTES = 16384
OTHERS = 0o077
CURVES = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}

Proof = tuple[dict[str, str], dict[str, str]]
"""Fields of the form, and headers."""


class Proofs:
    """Makes them; a secret is taken from the vault for each."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def of(self, client: Client, settings: RemoteOAuth, issuer: str) -> Proof:
        """What to send along to `issuer`'s token endpoint.

        Raises:
            LoginError: the settings name another client, or their secret cannot be had.
        """
        if client.how != "configured":
            return _with_secret(client, client.secret)
        if settings.client_id != client.id:
            raise LoginError("The client id in muxi.yaml is another one than at the login.", remedy="Log in anew.")
        if settings.issuer is not None and settings.issuer.rstrip("/") != issuer.rstrip("/"):
            raise LoginError("The issuer in muxi.yaml is another one than at the login.", remedy="Log in anew.")
        if settings.private_key_file is not None:
            return await to_thread.run_sync(_signed, client, settings.private_key_file, issuer)
        if settings.client_secret is None:
            return _with_secret(client, None)
        try:
            secret = await to_thread.run_sync(self._vault.value, settings.client_secret.secret)
        except VaultError as error:
            raise LoginError(str(error)) from error
        return _with_secret(client, secret)


def _with_secret(client: Client, secret: str | None) -> Proof:
    if client.method == "client_secret_basic" and secret is not None:
        pair = f"{quote(client.id, safe='')}:{quote(secret, safe='')}"
        return {}, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    if client.method == "client_secret_post" and secret is not None:
        return {"client_id": client.id, "client_secret": secret}, {}
    return {"client_id": client.id}, {}


def _signed(client: Client, path: Path, issuer: str) -> Proof:
    import jwt  # noqa: PLC0415 - few runtimes need it

    now = int(time.time())
    claims: Mapping[str, object] = {
        "iss": client.id,
        "sub": client.id,
        "aud": issuer,
        "iat": now,
        "exp": now + SECONDS,
        "jti": secrets.token_urlsafe(16),
    }
    key, algorithm = _key_in(path)
    assertion = jwt.encode(dict(claims), key, algorithm=algorithm)
    return {"client_id": client.id, "client_assertion_type": ASSERTION, "client_assertion": assertion}, {}


def _key_in(path: Path) -> tuple[rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, str]:
    """The key of a PEM file that its owner alone may read, and the algorithm that it is for."""
    try:
        if path.stat().st_mode & OTHERS:
            raise LoginError(f"The private key in {path} may be read by others than its owner.", remedy="chmod 600 it.")
        with path.open("rb") as file:
            key = load_pem_private_key(file.read(MOST_BYTES), None)
    except (OSError, ValueError, TypeError) as error:
        raise LoginError(f"There is no private key to use in {path} ({type(error).__name__}).") from error
    if isinstance(key, rsa.RSAPrivateKey):
        return key, "RS256"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key, "EdDSA"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return key, CURVES[key.curve.name]
    raise LoginError(f"The private key in {path} is of no kind that tokens are signed with.")
