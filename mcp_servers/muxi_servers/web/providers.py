"""Who is asked for a search: one seam, four providers.

Above it: `searching`, which makes the request, reads the answer and bounds what comes of it. Below it: nothing but the
form of each provider's requests and answers. Where that is described:

- SearXNG: docs.searxng.org/dev/search_api.html
- Brave: api-dashboard.search.brave.com/app/documentation/web-search
- Tavily: docs.tavily.com/documentation/api-reference/endpoint/search
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from urllib.parse import urlencode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["PROVIDERS", "Asked", "Provider"]


class Asked:
    """A request for a search. `path` goes after the provider's URL, `body` is JSON."""

    __slots__ = ("body", "headers", "path")

    def __init__(self, path: str, headers: list[tuple[str, str]], body: bytes | None = None) -> None:
        self.path = path
        self.headers = headers
        self.body = body


class Provider(ABC):
    """What all of them have, as most of them have it. The subclasses are the providers.

    Attributes:
        url: where it is; empty where the operator has to say so.
        key_name: of the secret that holds its key; empty if it needs none.
        reader: what its answer is: `json`, or a kind of document that `reading` knows.
        snippet, published: what its results call them.
    """

    url = ""
    key_name = ""
    reader = "json"
    snippet = "snippet"
    published = "published"

    @abstractmethod
    def ask(self, query: str, count: int, within: str, key: str) -> Asked:
        """The request for so many results. `within` is as in the tool's arguments."""

    def found(self, answer: Any) -> list[Any]:  # noqa: ANN401 - any JSON value
        """The results in an answer, as they came."""
        found: list[Any] = answer["results"]
        return found

    def results(self, answer: Any) -> list[dict[str, Any]]:  # noqa: ANN401
        """Title, url, snippet and published of each result, as they came.

        Raises:
            KeyError, TypeError, AttributeError: the answer has not the form that it should.
        """
        return [
            {
                "title": one.get("title"),
                "url": one["url"],
                "snippet": one.get(self.snippet),
                "published": one.get(self.published),
            }
            for one in self.found(answer)
        ]


class _SearXNG(Provider):
    """An instance of the operator's, whose settings allow the format json."""

    snippet = "content"
    published = "publishedDate"

    def ask(self, query: str, count: int, within: str, key: str) -> Asked:
        del count, key
        # It knows no week: a month is the next that leaves nothing out.
        time_range = {"any": {}, "week": {"time_range": "month"}}.get(within, {"time_range": within})
        fields = urlencode({"q": query, "format": "json", **time_range})
        return Asked(f"/search?{fields}", [("Accept", "application/json")])


class _Brave(Provider):
    url = "https://api.search.brave.com"
    key_name = "BRAVE_API_KEY"
    snippet = "description"
    published = "page_age"

    def ask(self, query: str, count: int, within: str, key: str) -> Asked:
        freshness = {} if within == "any" else {"freshness": f"p{within[0]}"}
        fields = urlencode({"q": query, "count": count, **freshness})
        return Asked(f"/res/v1/web/search?{fields}", [("Accept", "application/json"), ("X-Subscription-Token", key)])

    def found(self, answer: Any) -> list[Any]:  # noqa: ANN401
        # A search without results has no `web`; what is no answer to a search has no `type` either.
        if answer["type"] != "search":
            raise KeyError("type")
        results: list[Any] = answer.get("web", {}).get("results", [])
        return results


class _Tavily(Provider):
    url = "https://api.tavily.com"
    key_name = "TAVILY_API_KEY"
    snippet = "content"
    published = "published_date"

    def ask(self, query: str, count: int, within: str, key: str) -> Asked:
        wanted: dict[str, object] = {"query": query, "max_results": count}
        if within != "any":
            wanted["time_range"] = within
        headers = [("Content-Type", "application/json"), ("Authorization", f"Bearer {key}")]
        return Asked("/search", headers, json.dumps(wanted).encode())


class _DuckDuckGo(Provider):
    url = "https://html.duckduckgo.com"
    reader = "duckduckgo"

    def ask(self, query: str, count: int, within: str, key: str) -> Asked:
        del count, key
        df = {} if within == "any" else {"df": within[0]}
        return Asked(f"/html/?{urlencode({'q': query, **df})}", [("Accept", "text/html")])


PROVIDERS: Mapping[str, Provider] = {
    "searxng": _SearXNG(),
    "brave": _Brave(),
    "tavily": _Tavily(),
    "duckduckgo": _DuckDuckGo(),
}
