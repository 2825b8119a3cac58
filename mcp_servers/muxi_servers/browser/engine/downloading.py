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
_ANSWERS_OF_PAGES = {"urlPattern": "*", "resourceType": "Document", "requestStage": "Response"}


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
            # What is given for all of it may be less than is usually given for its beginning.
            wait = min(ACTION_MILLISECONDS, arguments["timeout_seconds"] * 500)
            path, name = await self._by_click(arguments["target"], most, wait)
        else:
            path, name = await self._by_address(arguments["url"], most)
        return await page_reply(self._chromium, "Downloaded.", file=path, name=cut(name, 200))

    async def _by_click(self, target: str, most: int, wait: float) -> tuple[str, str]:
        """`wait`: milliseconds until the click is done, and again until it has begun to download something."""
        element = await find_one(self._page, target)
        self._tab.downloads = True
        try:
            async with self._page.expect_download(timeout=wait) as coming:
                await element.click(timeout=wait)
            download = await coming.value
            if download.url.startswith("file:"):
                await download.cancel()
                raise ToolError("That is a file on this machine and no download: read it with another server.")
            return await _complete(download, most), download.suggested_filename
        except PlaywrightError as error:
            if "waiting for event" not in str(error):
                raise
            raise ToolError(f"A click on {target} downloads nothing: see what it did with snapshot.") from None
        finally:
            self._tab.downloads = False

    async def _by_address(self, url: str, most: int) -> tuple[str, str]:
        """As a navigation, with the cookies that one has, whose answer is taken away before the page sees it.

        It is read in pieces, and no faster than it is written: nothing is held in memory whole.
        """
        if not proxy_address():
            raise ToolError(NO_NETWORK)
        session = await self._chromium.context.new_cdp_session(self._page)
        paused: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        session.on("Fetch.requestPaused", paused.put_nowait)
        await session.send("Fetch.enable", {"patterns": [_ANSWERS_OF_PAGES]})
        going = asyncio.ensure_future(session.send("Page.navigate", {"url": url}))
        try:
            answer = await _final_answer(session, paused, going, url)
            path = f"{os.environ['TMPDIR']}/got-{os.urandom(8).hex()}"
            stream = await session.send("Fetch.takeResponseBodyAsStream", {"requestId": answer["requestId"]})
            await _save(session, stream["stream"], path, most)
            return path, unquote(urlsplit(answer["request"]["url"]).path.rpartition("/")[2])
        finally:
            await self._stay(session, going)

    async def _stay(self, session: Any, going: asyncio.Future[Any]) -> None:  # noqa: ANN401 - Playwright's
        """Give the navigation up, so that the page stays where it is."""
        try:
            await session.send("Page.stopLoading")
            await session.detach()
        except PlaywrightError:
            pass  # the page is gone: nothing is left to be stopped
        going.cancel()


async def _final_answer(
    session: Any,  # noqa: ANN401 - Playwright's
    paused: asyncio.Queue[dict[str, Any]],
    going: asyncio.Future[Any],
    url: str,
) -> dict[str, Any]:
    """The answer after all redirects.

    Raises:
        ToolError: there is none, or one that tells of an error.
    """
    while True:
        coming = asyncio.ensure_future(paused.get())
        await asyncio.wait({coming, going}, return_when=asyncio.FIRST_COMPLETED)
        if not coming.done():
            coming.cancel()
            failure = cut(going.result().get("errorText", "no answer"), 100).removeprefix("net::")
            raise ToolError(f"{cut(url, 200)} was not downloaded: {await why_refused(url) or failure}")
        answer = coming.result()
        status, url = int(answer.get("responseStatusCode", 0)), answer["request"]["url"]
        if status and not 300 <= status < _FIRST_BAD_STATUS:  # noqa: PLR2004 - redirects
            break
        await session.send("Fetch.continueRequest", {"requestId": answer["requestId"]})
    if status >= _FIRST_BAD_STATUS:
        refused = await why_refused(url) or f"HTTP status {status}"
        raise ToolError(f"{cut(url, 200)} was not downloaded: {refused}")
    return answer


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
