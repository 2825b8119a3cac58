"""Requests to hosts: URLs, compressed bodies, refusals of the proxy."""

from __future__ import annotations

import gzip
import zlib
from encodings.aliases import aliases

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.kit.client.charsets import text_encoding
from muxi_servers.kit.client.decoding import make_inflater
from muxi_servers.kit.client.refusals import not_let_out, refusal_of
from muxi_servers.kit.client.urls import parse_url
from muxi_servers.kit.errors import ToolError


@pytest.mark.parametrize(
    ("text", "whole", "authority"),
    [
        ("https://Example.COM", "https://example.com/", "example.com"),
        ("http://example.com:80/a b?q=ü#part", "http://example.com/a%20b?q=%C3%BC", "example.com"),
        ("https://example.com:8443/%7Ea", "https://example.com:8443/%7Ea", "example.com:8443"),
        ("http://[2001:DB8::7]:81/", "http://[2001:db8::7]:81/", "[2001:db8::7]:81"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
    ],
)
def test_a_url_has_one_form(text: str, whole: str, authority: str) -> None:
    url = parse_url(text)
    assert (str(url), url.authority) == (whole, authority)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("file:///etc/passwd", "no URL of http or https"),
        ("example.com/page", "no URL of http or https"),
        ("https://", "names no host"),
        ("https://user:word@example.com/", "may not hold a user"),
        ("https://example.com@evil.test/", "may not hold a user"),
        ("https://example.com/\r\nHost: evil.test", "control character"),
        ("https://exa mple.com/", "no URL"),
        ("https://example.com:99999/", "no URL"),
        ("https://example.com/" + "a" * 9000, "8000 at most"),
    ],
)
def test_a_url_that_could_be_read_in_two_ways_is_refused(text: str, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        parse_url(text)


@given(st.text(max_size=200))
def test_whatever_is_taken_for_a_url_has_nothing_in_it_that_ends_a_line(text: str) -> None:
    try:
        url = parse_url(f"https://example.com/{text}")
    except ToolError:
        return
    assert str(url).isascii()
    assert not any(char.isspace() for char in url.target)
    assert url.host == "example.com"


def test_a_redirect_is_read_as_strictly() -> None:
    url = parse_url("https://example.com/a/b")
    assert str(url.join("../c?d")) == "https://example.com/c?d"
    assert str(url.join("//other.test/x")) == "https://other.test/x"
    for wrong in ("https://[bad/", "/x\r\nSet-Cookie: a", "javascript:alert(1)"):
        with pytest.raises(ToolError):
            url.join(wrong)


def test_a_bomb_gives_no_more_than_is_wanted() -> None:
    inflater = make_inflater("gzip")
    assert inflater
    bomb = gzip.compress(bytes(10_000_000))
    assert len(bomb) < 20_000
    assert inflater.take(bomb, 100) == bytes(100)
    assert inflater.held
    assert inflater.is_open


def test_members_of_a_file_follow_each_other_and_deflate_is_known() -> None:
    inflater = make_inflater("x-gzip")
    assert inflater
    assert inflater.take(gzip.compress(b"one") + gzip.compress(b"two"), 100) == b"one"
    assert inflater.take(inflater.held, 100) == b"two"
    assert not inflater.is_open
    deflate = make_inflater("deflate")
    assert deflate
    assert deflate.take(zlib.compress(b"three"), 100) == b"three"
    assert make_inflater("identity") is None


def test_a_coding_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(ValueError, match="'br'"):
        make_inflater("br")


def test_a_refusal_names_the_host_and_the_setting() -> None:
    url = parse_url("https://example.com:8443/x")
    told = str(not_let_out("web", url))
    assert 'add "example.com:8443" to servers.web.network.allow in muxi.yaml' in told
    headers = {"x-muxi-rule": "profile", "via": "1.1 muxi-runtime"}
    refusal = refusal_of(
        "http", parse_url("https://example.com/"), headers, b"muxi-runtime: Server ... (rule profile)\n"
    )
    assert refusal
    assert refusal.rule == "profile"
    assert 'add "example.com" to servers.http.network.allow' in str(refusal)
    other = refusal_of(
        "http", url, {**headers, "x-muxi-rule": "address"}, b"muxi-runtime: It is private. (rule address)\n"
    )
    assert str(other) == "The proxy refused example.com:8443: It is private. (rule address)"


def test_a_hosts_own_answer_is_no_refusal() -> None:
    url = parse_url("https://example.com/")
    assert refusal_of("web", url, {"via": "1.1 muxi-runtime"}, b"") is None
    assert refusal_of("web", url, {"x-muxi-rule": "profile"}, b"") is None


@pytest.mark.parametrize(
    "name",
    [
        *("utf8", "UTF-8", "us-ascii", "latin1", "iso-8859-1", "ISO-8859-15", "windows-1252", "koi8-r", "macintosh"),
        *("big5-hkscs", "GB2312", "gb18030", "EUC-JP", "iso-2022-jp", "ks_c_5601-1987", "tis-620", " utf-16le "),
    ],
)
def test_names_of_encodings_of_text_are_known(name: str) -> None:
    assert text_encoding(name)


@given(st.text(max_size=30) | st.sampled_from(sorted({*aliases, *aliases.values(), "idna", "punycode", "undefined"})))
def test_with_an_encoding_that_is_known_any_bytes_are_text(name: str) -> None:
    known = text_encoding(name)
    assert isinstance(bytes(range(256)).decode(known or "utf-8", "replace"), str)
    assert known not in {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape", "utf_7"}
