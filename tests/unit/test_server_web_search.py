"""Search providers: what they are asked, and answers in the form that each describes."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxi_servers.web.duckduckgo import parse_results
from muxi_servers.web.providers import PROVIDERS
from muxi_servers.web.reading_errors import UnreadableError
from muxi_servers.web.searching import tidy_results

RESULT = """
<div class="result results_links results_links_deep {more}web-result ">
 <div class="links_main links_deep result__body">
  <h2 class="result__title"><a rel="nofollow" class="result__a" href="{href}">A <b>title</b> &amp; more</a></h2>
  <a class="result__url" href="{href}">example.com/a</a>
  <a class="result__snippet" href="{href}">Some <b>words</b>.</a>
 </div>
</div>
"""
REAL = "//duckduckgo.com/l/?uddg=https%3A%2F%2Fexample.com%2Fa%3Fb%3D1&amp;rut=0123"
AD = "https://duckduckgo.com/y.js?ad_domain=ads.example"


def asked(name: str, within: str = "any") -> Any:
    return PROVIDERS[name].ask("a & b", 5, within, "the-key")


def test_each_provider_is_asked_as_it_describes() -> None:
    brave = asked("brave", "week")
    assert urlsplit(brave.path).path == "/res/v1/web/search"
    assert parse_qs(urlsplit(brave.path).query) == {"q": ["a & b"], "count": ["5"], "freshness": ["pw"]}
    assert ("X-Subscription-Token", "the-key") in brave.headers
    tavily = asked("tavily", "month")
    assert json.loads(tavily.body) == {"query": "a & b", "max_results": 5, "time_range": "month"}
    assert ("Authorization", "Bearer the-key") in tavily.headers
    searxng = parse_qs(urlsplit(asked("searxng", "year").path).query)
    assert searxng == {"q": ["a & b"], "format": ["json"], "time_range": ["year"]}
    assert parse_qs(urlsplit(asked("duckduckgo", "day").path).query) == {"q": ["a & b"], "df": ["d"]}


def test_a_key_goes_to_the_provider_that_it_is_for_and_into_no_url() -> None:
    for name in PROVIDERS:
        one = asked(name)
        assert "the-key" not in one.path
        assert ("the-key" in str(one.headers)) == bool(PROVIDERS[name].key_name)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        (
            "searxng",
            {"query": "q", "results": [{"url": "https://e.test/", "title": "T", "content": "S", "score": 1.0}]},
        ),
        (
            "brave",
            {
                "type": "search",
                "web": {
                    "type": "search",
                    "results": [{"title": "T", "url": "https://e.test/", "description": "<strong>S"}],
                },
            },
        ),
        ("tavily", {"query": "q", "results": [{"title": "T", "url": "https://e.test/", "content": "S", "score": 0.9}]}),
    ],
)
def test_results_are_found_in_each_form(name: str, answer: dict[str, Any]) -> None:
    expected = {"title": "T", "url": "https://e.test/", "snippet": "S", "published": None}
    assert tidy_results(PROVIDERS[name].results(answer)) == [expected]


def test_no_results_are_no_error() -> None:
    assert PROVIDERS["searxng"].results({"results": []}) == []
    assert PROVIDERS["brave"].results({"type": "search", "query": {}}) == []
    assert PROVIDERS["tavily"].results({"results": []}) == []
    assert parse_results('<div id="links" class="results"><div class="no-results">No results.</div></div>') == []


@pytest.mark.parametrize(
    "answer", [{}, [], None, {"results": None}, {"results": [{}]}, {"type": "x"}, {"results": [1]}]
)
@pytest.mark.parametrize("name", ["searxng", "brave", "tavily"])
def test_another_form_is_an_error_that_the_tool_knows(name: str, answer: Any) -> None:
    with pytest.raises((KeyError, TypeError, AttributeError)):
        PROVIDERS[name].results(answer)


def test_results_are_bounded_and_lead_to_pages() -> None:
    def one(url: object, title: object = "t", snippet: object = "s") -> dict[str, Any]:
        return {"url": url, "title": title, "snippet": snippet, "published": "2026-01-02T00:00:00"}

    found = [
        one("https://a.test/", "<b>A</b> &lt;x&gt;", "s" * 9000),
        one("https://a.test/"),
        one("javascript:alert(1)"),
        one("https://b.test/\u202e"),
        one(7),
        one("https://c.test/", None, 5),
    ]
    first, second = tidy_results(found)
    assert (first["title"], len(first["snippet"])) == ("A <x>", 1000)
    assert (second["title"], second["snippet"]) == ("https://c.test/", "")


def test_the_page_of_duckduckgo_gives_results_and_no_advertisements() -> None:
    page = (
        RESULT.format(more="result--ad ", href=AD) + RESULT.format(more="", href=REAL) + RESULT.format(more="", href=AD)
    )
    found = parse_results(f'<div id="links" class="results">{page}</div>')
    assert found == [
        {"title": "A title & more", "url": "https://example.com/a?b=1", "snippet": "Some words.", "published": None}
    ]


def test_a_page_that_doubts_or_is_another_is_told() -> None:
    with pytest.raises(UnreadableError, match="proof that a person"):
        parse_results('<div class="anomaly-modal__title">Unfortunately, bots use DuckDuckGo too.</div>')
    with pytest.raises(UnreadableError, match="no results in the form"):
        parse_results("<html><p>Welcome</p></html>")


@given(st.text(alphabet=st.sampled_from("<>/ab\"= 'div class result__a!-&;"), max_size=300))
def test_malformed_pages_are_read_or_refused(text: str) -> None:
    with suppress(UnreadableError):
        assert isinstance(parse_results(f'<div id="links">{text}'), list)
