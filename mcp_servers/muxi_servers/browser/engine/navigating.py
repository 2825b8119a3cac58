"""The tools that go somewhere: `open`, `history`, `wait_for`, `tabs`."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from muxi_servers.browser.engine.finding import find
from muxi_servers.browser.engine.happenings import URL_CHARACTERS
from muxi_servers.browser.engine.reply import events_words, page_reply, reply
from muxi_servers.browser.engine.way_out import NO_NETWORK, is_refusal, proxy_address, why_refused
from muxi_servers.browser.engine.words import cut, explain, is_overtaken, network_error
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable
    from typing import Any

    from muxi_servers.browser.engine.chromium import Chromium
    from muxi_servers.browser.engine.tabs import Tab

__all__ = ["Navigating"]

_MAX_WAIT_FOR_TITLE = 1.0
_MAX_WAIT_FOR_FAILURE = 1.0


class Navigating:
    """Of one browser."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._tabs = chromium.tabs

    async def open(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description.

        Raises:
            ToolError: the page is not there, or may not be reached.
        """
        url = arguments["url"]
        if url.startswith("http") and not proxy_address():
            raise ToolError(NO_NETWORK)
        tab = await self._tabs.new() if arguments["new_tab"] or not self._is_open() else self._tabs.current
        seconds = arguments["timeout_seconds"]
        going = tab.page.goto(url, wait_until="commit", timeout=seconds * 1000)
        status = await self._go(tab, going, seconds)
        return await page_reply(self._chromium, _say_status(status), status=status)

    async def history(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description.

        Raises:
            ToolError: there is no page to go to, or it may not be reached.
        """
        tab, move, seconds = self._tabs.current, arguments["move"], arguments["timeout_seconds"]
        options = {"wait_until": "commit", "timeout": seconds * 1000}
        before = tab.page.url
        moves = {"back": tab.page.go_back, "forward": tab.page.go_forward, "reload": tab.page.reload}
        status = await self._go(tab, moves[move](**options), seconds)
        if move != "reload" and not status and tab.page.url == before:
            raise ToolError(f"There is no page to go {move} to.")
        return await page_reply(self._chromium, _say_status(status), status=status)

    async def wait_for(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description.

        Raises:
            ToolError: it did not come about in time.
        """
        page, until, value = self._tabs.current.page, arguments["until"], arguments["value"]
        if not value and until not in {"loaded", "idle"}:
            raise ToolError(f"value is missing: which {until.removesuffix('_gone')}?")
        limit = arguments["timeout_seconds"]
        try:
            await self._wait(page, until, value, limit * 1000)
        except PlaywrightTimeout:
            raise ToolError(f"{until} {value!r} did not come about in {limit:g} s. Take a snapshot to see.") from None
        return await page_reply(self._chromium, f"{until} {value}".strip() + " came about.")

    async def _wait(self, page: Any, until: str, value: str, limit: float) -> None:  # noqa: ANN401 - Playwright's
        kind, _, gone = until.partition("_")
        if kind in {"loaded", "idle"}:
            await page.wait_for_load_state("load" if kind == "loaded" else "networkidle", timeout=limit)
        elif kind == "url":
            await page.wait_for_url(lambda url: value in url, wait_until="commit", timeout=limit)
        else:
            locator = page.get_by_text(value).first if kind == "text" else find(page, value).first
            await locator.wait_for(state="hidden" if gone else "visible", timeout=limit)

    async def tabs(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description.

        Raises:
            ToolError: there is no such tab, or there are too many.
        """
        action = arguments["action"]
        if action == "new":
            await self._tabs.new()
        elif action == "select":
            await self._tabs.select(int(arguments["tab"])).page.bring_to_front()
        elif action == "close":
            await self._tabs.get(int(arguments["tab"])).page.close()
            self._select_any()
        listed = [await self._describe(tab) for tab in self._tabs.all()]
        events = self._chromium.happenings.take()
        lines = [f"{'*' if tab['current'] else ' '} {tab['tab']}: {tab['title']} {tab['url']}" for tab in listed]
        text = "\n".join([*(lines or ["No tab is open."]), *events_words(events)])
        return reply(text, {"tabs": listed, "events": events})

    def _is_open(self) -> bool:
        return any(tab.number == self._tabs.number for tab in self._tabs.all())

    def _select_any(self) -> None:
        if not self._is_open() and self._tabs.all():
            self._tabs.select(self._tabs.all()[-1].number)

    async def _describe(self, tab: Tab) -> dict[str, Any]:
        try:
            async with asyncio.timeout(_MAX_WAIT_FOR_TITLE):
                title = await tab.page.title()
        except (PlaywrightError, TimeoutError):
            title = "(does not respond)"
        url = cut(tab.page.url, URL_CHARACTERS)
        return {"tab": tab.number, "url": url, "title": cut(title, 300), "current": tab.number == self._tabs.number}

    async def _go(self, tab: Tab, going: Awaitable[Any], seconds: float) -> int:
        """Follow a navigation until its page is loaded, or as far as it has come when the time is over."""
        until = asyncio.get_running_loop().time() + seconds
        tab.failed_url = ""
        try:
            response = await going
        except PlaywrightError as error:
            raise ToolError(await self._say_failure(tab, error, seconds)) from None
        if response and is_refusal(response):
            refused = await why_refused(response.url)
            if refused:
                raise ToolError(f"{cut(response.url, 200)} was not opened: {refused}")
        rest = max(until - asyncio.get_running_loop().time(), 0.1)
        try:
            await tab.page.wait_for_load_state("load", timeout=rest * 1000)
        except PlaywrightTimeout:
            self._chromium.happenings.add(f"it still loads after {seconds:g} s: this is how far it has come")
        return int(response.status) if response else 0

    async def _say_failure(self, tab: Tab, error: PlaywrightError, seconds: float) -> str:
        name = network_error(error)
        overtaken = is_overtaken(error)
        if overtaken:
            await self._hear_failure(tab)
        url = cut(tab.failed_url or tab.page.url, 200)
        if isinstance(error, PlaywrightTimeout):
            return f"The host did not answer within {seconds:g} s. Try again, or with a larger timeout_seconds."
        if overtaken or "TUNNEL" in name or "PROXY" in name:
            refused = await why_refused(tab.failed_url)
            return f"{url} was not opened: {refused or 'the connection failed; try again.'}"
        if "CERT" in name:
            return f"{url} was not opened: its certificate is not trusted ({name})."
        if name == "ERR_ABORTED":
            return "Nothing was opened: the address is a file to download (use download), or has no content."
        return f"{url} was not opened: {name}." if name else explain(error)

    async def _hear_failure(self, tab: Tab) -> None:
        """Chromium's own page for a failure may be there before the word of the request that failed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_MAX_WAIT_FOR_FAILURE):
                while not tab.failed_url:  # noqa: ASYNC110 - Playwright's event, which nothing else waits for
                    await asyncio.sleep(0.02)


def _say_status(status: int) -> str:
    return f"Opened, HTTP status {status}." if status else "Opened."
