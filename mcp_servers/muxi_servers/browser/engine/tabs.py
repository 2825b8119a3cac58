"""The tabs of the browser: numbered, bounded in number, with what goes on in each."""

from __future__ import annotations

import asyncio
from itertools import count

from playwright.async_api import Error as PlaywrightError

from muxi_servers.browser.engine.happenings import Happenings
from muxi_servers.browser.engine.words import cut
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

__all__ = ["Tab", "Tabs"]

MAX_TABS = 10
MAX_DIALOGS = 20
_SETTLE_SECONDS = 0.15
_NAVIGATION_SECONDS = 5.0


class Tab:
    """One page.

    Attributes:
        page: Playwright's.
        text: what was last read of it, by kind, so that a caller can go on in the same text.
        failed_url: of the last navigation that came to nothing.
        downloads: whether a download is wanted just now.
    """

    def __init__(self, number: int, page: Any) -> None:  # noqa: ANN401 - Playwright's
        self.number = number
        self.page = page
        self.text: dict[str, str] = {}
        self.failed_url = ""
        self.downloads = False
        self.dialogs = 0
        self.navigations: set[Any] = set()


class Tabs:
    """All tabs of a context, and which one tools mean.

    Attributes:
        number: of the current tab; it may have been closed.
        answer: to dialogs from now on: `accept` or `dismiss`, and the text for a prompt.
    """

    def __init__(self, context: Any, happenings: Happenings) -> None:  # noqa: ANN401 - Playwright's
        self._context = context
        self.happenings = happenings
        self._tabs: dict[int, Tab] = {}
        self.number = 0
        self._numbers = count(1)
        self._jobs: set[asyncio.Task[None]] = set()
        self._wanted = False
        self.answer = ("dismiss", "")
        for event, listener in (
            ("page", self._opened),
            ("request", self._request),
            ("response", happenings.add_response),
            ("requestfinished", self._finished),
            ("requestfailed", self._failed),
            ("console", lambda message: happenings.add_message(self._number(message.page), message)),
            ("weberror", lambda error: happenings.add_page_error(self._number(error.page), error.error)),
            ("dialog", lambda dialog: self._spawn(self._dialog(dialog))),
        ):
            context.on(event, listener)

    @property
    def current(self) -> Tab:
        """The tab that tools work on.

        Raises:
            ToolError: there is none.
        """
        tab = self._tabs.get(self.number)
        if tab is None:
            known = ", ".join(map(str, self._tabs))
            raise ToolError(f"The tab is closed; select one of {known}." if known else "No page is open: call open.")
        return tab

    def all(self) -> list[Tab]:
        """All of them, by number."""
        return list(self._tabs.values())

    def get(self, number: int) -> Tab:
        """The tab of that number; 0 is the current one.

        Raises:
            ToolError: there is none.
        """
        if not number:
            return self.current
        if number not in self._tabs:
            raise ToolError(f"There is no tab {number}; there are: {', '.join(map(str, self._tabs)) or 'none'}.")
        return self._tabs[number]

    def select(self, number: int) -> Tab:
        """Make it the current one."""
        tab = self.get(number)
        self.number = tab.number
        return tab

    async def new(self) -> Tab:
        """An empty one, which becomes the current one.

        Raises:
            ToolError: there are too many.
        """
        if len(self._tabs) >= MAX_TABS:
            raise ToolError(f"There are {MAX_TABS} tabs already: close one with tabs.")
        self._wanted = True
        try:
            page = await self._context.new_page()
        finally:
            self._wanted = False
        return self.select(self._number(page))

    def begin(self) -> None:
        """A call begins: what is counted for each call starts from 0."""
        for tab in self._tabs.values():
            tab.dialogs = 0

    async def settle(self, tab: Tab) -> None:
        """Wait a moment for what an action has set going, and for the page that it led to, if any."""
        await asyncio.sleep(_SETTLE_SECONDS)
        try:
            async with asyncio.timeout(_NAVIGATION_SECONDS):
                while tab.navigations and not tab.page.is_closed():  # noqa: ASYNC110 - Playwright's events set it
                    await asyncio.sleep(_SETTLE_SECONDS)
                await tab.page.wait_for_load_state("domcontentloaded")
        except (TimeoutError, PlaywrightError):
            return  # the state that is reported says where it is

    def _number(self, page: Any) -> int:  # noqa: ANN401 - Playwright's
        return next((tab.number for tab in self._tabs.values() if tab.page == page), 0)

    def _opened(self, page: Any) -> None:  # noqa: ANN401 - Playwright's
        if len(self._tabs) >= MAX_TABS:
            self.happenings.add(f"a page opened more than {MAX_TABS} tabs: those beyond were closed")
            self._spawn(self._close(page))
            return
        tab = Tab(next(self._numbers), page)
        self._tabs[tab.number] = tab
        page.on("close", lambda _: self._closed(tab))
        page.on("crash", lambda _: self._crashed(tab))
        page.on("download", lambda download: self._download(tab, download))
        page.on("framenavigated", lambda frame: self._navigated(tab, frame))
        if not self._wanted:
            self.happenings.add(f"tab {tab.number} was opened: select it with tabs")

    def _closed(self, tab: Tab) -> None:
        self._tabs.pop(tab.number, None)

    def _crashed(self, tab: Tab) -> None:
        self.happenings.add(f"the page of tab {tab.number} crashed, perhaps for want of memory: the tab was closed")
        self._spawn(self._close(tab.page))

    def _navigated(self, tab: Tab, frame: Any) -> None:  # noqa: ANN401 - Playwright's
        if frame == tab.page.main_frame:
            tab.text.clear()

    def _request(self, request: Any) -> None:  # noqa: ANN401 - Playwright's
        tab = self._tab_of(request)
        self.happenings.add_request(tab.number if tab else 0, request)
        if tab and request.is_navigation_request():
            tab.navigations.add(request)

    def _finished(self, request: Any) -> None:  # noqa: ANN401 - Playwright's
        for tab in self._tabs.values():
            tab.navigations.discard(request)

    def _failed(self, request: Any) -> None:  # noqa: ANN401 - Playwright's
        self._finished(request)
        self.happenings.add_failure(request)
        tab = self._tab_of(request)
        if tab and request.is_navigation_request():
            tab.failed_url = request.url

    def _tab_of(self, request: Any) -> Tab | None:  # noqa: ANN401 - Playwright's
        try:
            return self._tabs.get(self._number(request.frame.page))
        except PlaywrightError:
            return None  # of a service worker, or of a page that is not there yet

    def _download(self, tab: Tab, download: Any) -> None:  # noqa: ANN401 - Playwright's
        if not tab.downloads:
            name = cut(download.suggested_filename, 200)
            self.happenings.add(f"a download of {name!r} was refused: use the tool download for it")
            self._spawn(download.cancel())

    async def _dialog(self, dialog: Any) -> None:  # noqa: ANN401 - Playwright's
        number, message = self._number(dialog.page), cut(dialog.message, 500)
        answer, text = ("accept", "") if dialog.type == "beforeunload" else self.answer
        self.happenings.dialogs.append({"tab": number, "kind": dialog.type, "message": message, "answer": answer})
        self.happenings.add(f"dialog of tab {number}, {dialog.type} {message!r}: {answer}ed")
        if answer == "accept":
            await dialog.accept(text)
        else:
            await dialog.dismiss()
        tab = self._tabs.get(number)
        if tab is None:
            return
        tab.dialogs += 1
        if tab.dialogs == MAX_DIALOGS:
            self.happenings.add(f"tab {number} was closed: it opened {MAX_DIALOGS} dialogs in one call")
            await tab.page.close()

    async def _close(self, page: Any) -> None:  # noqa: ANN401 - Playwright's
        await page.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it soon; if the page goes away meanwhile there is nothing left to do."""

        async def job() -> None:
            try:
                await work
            except PlaywrightError:
                return

        task = asyncio.ensure_future(job())
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)
