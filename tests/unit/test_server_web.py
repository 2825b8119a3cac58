"""What the web server makes of pages: characters, kinds, Markdown, parts of a long text."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.robotparser import RobotFileParser
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.kit.client.urls import parse_url
from muxi_servers.kit.errors import ToolError
from muxi_servers.web.charset import to_text
from muxi_servers.web.kinds import kind_of
from muxi_servers.web.links import Links
from muxi_servers.web.markdown import Writer
from muxi_servers.web.robots import AGENT, Robots
from muxi_servers.web.shelf import Page, Shelf


def markdown(source: str, *, plain: bool = False) -> str:
    tree = ET.fromstring(f"<div>{source}</div>")  # noqa: S314 - the test's own
    return Writer(Links("https://example.com/docs/").absolute, plain=plain).write(tree)


@pytest.mark.parametrize(
    ("data", "told", "text"),
    [
        ("grün".encode(), "", "grün"),
        ("grün".encode("latin-1"), "", "grün"),
        ("grün".encode("latin-1"), "ISO-8859-1", "grün"),
        ("“q”".encode("cp1252"), "iso-8859-1", "“q”"),
        ("\ufeffgrün".encode(), "latin-1", "grün"),
        ("grün".encode("utf-16"), "", "grün"),
        ('<meta charset="shift_jis">日本'.encode("shift_jis"), "", '<meta charset="shift_jis">日本'),
        ('<meta charset="utf-16">grün'.encode(), "", '<meta charset="utf-16">grün'),
        ("grün".encode(), "no-such-thing", "grün"),
        ("grün".encode(), "zlib", "grün"),
        ("xn--grün".encode(), "idna", "xn--grün"),
        ("grün-abc".encode(), "punycode", "grün-abc"),
        ("grün".encode(), "undefined", "grün"),
        ("grün".encode(), "a\0b", "grün"),
        (b'<meta charset="utf-7">+ADw-', "", '<meta charset="utf-7">+ADw-'),
        ("grün".encode()[:3], "", "gr\ufffd"),
    ],
)
def test_characters_are_found(data: bytes, told: str, text: str) -> None:
    assert to_text(data, told) == text


@given(st.binary(max_size=500), st.text(max_size=20))
def test_any_bytes_are_some_text(data: bytes, told: str) -> None:
    assert isinstance(to_text(data, told), str)


@pytest.mark.parametrize(
    ("media_type", "data", "kind"),
    [
        ("text/html", b"", "html"),
        ("text/plain", b"%PDF-1.7", "pdf"),
        ("application/problem+json", b"{}", "json"),
        ("application/rss+xml", b"<rss/>", "text"),
        ("image/svg+xml", b"<svg/>", "text"),
        ("image/png", b"", "image"),
        ("application/zip", b"PK", "none"),
        ("", b" <!DOCTYPE html><p>", "html"),
        ("application/octet-stream", b"\x89PNG\r\n\x1a\n", "image"),
        ("", b"\0\1", "none"),
        ("", b"[1]", "json"),
        ("", b"words", "text"),
    ],
)
def test_the_kind_is_what_the_host_says_or_the_bytes_are(media_type: str, data: bytes, kind: str) -> None:
    assert kind_of(media_type, data) == kind


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("<h2>A  <code>b_c</code></h2><p>one\n two</p>", "## A `b_c`\n\none two\n"),
        ("<p><b>bold</b> and <em> it </em>x</p>", "**bold** and *it* x\n"),
        ("<p>1 * 2 snake_case _x_ [y]</p>", "1 \\* 2 snake_case \\_x\\_ \\[y\\]\n"),
        (
            '<p><a href="a b.html">link</a> <a href="#x">here</a></p>',
            "[link](https://example.com/docs/a%20b.html) here\n",
        ),
        ('<p><a href="javascript:x()">no</a><a href="data:text/html,x">no</a></p>', "nono\n"),
        ('<img src="/i.png" alt="a ] b"/>', "![a \\] b](https://example.com/i.png)\n"),
        ("<ul><li>one</li><li>two<ol><li>deep</li></ol></li></ul>", "- one\n- two\n  1. deep\n"),
        ('<ol start="3"><li>x</li><li><p>y</p><p>z</p></li></ol>', "3. x\n4. y\n\n   z\n"),
        (
            '<pre><code class="language-py">a = "```"\n  b</code></pre>',
            '````py\na = "```"\n  b\n````\n',
        ),
        ("<p>use <code>a`b</code></p>", "use ``a`b``\n"),
        ("<blockquote><p>a</p><p>b</p></blockquote>", "> a\n>\n> b\n"),
        (
            '<table><tr><th>a</th><th>b|c</th></tr><tr><td colspan="2">x<br/>y</td></tr></table>',
            "| a | b\\|c |\n| --- | --- |\n| x y |  |\n",
        ),
        ("<table><tr><td><p>only</p></td></tr></table>", "only\n"),
        ('<a href="/c"><h3>Card</h3><p>t</p></a>', "### Card\n\nt\n\n[link](https://example.com/c)\n"),
        ("<p>a<br/>b</p><hr/><script>x()</script><style>y</style>", "a\nb\n\n---\n"),
        ("<x-page><p>in a custom element</p></x-page>", "in a custom element\n"),
    ],
)
def test_elements_become_markdown(source: str, expected: str) -> None:
    assert markdown(source) == expected


def test_plain_text_has_neither_marks_nor_targets() -> None:
    found = markdown('<h1>T</h1><p><b>a</b> <a href="/x">b_</a> <code>c</code></p><ul><li>d</li></ul>', plain=True)
    assert found == "T\n\na b_ c\n\n- d\n"


def test_links_follow_the_base_of_the_page() -> None:
    assert Links("https://a.test/x/", "/y/").absolute("z") == "https://a.test/y/z"
    assert Links("https://a.test/x/", "javascript:1").absolute("z") == "https://a.test/x/z"
    assert Links("https://a.test/").absolute("http://[bad") == ""


def page(text: str) -> Page:
    answer: Any = SimpleNamespace(status=200, media_type="text/plain")
    made = Page(answer, [parse_url("https://example.com/")], "text")
    made.take({"text": text}, is_whole=True)
    return made


def test_parts_of_a_text_follow_each_other_without_loss() -> None:
    text = "".join(f"line {number}\n" for number in range(1000))
    made, offset, parts = page(text), 0, []
    while offset is not None:
        told = made.to_json(offset, 700)
        parts.append(told["text"])
        assert len(told["text"]) <= 700
        offset = told["next_offset"]
    assert "".join(parts) == text
    assert all(part.endswith("\n") for part in parts)


def test_the_shelf_keeps_the_last_pages_within_its_room() -> None:
    shelf = Shelf()
    for number in range(6):
        shelf.put((str(number), "text", True), page("x"))
    assert [shelf.get((str(number), "text", True)) is not None for number in range(6)] == [False, False, *[True] * 4]
    for number in range(3):
        shelf.put((f"big {number}", "text", True), page("x" * 1_900_000))
    assert shelf.get(("big 0", "text", True)) is None
    assert shelf.get(("big 2", "text", True)) is not None


def test_the_rules_of_robots_are_for_our_agent() -> None:
    parser = RobotFileParser()
    parser.parse([f"User-agent: {AGENT}", "Disallow: /private/", "", "User-agent: *", "Disallow: /"])
    parser.modified()
    assert parser.can_fetch(AGENT, "https://example.com/open")
    assert not parser.can_fetch(AGENT, "https://example.com/private/x")


def may_read(robots: str, path: str) -> bool:
    answer = SimpleNamespace(status=200, headers={}, body=robots.encode())
    exchange: Any = SimpleNamespace(ask=lambda *_: answer)
    errand: Any = None
    try:
        Robots(exchange).check(errand, parse_url(f"https://example.com{path}"))
    except ToolError as error:
        assert "asks programs not to read" in str(error)  # noqa: PT017 - either way is right
        return False
    return True


@pytest.mark.parametrize("line", ["Disallow: //[", "Allow: //[", "Crawl-delay: \u00b2", "Request-rate: \u00b2/1"])
def test_a_line_of_robots_that_cannot_be_read_leaves_the_others_as_they_are(line: str) -> None:
    robots = f"User-agent: {AGENT}\n{line}\nDisallow: /private/\n"
    assert may_read(robots, "/open")
    assert not may_read(robots, "/private/x")
    assert may_read(f"User-agent: {AGENT}\n{line}\nUser-agent: *\nDisallow: /\n", "/open")


ROBOTS_LINES = st.sampled_from(["User-agent:", "Disallow:", "Allow:", "Crawl-delay:", "Request-rate:", "Sitemap:", ""])


@given(
    st.lists(st.tuples(ROBOTS_LINES, st.text() | st.text("/[]%\u00b2:-0a", max_size=8))),
    st.text("/[]%25?#", max_size=9),
)
def test_whatever_a_robots_txt_says_a_page_may_be_read_or_not(lines: list[tuple[str, str]], path: str) -> None:
    robots = "\n".join(["User-agent: *", *map(" ".join, lines)])
    assert may_read(robots.encode("utf-8", "replace").decode(), f"/{path}") in {True, False}
