"""The tool `download`: a file that a page offers, or the content of an address. Nothing else may download."""

from __future__ import annotations

import asyncio
import base64
import os
from urllib.parse import unquote, urlsplit

from playwright.async_api import Error as PlaywrightError

from muxi_servers.browser.engine.acting import ACTION_MILLISECONDS
from muxi_servers.browser.engine.finding import find_one
from muxi_servers.browser.engine.reply import page_reply
from muxi_servers.browser.engine.way_out import NO_NETWORK, proxy_address, why_refused
from muxi_servers.browser.engine.words import cut
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.browser.engine.chromium import Chromium

__all__ = ["Downloading"]

_MIB = 2**20
_CHUNK = 512 * 1024
_LOOK_SECONDS = 0.2
_FIRST_BAD_STATUS = 400


class Downloading:
    """To a file of this process's temporary folder; the server takes it from there."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._tab = chromium.tabs.current
        self._page = self._tab.page

    async def download(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description.

        Raises:
            ToolError: nothing is downloaded by that, or it is larger than wanted.
        """
        if bool(arguments["target"]) == bool(arguments["url"]):
            raise ToolError("Give either target, which is clicked, or url.")
        most = int(arguments["max_mib"]) * _MIB
        if arguments["target"]:
            path, name = await self._by_click(arguments["target"], most)
        else:
            path, name = await self._by_address(arguments["url"], most)
        return await page_reply(self._chromium, "Downloaded.", file=path, name=cut(name, 200))

    async def _by_click(self, target: str, most: int) -> tuple[str, str]:
        element = await find_one(self._page, target)
        self._tab.downloads = True
        try:
            async with self._page.expect_download(timeout=ACTION_MILLISECONDS) as coming:
                await element.click(timeout=ACTION_MILLISECONDS)
            download = await coming.value
            return await _complete(download, most), download.suggested_filename
        except PlaywrightError as error:
            if "waiting for event" not in str(error):
                raise
            raise ToolError(f"A click on {target} downloads nothing: see what it did with snapshot.") from None
        finally:
            self._tab.downloads = False

    async def _by_address(self, url: str, most: int) -> tuple[str, str]:
        """By Chromium's own loader, with the cookies of the page, in pieces: nothing is held in memory whole."""
        if not proxy_address():
            raise ToolError(NO_NETWORK)
        session = await self._chromium.context.new_cdp_session(self._page)
        try:
            resource = await self._load(session, url)
            path = f"{os.environ['TMPDIR']}/got-{os.urandom(8).hex()}"
            await _save(session, resource["stream"], path, most)
            return path, unquote(urlsplit(url).path.rpartition("/")[2])
        finally:
            await session.detach()

    async def _load(self, session: Any, url: str) -> dict[str, Any]:  # noqa: ANN401 - Playwright's
        tree = await session.send("Page.getFrameTree")
        options = {"disableCache": False, "includeCredentials": True}
        wanted = {"frameId": tree["frameTree"]["frame"]["id"], "url": url, "options": options}
        answer = await session.send("Network.loadNetworkResource", wanted)
        resource: dict[str, Any] = answer["resource"]
        status = int(resource.get("httpStatusCode", 0))
        if resource["success"] and status < _FIRST_BAD_STATUS:
            return resource
        failure = f"HTTP status {status}" if status else cut(resource.get("netErrorName", "no connection"), 100)
        raise ToolError(f"{cut(url, 200)} was not downloaded: {await why_refused(url) or failure}")


async def _complete(download: Any, most: int) -> str:  # noqa: ANN401 - Playwright's
    """Its file, once all of it is there."""
    arriving = asyncio.ensure_future(download.path())
    try:
        while not arriving.done():
            await asyncio.wait({arriving}, timeout=_LOOK_SECONDS)
            _check_size(_largest(os.environ["TMPDIR"]), most)
        return str(await arriving)
    except BaseException:
        arriving.cancel()
        await download.cancel()
        raise


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise ToolError(f"The download was ended: it has more than {most // _MIB} MiB, see max_mib.")


def _largest(folder: str) -> int:
    sizes = [0]
    for entry in os.scandir(folder):
        try:
            sizes.append(entry.stat(follow_symlinks=False).st_size)
        except OSError:
            continue  # gone since the listing
    return max(sizes)


async def _save(session: Any, stream: str, path: str, most: int) -> None:  # noqa: ANN401 - Playwright's
    saved = 0
    with open(path, "xb") as file:  # noqa: ASYNC230 - a tmpfs
        while True:
            part = await session.send("IO.read", {"handle": stream, "size": _CHUNK})
            data = part["data"]
            saved += file.write(base64.b64decode(data) if part.get("base64Encoded") else data.encode())
            _check_size(saved, most)
            if part["eof"]:
                return
