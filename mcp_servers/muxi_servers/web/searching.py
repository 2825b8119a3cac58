"""The tool `search`."""

from __future__ import annotations

import json
import os
import re
from html import unescape

from muxi_servers.kit.client.errand import Errand
from muxi_servers.kit.client.exchange import Exchange, Request
from muxi_servers.kit.client.urls import parse_url
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.web.converting import convert
from muxi_servers.web.fetching import USER_AGENT
from muxi_servers.web.providers import PROVIDERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.client.exchange import Answer
    from muxi_servers.kit.launch import Launcher
    from muxi_servers.web.providers import Provider

__all__ = ["search", "tidy_results"]

_MAX_BYTES = 2 * 2**20
_MAX_TITLE = 300
_MAX_SNIPPET = 1_000
_MAX_URL = 2_000
_READ_SNIPPET = 4_000
_SHOWN_ERROR = 300
_TAG = re.compile(r"<[^<>]{0,300}>")
_HOW = "See docs/servers/web.md, searching."


def search(launcher: Launcher, call: Call, arguments: dict[str, Any]) -> ToolResult:
    """See the tool's description.

    Raises:
        ToolError: no provider is chosen, or it does not answer with results.
    """
    name = os.environ.get("WEB_SEARCH", "")
    provider = PROVIDERS.get(name)
    if provider is None:
        known = ", ".join(PROVIDERS)
        told = f"{name[:40]!r} is no provider" if name else "No provider is chosen"
        raise ToolError(
            f"{told}. An operator chooses one: servers.web.environment.WEB_SEARCH in muxi.yaml, one of {known}. {_HOW}"
        )
    answer = _ask(call, name, provider, arguments)
    if answer.status != 200:  # noqa: PLR2004 - the one status with results
        raise ToolError(_failure(name, provider, answer))
    results = tidy_results(_read(launcher, call, name, provider, answer))[: int(arguments["max_results"])]
    return ToolResult([text(_words(name, results))], {"provider": name, "results": results})


def _ask(call: Call, name: str, provider: Provider, arguments: dict[str, Any]) -> Answer:
    base = (os.environ.get("WEB_SEARCH_URL") or provider.url).rstrip("/")
    if not base:
        raise ToolError(
            f"It is not known where {name} is. An operator says: servers.web.environment.WEB_SEARCH_URL. {_HOW}"
        )
    key = os.environ.get(provider.key_name, "") if provider.key_name else ""
    if provider.key_name and not key:
        raise ToolError(
            f"{name} needs a key, the secret {provider.key_name}. An operator gives it to this server in muxi.yaml: "
            f"servers.web.secrets.{provider.key_name}; then `muxi-runtime secrets set {provider.key_name}`. {_HOW}"
        )
    asked = provider.ask(arguments["query"], int(arguments["max_results"]), arguments["within"], key)
    url = parse_url(base + asked.path)
    request = Request(url, "POST" if asked.body else "GET", asked.headers, asked.body)
    with Errand(call, arguments["timeout_seconds"]) as errand:
        return Exchange("web", USER_AGENT).ask(errand, request, _MAX_BYTES)


def _failure(name: str, provider: Provider, answer: Answer) -> str:
    shown = " ".join(answer.body[:_READ_SNIPPET].decode("utf-8", "replace").split())[:_SHOWN_ERROR]
    told = f"{name} answered {answer.status} {answer.reason}."
    if answer.status in {401, 403} and provider.key_name:
        told += (
            f" Its key is the secret {provider.key_name}; set it anew: `muxi-runtime secrets set {provider.key_name}`."
        )
    elif answer.status == 403:  # noqa: PLR2004
        told += " Its settings may not allow programs to search: SearXNG has to allow the format json."
    elif answer.status == 429:  # noqa: PLR2004
        retry = answer.headers.get("retry-after", "")[:60]
        told += f" It was asked too often: try again {f'after {retry} (seconds, or a date)' if retry else 'later'}."
    return f"{told} It says: {shown}" if shown else told


def _read(launcher: Launcher, call: Call, name: str, provider: Provider, answer: Answer) -> list[dict[str, Any]]:
    try:
        if provider.reader == "json":
            return provider.results(json.loads(answer.body))
        wanted = {"kind": provider.reader, "charset": answer.parameter("charset")[:40]}
        return provider.results(convert(launcher, call, answer.body, wanted))
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(
            f"{name} answered with something else than results ({type(error).__name__}): "
            f"{answer.media_type or 'no type'}, {len(answer.body)} bytes. "
            "Is servers.web.environment.WEB_SEARCH_URL right?"
        ) from None


def tidy_results(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that lead to a page, each once, without marks of HTML, bounded."""
    results: dict[str, dict[str, Any]] = {}
    for one in found:
        url = one["url"]
        is_usable = isinstance(url, str) and url.startswith(("http://", "https://")) and len(url) <= _MAX_URL
        if not is_usable or not url.isprintable() or url in results:
            continue
        published = one["published"]
        results[url] = {
            "title": _clean(one["title"], _MAX_TITLE) or url,
            "url": url,
            "snippet": _clean(one["snippet"], _MAX_SNIPPET),
            "published": published[:40] if isinstance(published, str) else None,
        }
    return list(results.values())


def _clean(value: object, limit: int) -> str:
    if not isinstance(value, str):
        return ""
    return " ".join(unescape(_TAG.sub("", value[:_READ_SNIPPET])).split())[:limit]


def _words(name: str, results: list[dict[str, Any]]) -> str:
    if not results:
        return f"[{name} found nothing; use other or fewer words]"
    lines = []
    for number, one in enumerate(results, start=1):
        published = f" ({one['published']})" if one["published"] else ""
        lines.append(f"{number}. {one['title']}{published}\n   {one['url']}\n   {one['snippet']}".rstrip())
    return "\n".join(lines)
