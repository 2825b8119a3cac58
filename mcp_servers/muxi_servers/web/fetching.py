"""The tool `fetch`."""

from __future__ import annotations

import os

from muxi_servers.kit.client.errand import Errand
from muxi_servers.kit.client.exchange import Exchange, Request
from muxi_servers.kit.client.urls import parse_url
from muxi_servers.kit.content import ToolResult, image, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.pictures import image_type
from muxi_servers.web.converting import convert
from muxi_servers.web.kinds import kind_of
from muxi_servers.web.robots import AGENT, Robots
from muxi_servers.web.shelf import Page, Shelf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.client.exchange import Answer
    from muxi_servers.kit.client.urls import Url
    from muxi_servers.kit.launch import Launcher

__all__ = ["USER_AGENT", "Fetching"]

USER_AGENT = f"{AGENT}/0.1"
_MAX_BYTES = 8 * 2**20
_MAX_IMAGE_BYTES = 2 * 2**20
_REDIRECTS = 5
_ERROR_CHARACTERS = 1_500
_REDIRECTING = frozenset({301, 302, 303, 307, 308})


class Fetching:
    """Reads pages; keeps the last few, to be read on."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._exchange = Exchange("web", USER_AGENT)
        self._robots = Robots(self._exchange)
        self._shelf = Shelf()

    def fetch(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: it cannot be reached, may not be read, or is nothing that can be read.
        """
        url = parse_url(arguments["url"])
        if arguments["ignore_robots"] and os.environ.get("WEB_IGNORE_ROBOTS") != "allow":
            raise ToolError(
                "ignore_robots is not allowed here. An operator can allow it in muxi.yaml: "
                "servers.web.environment.WEB_IGNORE_ROBOTS: allow."
            )
        key = (str(url), arguments["format"], arguments["main_only"])
        page = self._shelf.get(key) if arguments["offset"] else None
        if page is not None:
            return _part(page, arguments)
        with Errand(call, arguments["timeout_seconds"]) as errand:
            answer, seen = self._follow(errand, url, ignore_robots=arguments["ignore_robots"])
        found = self._read(call, answer, seen, arguments)
        if isinstance(found, ToolResult):
            return found
        self._shelf.put(key, found)
        return _part(found, arguments)

    def _follow(self, errand: Errand, url: Url, *, ignore_robots: bool) -> tuple[Answer, list[Url]]:
        """The first answer that is no redirect, or one to another scheme; and the URLs on the way, its own the last."""
        seen = [url]
        while True:
            try:
                if not ignore_robots:
                    self._robots.check(errand, seen[-1])
                answer = self._exchange.ask(errand, Request(seen[-1]), _MAX_BYTES)
            except ToolError as error:
                if len(seen) > 1:
                    error.args = (f"{error} ({seen[0]} redirects there.)",)
                raise
            target = redirect_of(answer, seen[-1])
            if target is None or target.scheme != url.scheme:
                return answer, seen
            if len(seen) > _REDIRECTS or str(target) in map(str, seen):
                raise ToolError(f"{url} redirects more than {_REDIRECTS} times, or in a circle; at last to {target}.")
            errand.call.progress(f"redirected to {target.authority}")
            seen.append(target)

    def _read(self, call: Call, answer: Answer, seen: list[Url], arguments: dict[str, Any]) -> Page | ToolResult:
        kind = kind_of(answer.media_type, answer.body)
        page = Page(answer, seen, kind)
        target = redirect_of(answer, seen[-1])
        if target is not None:
            page.kind, page.redirect_to = "none", str(target)
            return page
        if kind == "image" and answer.status < 400:  # noqa: PLR2004 - errors from here on
            return _image(page, answer)
        if kind == "none" and answer.body:
            raise ToolError(
                f"{seen[-1]} is {answer.media_type or 'a binary file'}, nothing that can be read as text: the "
                "http server's download saves a file to the workspace."
            )
        if kind == "pdf" and not answer.is_whole:
            raise ToolError(f"The PDF has more than {_MAX_BYTES} bytes: the http server's download saves it.")
        raw = arguments["format"] == "raw" and kind != "pdf"
        wanted = {
            "kind": "text" if raw else kind,
            "charset": answer.parameter("charset")[:40],
            "url": str(seen[-1]),
            "format": arguments["format"],
            "main_only": arguments["main_only"],
        }
        page.take(convert(self._launcher, call, answer.body, wanted) if answer.body else {}, is_whole=answer.is_whole)
        if answer.status >= 400:  # noqa: PLR2004
            raise ToolError(_failure(answer, page))
        return page


def redirect_of(answer: Answer, url: Url) -> Url | None:
    """Where it leads; `None` if it is no redirect.

    Raises:
        ToolError: nowhere that could be asked for.
    """
    location = answer.headers.get("location")
    return url.join(location) if answer.status in _REDIRECTING and location else None


def _failure(answer: Answer, page: Page) -> str:
    retry = answer.headers.get("retry-after", "")[:60]
    again = f" It may be asked again after: {retry} (seconds, or a date)." if retry else ""
    told = page.text.strip()[:_ERROR_CHARACTERS]
    return f"{page.url} answered {answer.status} {answer.reason}.{again}" + (f" It says:\n{told}" if told else "")


def _image(page: Page, answer: Answer) -> ToolResult:
    found = image_type(answer.body)
    if found is None:
        raise ToolError(f"{page.url} says that it is {answer.media_type}, and is not: it cannot be shown.")
    if len(answer.body) > _MAX_IMAGE_BYTES:
        raise ToolError(
            f"{page.url} is an image of more than {_MAX_IMAGE_BYTES} bytes, too big to be shown: the http server's "
            "download saves it to the workspace."
        )
    page.media_type = found
    words = f"[{page.url}: {found}, {len(answer.body)} bytes]"
    return ToolResult([text(words), image(answer.body, found)], page.to_json(0, 0))


def _part(page: Page, arguments: dict[str, Any]) -> ToolResult:
    start = int(arguments["offset"])
    if start and start >= len(page.text):
        raise ToolError(f"offset is {start}, and {page.url} has {len(page.text)} characters.")
    told = page.to_json(start, int(arguments["max_characters"]))
    return ToolResult([text(page.words(told))], told)
