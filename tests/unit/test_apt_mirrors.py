from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_sandbox.docker.images.mirror import (
    Mirrors,
    Source,
    host_mirrors,
    parse_deb822,
    parse_one_line,
    parse_options,
)
from muxi_sandbox.docker.images.transport import Transport, host_transport

DEBIAN = 'PRETTY_NAME="Debian"\nID=debian\nVERSION_CODENAME=bookworm\n'
STANZAS = """\
# the archive
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBGXXXX
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: http://mirror.example/security
Suites: bookworm-security
Components: main

Enabled: no
Types: deb
URIs: http://other.example/debian
Suites: bookworm
Components: main
"""


def make_host(root: Path, release: str, files: dict[str, str]) -> Path:
    for name, text in {"etc/os-release": release, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_one_line_sources_are_read_with_options_and_comments():
    text = """
    # deb http://commented.example/debian bookworm main
    deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://mirror.example/debian/ bookworm main contrib # why
    deb-src http://mirror.example/debian bookworm main
    """
    assert list(parse_one_line(text)) == [Source("http://mirror.example/debian", "bookworm", ("main", "contrib"))]


def test_a_stanza_gives_one_source_for_each_place_and_suite():
    assert [(source.uri, source.suite) for source in parse_deb822(STANZAS)] == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian", "bookworm-updates"),
        ("http://mirror.example/security", "bookworm-security"),
    ]


@given(st.text())
def test_no_text_breaks_the_parsers(text: str):
    for source in (*parse_one_line(text), *parse_deb822(text)):
        assert source.uri
        assert source.suite
    parse_options(text)


def test_a_debian_host_gives_its_mirrors(tmp_path: Path):
    host = make_host(tmp_path, DEBIAN, {"etc/apt/sources.list.d/debian.sources": STANZAS})
    assert host_mirrors(host) == Mirrors("http://mirror.example/debian", "http://mirror.example/security")


def test_third_party_and_unreachable_sources_are_passed_over(tmp_path: Path):
    text = (
        "deb http://vendor.example/apt bookworm stable\n"
        "deb file:/srv/debian bookworm main\n"
        "deb http://mirror.example/debian bookworm main\n"
    )
    host = make_host(tmp_path, DEBIAN, {"etc/apt/sources.list": text})
    assert host_mirrors(host) == Mirrors("http://mirror.example/debian", None)


def test_a_disabled_file_is_not_read(tmp_path: Path):
    host = make_host(
        tmp_path, DEBIAN, {"etc/apt/sources.list.d/old.list.disabled": "deb http://old.example/debian bookworm main\n"}
    )
    assert host_mirrors(host) is None


def test_another_distribution_gives_no_debian_mirror(tmp_path: Path):
    ubuntu = 'ID=ubuntu\nID_LIKE=debian\nVERSION_CODENAME="noble"\n'
    sources = {"etc/apt/sources.list": "deb http://mirror.example/ubuntu noble main\n"}
    assert host_mirrors(make_host(tmp_path, ubuntu, sources)) is None


def test_sources_are_written_for_the_suite_of_the_image():
    assert Mirrors("http://mirror.example/debian", "http://mirror.example/security").sources("trixie") == (
        "deb http://mirror.example/debian trixie main",
        "deb http://mirror.example/debian trixie-updates main",
        "deb http://mirror.example/security trixie-security main",
    )


def test_only_the_options_that_lead_to_a_mirror_reach_a_build():
    dump = """\
APT::Install-Recommends "true";
Acquire::http::Proxy "http://proxy.example:3128/";
Acquire::https::Proxy::mirror.example "DIRECT";
Acquire::https::Proxy "";
Acquire::Check-Valid-Until "false";
Acquire::IndexTargets::deb::Packages::MetaKey "x";
DPkg::Post-Invoke:: "rm -rf /";
"""
    assert parse_options(dump) == (
        'Acquire::http::Proxy "http://proxy.example:3128/";',
        'Acquire::https::Proxy::mirror.example "DIRECT";',
        'Acquire::Check-Valid-Until "false";',
    )


@pytest.mark.parametrize(
    ("transport", "wanted"),
    [
        (Transport(), False),
        (Transport(mirrors=Mirrors("http://mirror.example/debian")), False),
        (Transport(mirrors=Mirrors("http://localhost:3142/debian")), True),
        (Transport(options=('Acquire::http::Proxy "http://127.0.0.1:3142";',)), True),
        (Transport(proxies={"http_proxy": "http://user:secret@[::1]:8080"}), True),
        (Transport(proxies={"http_proxy": "http://localhost.example:8080"}), False),
    ],
)
def test_a_mirror_on_the_hosts_loopback_needs_the_hosts_network(transport: Transport, *, wanted: bool):
    assert transport.needs_host_network is wanted


def test_certificates_and_proxies_come_from_the_environment(tmp_path: Path):
    bundle = tmp_path / "ca.pem"
    bundle.write_bytes(b"pem")
    found = host_transport({"SSL_CERT_FILE": str(bundle), "HTTPS_PROXY": "http://proxy.example:1"})
    assert found.certificates == b"pem"
    assert found.proxies == {"https_proxy": "http://proxy.example:1", "HTTPS_PROXY": "http://proxy.example:1"}


def test_no_debian_mirror_is_given_to_an_image_that_is_not_debian():
    transport = Transport(mirrors=Mirrors("http://mirror.example/debian"), certificates=b"pem")
    assert set(transport.files("")) == {"ca.crt"}
    assert set(transport.files("trixie")) == {"ca.crt", "sources.list"}
