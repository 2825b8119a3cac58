"""AES-256-GCM (NIST SP 800-38D) over the value of one secret.

The secret's name is authenticated with it: a value that is moved to another name in the database does not decrypt.
"""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from muxi_runtime.errors import VaultError
from muxi_runtime.vault.key_file import Key

__all__ = ["decrypt", "encrypt"]

NONCE_BYTES = 12


def encrypt(key: Key, name: str, value: str) -> bytes:
    """A random nonce of 12 bytes, and what it was sealed to."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key.material).encrypt(nonce, value.encode("utf-8"), _bound_to(key, name))


def decrypt(key: Key, name: str, sealed: bytes) -> str:
    """The value again.

    Raises:
        VaultError: it was changed, or is another secret's.
    """
    try:
        plain = AESGCM(key.material).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound_to(key, name))
        return plain.decode("utf-8")
    except (InvalidTag, ValueError) as error:
        raise VaultError(
            f"The value of the secret {name} cannot be decrypted: it is damaged, or another key was put in place.",
            remedy=f"Restore the key file that belongs to this database, or set the value anew: `secrets set {name}`.",
        ) from error


def _bound_to(key: Key, name: str) -> bytes:
    return f"muxi secret {key.id} {name}".encode("ascii")
