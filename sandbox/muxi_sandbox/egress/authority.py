"""The installation's own certificate authority: only sandboxes whose servers have secrets trust it.

It lets the proxy read what such a sandbox sends over TLS. Its key is made when it is first needed, in a file that only
its owner may read, and never leaves the host; sandboxes get the certificate. Every name is vouched for by a leaf that
lives for days, with a key that lives in this process only.
"""

from __future__ import annotations

import os
import secrets
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from muxi_sandbox.errors import SandboxError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ALPN", "Authority"]

ALPN = ["http/1.1"]
"""What is spoken with either side: a message of HTTP/2 is not read here."""
AUTHORITY_DAYS = 3650
LEAF_DAYS = 30
LEAF_USED_DAYS = 1
EARLIER = timedelta(days=1)
"""Clocks inside and outside need not agree."""
MOST_LEAVES = 512
COMMON_NAME_LENGTH = 64
NO_USES = dict.fromkeys(
    (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    ),
    False,
)


class Authority:
    """Keeps its key and certificate in one file, `path`. Calls block for milliseconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loaded: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None = None
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaves: dict[str, tuple[datetime, ssl.SSLContext]] = {}

    def certificate(self) -> bytes:
        """For sandboxes to trust, in PEM form; made where there is none yet.

        Raises:
            SandboxError: the file cannot be made or read, or has expired.
        """
        return self._open()[1].public_bytes(Encoding.PEM)

    def context(self, host: str) -> ssl.SSLContext:
        """To be the server `host` with: a canonical name, or an address.

        Raises:
            SandboxError: as `certificate`.
        """
        now = datetime.now(UTC)
        made_at, context = self._leaves.get(host, (None, None))
        if context is None or made_at is None or now - made_at > timedelta(days=LEAF_USED_DAYS):
            if len(self._leaves) >= MOST_LEAVES:
                self._leaves.clear()
            context = self._context(host)
            self._leaves[host] = now, context
        return context

    def _context(self, host: str) -> ssl.SSLContext:
        key, certificate = self._open()
        leaf = _leaf(host, self._leaf_key.public_key(), key, certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(ALPN)
        # The standard library reads certificates from files only; this one is in memory, and closed at once.
        descriptor = os.memfd_create("leaf", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, _private_pem(self._leaf_key) + leaf.public_bytes(Encoding.PEM))
            context.load_cert_chain(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return context

    def _open(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        if self._loaded is None:
            try:
                self._loaded = self._read()
            except (OSError, ValueError) as error:
                raise SandboxError(
                    f"The authority of the sandboxes in {self._path} cannot be read or made: {error}. Move the file "
                    "away, and another one is made."
                ) from error
        if self._loaded[1].not_valid_after_utc < datetime.now(UTC) + timedelta(days=LEAF_DAYS):
            raise SandboxError(f"The authority of the sandboxes in {self._path} expires. Delete it and restart.")
        return self._loaded

    def _read(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        if not self._path.exists():
            self._create()
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, "rb") as file:
            if os.fstat(descriptor).st_mode & 0o077:
                raise ValueError(f"others than its owner may read it: chmod 600 {self._path}")
            data = file.read()
        key = load_pem_private_key(data, password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("its key is of another kind")  # noqa: TRY004  # a file's content, not an argument
        return key, x509.load_pem_x509_certificate(data)

    def _create(self) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        data = _private_pem(key) + _authority(key).public_bytes(Encoding.PEM)
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Written aside, then linked: whoever comes second keeps the first one's.
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, data)
            os.fsync(descriptor)
            os.link(draft, self._path)
        except FileExistsError:
            pass
        finally:
            os.close(descriptor)
            draft.unlink()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:COMMON_NAME_LENGTH])])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - EARLIER)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _named(f"muxi-runtime sandboxes {secrets.token_hex(4)}")
    uses = x509.KeyUsage(**{**NO_USES, "key_cert_sign": True, "crl_sign": True})
    return (
        _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(uses, critical=True)
        .sign(key, hashes.SHA256())
    )


def _leaf(
    host: str, leaf_key: ec.EllipticCurvePublicKey, key: ec.EllipticCurvePrivateKey, authority: x509.Certificate
) -> x509.Certificate:
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    uses = x509.KeyUsage(**{**NO_USES, "digital_signature": True})
    return (
        _builder(_named(host), authority.subject, leaf_key, LEAF_DAYS)
        .add_extension(identifier, critical=False)
        .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(uses, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
