"""Results on DuckDuckGo's page without scripts, html.duckduckgo.com/html/ (its form as seen in 2026; it is no API).

    <div class="result results_links results_links_deep web-result">
      <h2 class="result__title"><a class="result__a" href="//duckduckgo.com/l/?uddg=https%3A%2F%2F...">Title</a></h2>
      <a class="result__snippet" href="...">The <b>snippet</b></a>
    </div>

Advertisements have the class `result--ad`. A page that asks for proof of being a person has a class `anomaly-modal`.
"""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import parse_qs, urljoin, urlsplit

from muxi_servers.web.reading_errors import UnreadableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["parse_results"]

_BASE = "https://duckduckgo.com/"
_CAUGHT = "result__a", "result__snippet"


def parse_results(page: str) -> list[dict[str, Any]]:
    """Title, URL and snippet of each result, advertisements left out.

    Raises:
        UnreadableError: it is no page of results.
    """
    parser = _Results()
    parser.feed(page)
    parser.close()
    if parser.is_doubted:
        raise UnreadableError(
            "DuckDuckGo asks for proof that a person searches: too many searches came from this address. Try again "
            "later, or have the operator choose another provider (docs/servers/web.md)."
        )
    if not parser.is_results:
        raise UnreadableError("DuckDuckGo answered with a page that holds no results in the form that is known here.")
    return [one for one in parser.results if one["url"]]


class _Results(HTMLParser):
    """Gathers text between the tags that it knows."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.results: list[dict[str, Any]] = []
        self.is_doubted = self.is_results = False
        self._catching = ""
        self._in_ad = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """See `HTMLParser`."""
        given = dict(attrs)
        classes = (given.get("class") or "").split()
        self.is_doubted = self.is_doubted or any(one.startswith("anomaly-modal") for one in classes)
        self.is_results = (
            self.is_results or given.get("id") == "links" or bool({"results", "no-results"} & set(classes))
        )
        if tag == "div" and "result" in classes:
            self._in_ad = "result--ad" in classes
        if tag != "a" or self._in_ad:
            return
        self._catching = next((name for name in _CAUGHT if name in classes), "")
        if self._catching == "result__a":
            self.results.append({"title": "", "url": _real(given.get("href") or ""), "snippet": "", "published": None})

    def handle_endtag(self, tag: str) -> None:
        """See `HTMLParser`."""
        if tag == "a":
            self._catching = ""

    def handle_data(self, data: str) -> None:
        """See `HTMLParser`."""
        if self._catching and self.results:
            field = "title" if self._catching == "result__a" else "snippet"
            self.results[-1][field] += data


def _real(href: str) -> str:
    """Where a link leads behind DuckDuckGo's redirect; empty for an advertisement's or no link."""
    whole = urljoin(_BASE, href)
    parts = urlsplit(whole)
    if not (parts.hostname or "").endswith("duckduckgo.com"):
        return whole
    return parse_qs(parts.query).get("uddg", [""])[0] if parts.path == "/l/" else ""
