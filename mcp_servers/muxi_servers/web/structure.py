"""HTML as it comes to a tree of what a reader would see. Runs in a process of its own, in the image that has lxml."""

from __future__ import annotations

import re

from lxml import etree, html

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Element = Any

__all__ = ["main_part", "parse_page", "title_of"]

_NOT_READ = (
    *("script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "canvas", "select", "button"),
    *("input", "textarea", "dialog", "head", "link", "meta"),
)
_AROUND = ("nav", "header", "footer", "aside", "form")
_AROUND_ROLES = frozenset({"navigation", "banner", "contentinfo", "search", "complementary", "dialog"})
_HIDDEN = re.compile(r"(?:display\s{0,9}:\s{0,9}none|visibility\s{0,9}:\s{0,9}hidden)", re.IGNORECASE)
_ENOUGH = 200
"""Characters from which on a part that calls itself the main one is believed."""
_SIFTED = 1_000_000
"""Characters of source up to which Readability is asked: it takes several times the memory and time of reading."""
_SHARE = 0.4
"""Of the page's text, that what looks like an article must have to be taken for all of it."""


def parse_page(text: str) -> Element:
    """The root element. What is not shown is gone: scripts, forms' fields, hidden parts, comments.

    Malformed HTML is read as browsers do, more or less; the library cuts off what is nested too deep.
    """
    parser = html.HTMLParser(remove_comments=True, remove_pis=True, encoding="utf-8")
    # NUL ends the text for the library; it means nothing in HTML.
    try:
        root = html.document_fromstring(text.replace("\0", "").encode("utf-8", "replace"), parser=parser)
    except etree.ParserError:  # there is not one element in it
        root = html.document_fromstring(b"<p></p>", parser=parser)
    for element in list(root.iter(*_NOT_READ)):
        if element.tag != "head":
            _drop(element)
    for element in [one for one in root.iter(etree.Element) if _is_hidden(one)]:
        _drop(element)
    return root


def title_of(root: Element) -> str:
    """As the page says it; empty if it does not."""
    found = next(root.iter("title"), None)
    found = next(root.iter("h1"), None) if found is None else found
    return "" if found is None else " ".join("".join(found.itertext()).split())[:300]


def main_part(root: Element, source: str) -> Element:
    """The element that holds the content, without what surrounds it on every page of a site.

    In this order: what says that it is the main part, the only article, what Readability's rules find, the whole page.
    """
    body = root.find("body")
    body = root if body is None else body
    everything = _size(body)
    candidates = [one for one in body.iter(etree.Element) if one.tag == "main" or one.get("role") == "main"]
    articles = list(body.iter("article"))
    if not candidates and len(articles) == 1 and _size(articles[0]) >= _SHARE * everything:
        candidates = articles
    best = max(candidates, key=_size, default=None)
    if best is None or _size(best) < min(_ENOUGH, everything):
        best = _readable(source, everything) if everything > _ENOUGH and len(source) <= _SIFTED else None
    best = body if best is None else best
    for element in [one for one in best.iter(etree.Element) if one is not best and _is_around(one)]:
        _drop(element)
    return best


def _readable(source: str, everything: int) -> Element | None:
    from readability import Document  # noqa: PLC0415 - 20 ms that most pages need not pay

    try:
        found = parse_page(Document(source.replace("\0", "")).summary(html_partial=True))
    except Exception:  # noqa: BLE001 - it raises what its parser does; the whole page is read then
        return None
    return found if _size(found) >= max(_ENOUGH, _SHARE * everything) else None


def _size(element: Element) -> int:
    return sum(len(text.strip()) for text in element.itertext())


def _is_hidden(element: Element) -> bool:
    shown = element.get("aria-hidden") != "true" and element.get("hidden") is None
    return not shown or bool(_HIDDEN.search((element.get("style") or "")[:2_000]))


def _is_around(element: Element) -> bool:
    if element.get("role") in _AROUND_ROLES:
        return True
    if element.tag not in _AROUND:
        return False
    # A header within an article holds its title.
    return element.tag != "header" or not any(above.tag in {"article", "main"} for above in element.iterancestors())


def _drop(element: Element) -> None:
    """Take it away, its tail left where it is."""
    if element.getparent() is not None:
        element.drop_tree()
