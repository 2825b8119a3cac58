"""What Chromium gets for a `file:` address: a file of the workspace that this process read for it, or nothing.

Chromium itself would read any file that its user may, follow every link, and let a page that was opened from a file
lead to other files. So each such request is held before it is made, in all tabs, frames and workers of the browser.
"""

from __future__ import annotations

import asyncio
import base64

from playwright.async_api import Error as PlaywrightError

from muxi_servers.browser.files import read_page
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.workspace import Workspace

__all__ = ["LocalFiles"]


class LocalFiles:
    """Answers for one browser."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._session: Any = None
        self._jobs: set[asyncio.Task[None]] = set()

    async def start(self, browser: Any) -> None:  # noqa: ANN401 - Playwright's
        """Before the first page: the browser's own session holds the requests of pages that are not there yet too."""
        self._session = await browser.new_browser_cdp_session()
        self._session.on("Fetch.requestPaused", self._paused)
        await self._session.send("Fetch.enable", {"patterns": [{"urlPattern": "file:*"}]})

    def _paused(self, event: dict[str, Any]) -> None:
        task = asyncio.ensure_future(self._answer(event["requestId"], event["request"]["url"]))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _answer(self, request: str, url: str) -> None:
        try:
            kind, data = await asyncio.to_thread(read_page, self._workspace, url)
        except (ToolError, OSError):
            answer: tuple[str, dict[str, Any]] = (
                "Fetch.failRequest",
                {"requestId": request, "errorReason": "AccessDenied"},
            )
        else:
            head = [{"name": "Content-Type", "value": kind}]
            body = base64.b64encode(data).decode()
            told = {"requestId": request, "responseCode": 200, "responseHeaders": head, "body": body}
            answer = ("Fetch.fulfillRequest", told)
        try:
            await self._session.send(*answer)
        except PlaywrightError:
            return  # whoever asked is gone
