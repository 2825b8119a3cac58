"""The tools that look at a page: `snapshot`, `read`, `screenshot`, `pdf`, `evaluate`."""

from __future__ import annotations

import json
import os

from playwright.async_api import Error as PlaywrightError

from muxi_servers.browser.engine.finding import find_one
from muxi_servers.browser.engine.reply import page_reply, text_reply
from muxi_servers.browser.engine.words import cut, explain
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.browser.engine.chromium import Chromium

__all__ = ["Looking"]

_READ_SCRIPT = os.path.join(os.path.dirname(__file__), "read.js")
_MAX_TEXT = 2_000_000
_MAX_FRAMES = 10
_READ_MILLISECONDS = 5_000
_SNAPSHOT_MILLISECONDS = 15_000
_SCREENSHOT_MILLISECONDS = 30_000
_MAX_HEIGHT = 16_000
_MAX_IMAGE_BYTES = 6 * 2**20
_SMALLER_QUALITY = 50
_MARGINS = dict.fromkeys(("top", "right", "bottom", "left"), "1cm")


class Looking:
    """At the current tab."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._tab = chromium.tabs.current
        self._page = self._tab.page

    async def snapshot(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        if not arguments["offset"] or "snapshot" not in self._tab.text:
            root = self._page
            if arguments["target"]:
                root = await find_one(self._page, arguments["target"])
            options = {"depth": int(arguments["depth"])} if arguments["depth"] else {}
            text = await root.aria_snapshot(mode="ai", timeout=_SNAPSHOT_MILLISECONDS, **options)
            self._tab.text["snapshot"] = text[:_MAX_TEXT]
        return await text_reply(self._chromium, self._tab, "snapshot", arguments)

    async def read(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        kind = "main" if arguments["main_only"] else "page"
        if not arguments["offset"] or kind not in self._tab.text:
            self._tab.text[kind] = await self._read(main_only=kind == "main")
        return await text_reply(self._chromium, self._tab, kind, arguments)

    async def _read(self, *, main_only: bool) -> str:
        with open(_READ_SCRIPT, encoding="utf-8") as file:  # noqa: ASYNC230 - a few KiB of our own
            script = file.read()
        options = {"mainOnly": main_only, "maxCharacters": _MAX_TEXT, "milliseconds": _READ_MILLISECONDS}
        parts = [cut(await self._page.evaluate(script, options), _MAX_TEXT)]
        frames = [frame for frame in self._page.frames if frame != self._page.main_frame]
        for frame in frames[:_MAX_FRAMES]:
            text = await _read_frame(frame, script, options)
            if text:
                parts.append(f"[Frame {cut(frame.url, 200)}]\n\n{text}")
        if len(frames) > _MAX_FRAMES:
            parts.append(f"[{len(frames) - _MAX_FRAMES} frames more are left out]")
        return "\n\n".join(parts)[:_MAX_TEXT]

    async def screenshot(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description.

        Raises:
            ToolError: the picture is too large.
        """
        options: dict[str, Any] = {"timeout": _SCREENSHOT_MILLISECONDS, "scale": "css", "type": arguments["format"]}
        shown: Any = self._page
        if arguments["target"]:
            shown = await find_one(self._page, arguments["target"])
        elif arguments["full_page"]:
            options |= {"full_page": True, "clip": await self._whole()}
        path = _new_file()
        await shown.screenshot(path=path, **options)
        if os.path.getsize(path) > _MAX_IMAGE_BYTES:  # noqa: ASYNC240 - a tmpfs
            options |= {"type": "jpeg", "quality": _SMALLER_QUALITY}
            await shown.screenshot(path=path, **options)
        if os.path.getsize(path) > _MAX_IMAGE_BYTES:  # noqa: ASYNC240 - a tmpfs
            raise ToolError(f"The picture has more than {_MAX_IMAGE_BYTES} bytes: take one of an element.")
        return await page_reply(self._chromium, "Here it is.", file=path, mime_type=f"image/{options['type']}")

    async def _whole(self) -> dict[str, Any]:
        """The page as far as a picture may go: one that grows while it is scrolled has no end."""
        size = await self._page.evaluate("() => [innerWidth, document.documentElement.scrollHeight]")
        width, height = (int(value) for value in size)
        if height > _MAX_HEIGHT:
            self._chromium.happenings.add(f"the picture shows the first {_MAX_HEIGHT} of {height} pixels of the page")
        return {"x": 0, "y": 0, "width": max(width, 1), "height": min(max(height, 1), _MAX_HEIGHT)}

    async def pdf(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description. The server takes the file from here."""
        path = _new_file()
        options = {"landscape": arguments["landscape"], "print_background": True, "margin": _MARGINS, "format": "A4"}
        await self._page.pdf(path=path, **options)
        return await page_reply(self._chromium, "Printed.", file=path)

    async def evaluate(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        subject = await find_one(self._page, arguments["target"]) if arguments["target"] else self._page
        value = json.dumps(await subject.evaluate(arguments["code"]), ensure_ascii=False, default=str)
        limit = int(arguments["max_characters"])
        await self._chromium.tabs.settle(self._tab)
        shown = value[:limit]
        said = shown if len(value) <= limit else f"{shown}\n[{limit} of {len(value)} characters]"
        return await page_reply(self._chromium, said, result=shown, truncated=len(value) > limit)


async def _read_frame(frame: Any, script: str, options: dict[str, Any]) -> str:  # noqa: ANN401 - Playwright's
    try:
        return cut(await frame.evaluate(script, {**options, "mainOnly": False}), _MAX_TEXT).strip()
    except PlaywrightError as error:
        return f"[cannot be read: {explain(error)}]"


def _new_file() -> str:
    return f"{os.environ['TMPDIR']}/made-{os.urandom(8).hex()}"
