"""What the egress proxy reads from hostile clients: names, heads, chunked bodies, first messages of TLS, addresses."""

from __future__ import annotations

import ssl
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_sandbox.egress.addresses import check_addresses, is_public
from muxi_sandbox.egress.chunks import ChunkedBody
from muxi_sandbox.egress.heads import HEADER, parse_head
from muxi_sandbox.egress.names import canonical_host, parse_authority, parse_rule, permits
from muxi_sandbox.egress.refusal import RefusedConnectionError
from muxi_sandbox.egress.tls import NotTlsError, read_hello

LABELS = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True).filter(lambda label: label[2:4] != "--")
NAMES = st.lists(LABELS, min_size=2, max_size=5).map(".".join)


@given(NAMES, st.booleans(), st.sampled_from([str.upper, str.title, str.lower]))
def test_every_way_to_write_a_name_is_the_same_name(name, dot, write):
    assert canonical_host(write(name) + ("." if dot else "")) == name


@given(st.text(max_size=300))
def test_any_text_is_a_canonical_host_or_an_error(text):
    with suppress(ValueError):
        host = canonical_host(text)
        assert host.isascii()
        assert not set(host) & set("\0 /@%\\\r\n\t#?[]")
        assert canonical_host(host) == host


@given(st.integers(0, 2**32 - 1))
def test_an_address_in_another_notation_is_no_name(number):
    address = IPv4Address(number)
    assert canonical_host(str(address)) == str(address)
    parts = address.packed
    for text in (
        str(number),
        hex(number),
        f"0x{parts[0]:x}.{parts[1]}.{parts[2]}.{parts[3]}",
        f"{parts[0]}.{number & 0xFFFFFF}",
        ".".join(f"0{part:o}" for part in parts),
    ):
        if text != str(address):
            with pytest.raises(ValueError, match=r"address|part of a name"):
                canonical_host(text)


@pytest.mark.parametrize(("rule", "ports"), [("*", {80, 443}), ("*:8443", {8443})])
def test_a_star_alone_covers_every_name_on_its_ports_and_no_address(rule: str, ports: set[int]):
    parsed = parse_rule(rule)
    for port in (80, 443, 8443, 22):
        assert parsed.covers("any.example.org", port) == (port in ports)
        assert parsed.covers("localhost", port) == (port in ports)  # the address that it has is checked all the same
        assert not parsed.covers("192.0.2.7", port)
        assert not parsed.covers("2001:db8::7", port)


@pytest.mark.parametrize("wrong", ["*:", "*:0", "*:http", "**", "*example.org", "*.", "*.:80", "* "])
def test_a_star_stands_alone_or_before_a_name(wrong: str):
    with pytest.raises(ValueError, match=r"\S"):
        parse_rule(wrong)


@given(NAMES, NAMES, st.integers(1, 65535))
def test_a_star_covers_names_below_and_nothing_beside(base, other, port):
    rule = parse_rule(f"*.{base}:{port}")
    assert rule.covers(f"{other}.{base}", port)
    assert not rule.covers(base, port)
    assert not rule.covers(f"x{base}", port)
    assert not rule.covers(f"{base}.{other}", port) or f"{base}.{other}".endswith("." + base)
    assert not rule.covers(f"{other}.{base}", port % 65535 + 1)


def test_a_rule_without_a_port_means_those_of_the_web():
    rules = (parse_rule("example.org"), parse_rule("[2001:db8::1]:22"))
    assert [port for port in (22, 80, 443, 8080) if permits(rules, "example.org", port)] == [80, 443]
    assert permits(rules, "2001:db8::1", 22)
    assert not permits((), "example.org", 443)


@pytest.mark.parametrize(
    "text", ["", "*.org", "*.", "**.a.b", "a b", "a.b:0", "a.b:x", "*.127.0.0.1", "a:b:c", "http://a.b", "a.b/"]
)
def test_what_is_no_rule_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        parse_rule(text)


def test_international_names_are_compared_as_ascii():
    assert canonical_host("bücher.example") == "xn--bcher-kva.example"
    assert parse_rule("*.BÜCHER.example").covers("www.xn--bcher-kva.example", 443)
    assert canonical_host("аpple.com") != "apple.com"  # noqa: RUF001  # a Cyrillic letter is the point


@given(st.text(max_size=80))
def test_any_authority_is_read_or_refused(text):
    try:
        host, port = parse_authority(text)
    except ValueError:
        return
    assert canonical_host(host) == host
    assert port is None or 0 < port < 65536


@given(st.binary(max_size=400))
def test_any_head_is_read_or_refused(data):
    with suppress(RefusedConnectionError):
        assert parse_head(data).host


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Host", "Connection", "X-A", "Content-Length", "Transfer-Encoding", "Proxy-X", "Upgrade"]),
            st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=12),
        ),
        max_size=6,
    )
)
def test_what_is_sent_on_is_one_request_to_the_decided_host(headers):
    lines = ["POST http://site.test/x HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    try:
        request = parse_head("\r\n".join(lines).encode())
    except RefusedConnectionError:
        return
    text = request.onward.decode("latin-1")
    assert text.startswith("POST /x HTTP/1.1\r\nHost: site.test\r\n")
    names = [line.partition(":")[0].lower() for line in text.split("\r\n")[1:-2]]
    assert names.count("host") == 1
    assert names.count("connection") == 1
    assert names.count("content-length") + names.count("transfer-encoding") <= 1
    assert not [name for name in names if name.startswith(("proxy-", "upgrade"))]


def test_a_line_of_spaces_is_refused_in_no_time():
    line = b"A:" + b" " * 30_000 + b"\x01"
    with pytest.raises(RefusedConnectionError):
        parse_head(b"GET http://a.example/ HTTP/1.1\r\n" + line)
    assert HEADER.fullmatch(line.decode("latin-1")) is None


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.binary(max_size=30), st.lists(st.integers(1, 9)))
def test_a_chunked_body_ends_where_it_ends_however_it_comes(chunks, behind, cuts):
    whole = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    data, body, taken = whole + behind, ChunkedBody(), 0
    sizes = iter([*cuts, *([64] * 100)])
    at = 0
    while at < len(data) and not body.is_over:
        piece = data[at : at + next(sizes)]
        size = body.feed(piece)
        taken += size
        at += len(piece)
    assert body.is_over
    assert taken == len(whole)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_chunked_body_or_refused(data):
    body = ChunkedBody()
    with suppress(RefusedConnectionError):
        assert body.feed(data) <= len(data)


def hello(name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    sent = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name).do_handshake()
    return sent.read()


@pytest.mark.parametrize("name", ["site.test", "a.very.long.name.example.org", None])
def test_the_name_of_a_real_first_message_is_found_and_not_before_it_is_whole(name):
    message = hello(name)
    assert [read_hello(message[:size]) for size in range(len(message))] == [None] * len(message)
    found = read_hello(message)
    assert found is not None
    assert found.name == name


@given(st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_a_damaged_first_message_names_nobody_else(at, damage):
    message = hello("site.test")
    data = message[:at] + damage + message[at + len(damage) :]
    try:
        found = read_hello(data)
    except NotTlsError:
        return
    assert found is None or found.name is None or isinstance(found.name, str)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_first_message_or_not(data):
    with suppress(NotTlsError):
        assert read_hello(data) is None or data.startswith(b"\x16")


@given(st.ip_addresses(v=4))
def test_an_address_is_as_public_inside_ipv6_as_outside(address):
    public = is_public(address)
    assert is_public(IPv6Address(f"::ffff:{address}")) is public
    assert is_public(IPv6Address(f"64:ff9b::{address}")) is public
    assert not is_public(IPv6Address(f"::{address}"))
    assert public is False or address.is_global


@given(st.ip_addresses())
def test_what_nobody_allowed_is_public(address):
    try:
        found = check_addresses("site.test", [str(address)], may_be_private=False)
    except RefusedConnectionError:
        assert not is_public(address)
    else:
        assert is_public(ip_address(found[0]))
