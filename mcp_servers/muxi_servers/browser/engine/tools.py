"""Which part does which tool."""

from __future__ import annotations

from muxi_servers.browser.engine.acting import Acting
from muxi_servers.browser.engine.downloading import Downloading
from muxi_servers.browser.engine.keeping import Keeping
from muxi_servers.browser.engine.looking import Looking
from muxi_servers.browser.engine.navigating import Navigating

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.browser.engine.chromium import Chromium

__all__ = ["Tools"]

_PARTS: dict[str, type[Acting | Downloading | Keeping | Looking | Navigating]] = {
    **dict.fromkeys(("open", "history", "wait_for", "tabs"), Navigating),
    **dict.fromkeys(("click", "type", "fill_form", "press", "select", "hover", "drag", "upload"), Acting),
    **dict.fromkeys(("snapshot", "read", "screenshot", "pdf", "evaluate"), Looking),
    **dict.fromkeys(("console", "network", "cookies", "block", "dialogs"), Keeping),
    "download": Downloading,
}


class Tools:
    """The tools of one browser, by name; and `state`, which the server asks for before it lets the browser rest."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium

    async def run(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """The reply of a tool.

        Raises:
            ToolError: it could not be done.
            playwright.async_api.Error: the same, in Playwright's words.
        """
        if tool == "state":
            urls = [tab.page.url for tab in self._chromium.tabs.all()]
            return {"text": "", "structured": {"state": await self._chromium.state(), "urls": urls}, "file": ""}
        self._chromium.tabs.begin()
        reply: dict[str, Any] = await getattr(_PARTS[tool](self._chromium), tool)(arguments)
        return reply
