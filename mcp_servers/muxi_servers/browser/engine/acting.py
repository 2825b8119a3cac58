"""The tools that act on a page as a person does."""

from __future__ import annotations

from playwright.async_api import Error as PlaywrightError

from muxi_servers.browser.engine.finding import find_one
from muxi_servers.browser.engine.reply import page_reply
from muxi_servers.browser.engine.words import cut
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.browser.engine.chromium import Chromium

__all__ = ["ACTION_MILLISECONDS", "Acting"]

ACTION_MILLISECONDS = 10_000
_CHECKED = {"true": True, "false": False}
_KIND = "e => e.tagName === 'INPUT' ? e.type : e.tagName.toLowerCase()"


class Acting:
    """On the current tab."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._tab = chromium.tabs.current
        self._page = self._tab.page

    async def click(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        element = await find_one(self._page, arguments["target"])
        await element.click(
            button=arguments["button"],
            click_count=int(arguments["count"]),
            modifiers=arguments["modifiers"],
            timeout=ACTION_MILLISECONDS,
        )
        return await self._done(f"Clicked {arguments['target']}.")

    async def type(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        element = await find_one(self._page, arguments["target"])
        if arguments["by_key"]:
            await element.press_sequentially(arguments["text"], timeout=ACTION_MILLISECONDS)
        else:
            await element.fill(arguments["text"], timeout=ACTION_MILLISECONDS)
        if arguments["submit"]:
            await element.press("Enter", timeout=ACTION_MILLISECONDS)
        return await self._done(f"Typed into {arguments['target']}.")

    async def fill_form(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description.

        Raises:
            ToolError: a field does not take the value; those before it were filled.
        """
        for number, field in enumerate(arguments["fields"]):
            try:
                await self._fill(field["target"], field["value"])
            except (PlaywrightError, ToolError) as error:
                raise type(error)(f"{error} ({number} of {len(arguments['fields'])} fields were filled.)") from None
        return await self._done(f"Filled {len(arguments['fields'])} fields.")

    async def _fill(self, target: str, value: str) -> None:
        element = await find_one(self._page, target)
        kind = await element.evaluate(_KIND, timeout=ACTION_MILLISECONDS)
        if kind in {"checkbox", "radio"}:
            if value not in _CHECKED:
                raise ToolError(f"{target} is a {kind}: its value must be true or false, not {cut(value, 60)!r}.")
            await element.set_checked(_CHECKED[value], timeout=ACTION_MILLISECONDS)
        elif kind == "select":
            await element.select_option(value, timeout=ACTION_MILLISECONDS)
        elif kind == "file":
            raise ToolError(f"{target} takes files: use upload.")
        else:
            await element.fill(value, timeout=ACTION_MILLISECONDS)

    async def press(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        if arguments["target"]:
            element = await find_one(self._page, arguments["target"])
            await element.press(arguments["key"], timeout=ACTION_MILLISECONDS)
        else:
            await self._page.keyboard.press(arguments["key"])
        return await self._done(f"Pressed {arguments['key']}.")

    async def select(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        element = await find_one(self._page, arguments["target"])
        chosen = await element.select_option(arguments["values"], timeout=ACTION_MILLISECONDS)
        return await self._done(f"Selected {', '.join(cut(value, 100) for value in chosen) or 'nothing'}.")

    async def hover(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        element = await find_one(self._page, arguments["target"])
        await element.hover(timeout=ACTION_MILLISECONDS)
        return await self._done(f"The pointer is on {arguments['target']}.")

    async def drag(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        source = await find_one(self._page, arguments["source"])
        target = await find_one(self._page, arguments["target"])
        await source.drag_to(target, timeout=ACTION_MILLISECONDS)
        return await self._done(f"Dragged {arguments['source']} to {arguments['target']}.")

    async def upload(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description. `files` are the paths of copies that the server has made."""
        element = await find_one(self._page, arguments["target"])
        files = arguments["files"]
        if await element.evaluate(_KIND, timeout=ACTION_MILLISECONDS) == "file":
            await element.set_input_files(files, timeout=ACTION_MILLISECONDS)
        else:
            async with self._page.expect_file_chooser(timeout=ACTION_MILLISECONDS) as opening:
                await element.click(timeout=ACTION_MILLISECONDS)
            chooser = await opening.value
            await chooser.set_files(files, timeout=ACTION_MILLISECONDS)
        return await self._done(f"Gave {len(files)} files to {arguments['target']}.")

    async def _done(self, said: str) -> dict[str, Any]:
        await self._chromium.tabs.settle(self._tab)
        return await page_reply(self._chromium, said)
