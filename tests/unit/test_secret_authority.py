"""The authority of sandboxes: made once, kept private, and good for the name that it vouches for."""

from __future__ import annotations

import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509

from muxi_sandbox.egress.authority import Authority
from muxi_sandbox.errors import SandboxError


@pytest.mark.promise("secrets-not-inside")
def test_the_key_is_its_owner_s_alone_and_the_certificate_holds_none(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "home" / "authority.pem")
    certificate = authority.certificate()
    assert stat.S_IMODE((tmp_path / "home" / "authority.pem").stat().st_mode) == 0o600
    assert b"PRIVATE" not in certificate
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["authority.pem"]


def test_every_process_has_the_same_one_and_nothing_is_made_before_it_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    first, second = Authority(path), Authority(path)
    assert not path.exists()
    assert first.certificate() == second.certificate()


def test_it_may_sign_for_hosts_and_for_no_other_authority(tmp_path: Path) -> None:
    certificate = x509.load_pem_x509_certificate(Authority(tmp_path / "a.pem").certificate())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert constraints.critical
    assert (constraints.value.ca, constraints.value.path_length) == (True, 0)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "authority.pem"
    path.touch(0o600)
    path.write_bytes(content)
    with pytest.raises(SandboxError, match=r"authority\.pem"):
        Authority(path).certificate()


@pytest.mark.promise("secrets-not-inside")
def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "authority.pem"
    Authority(path).certificate()
    path.chmod(0o644)
    with pytest.raises(SandboxError, match="chmod 600"):
        Authority(path).context("a.test")


@pytest.mark.parametrize(
    ("host", "asked", "verdict"),
    [
        ("a.test", "a.test", ""),
        ("a.test", "b.test", "mismatch"),
        ("192.0.2.1", "192.0.2.1", ""),
        ("2001:db8::1", "2001:db8::1", ""),
        ("a" * 60 + ".long.name.test", "a" * 60 + ".long.name.test", ""),
    ],
)
def test_a_strict_client_accepts_it_for_its_name_only(tmp_path: Path, host: str, asked: str, verdict: str) -> None:
    authority = Authority(tmp_path / "authority.pem")
    client = ssl.create_default_context(cadata=authority.certificate().decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    said = handshake(authority.context(host), client, asked)
    assert verdict in said
    assert bool(verdict) == bool(said)


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> str:
    """What the client has against it, or nothing."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        try:
            server.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        client.wrap_socket(ours, server_hostname=name).close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    finally:
        ours.close()
        thread.join(10)
    return ""
