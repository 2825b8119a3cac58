"""The process that drives Chromium: takes one request at a time from the server, and answers it.

It is forked from the zygote. Requests come on descriptor 3 and replies go on 4, a line of JSON each:

    to this process    {"tool": NAME, "arguments": {...}, "seconds": LIMIT}, or {"cancel": true} in mid-call
    from it            {"text": TEXT, "structured": {...}, "file": PATH or ""}
                       {"error": TEXT, "gone": whether this process ends}

The first request has the tool `start`. When Chromium is gone, so is this process: its keeper ends what is left.
"""

from __future__ import annotations

import asyncio
import os

from playwright.async_api import Error as PlaywrightError

from muxi_servers.browser.engine.chromium import Chromium
from muxi_servers.browser.engine.tools import Tools
from muxi_servers.browser.engine.words import explain
from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["main"]

_REQUESTS = 3
_REPLIES = 4
_CHUNK = 65_536


def main() -> int:
    """Serve until the server closes its end, or Chromium is gone."""
    for descriptor in (_REQUESTS, _REPLIES):
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - positional only
    null = os.open(os.devnull, os.O_RDWR)  # nobody reads what the driver or Chromium would write there
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    asyncio.run(_Serving().run())
    return 0


class _Serving:
    """The requests, and the one that is being worked on."""

    def __init__(self) -> None:
        self._requests: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
        self._buffer = bytearray()
        self._work: asyncio.Task[dict[str, Any]] | None = None
        self._chromium = Chromium(self._chromium_is_gone)
        self._gone = False

    async def run(self) -> None:
        """Until there are no more requests."""
        asyncio.get_running_loop().add_reader(_REQUESTS, self._read)
        try:
            while not self._gone and (request := await self._requests.get()) is not None:
                reply = await self._answer(request)
                write_all(_REPLIES, encode(reply) + b"\n")
        finally:
            await self._chromium.close()

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self._work = asyncio.ensure_future(self._run(request))
        try:
            return await self._work
        except asyncio.CancelledError:
            said = "Chromium has ended in the middle of this call." if self._gone else "The call was cancelled."
            return {"error": said, "gone": self._gone}
        finally:
            self._work = None

    async def _run(self, request: dict[str, Any]) -> dict[str, Any]:
        try:
            async with asyncio.timeout(request["seconds"]):
                return await self._do(request["tool"], request["arguments"])
        except TimeoutError:
            said = f"It took longer than {request['seconds']:g} s: the page may not respond. Close its tab with tabs."
            return {"error": said, "gone": self._gone}
        except ToolError as error:
            return {"error": str(error), "gone": self._gone}
        except PlaywrightError as error:
            return {"error": explain(error), "gone": self._gone}

    async def _do(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        if tool == "start":
            return await self._start(arguments)
        return await Tools(self._chromium).run(tool, arguments)

    async def _start(self, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            await self._chromium.start(arguments)
        except PlaywrightError as error:
            self._gone = True
            raise ToolError(f"Chromium did not start: {explain(error)}") from None
        return {"text": "", "structured": {}, "file": ""}

    def _read(self) -> None:
        data = os.read(_REQUESTS, _CHUNK)
        if not data:
            asyncio.get_running_loop().remove_reader(_REQUESTS)
            self._stop()
            return
        self._buffer += data
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        for line in lines:
            request = decode(line)
            if "cancel" not in request:
                self._requests.put_nowait(request)
            elif self._work:
                self._work.cancel()

    def _chromium_is_gone(self) -> None:
        self._gone = True
        self._stop()

    def _stop(self) -> None:
        if self._work:
            self._work.cancel()
        self._requests.put_nowait(None)
