"""The browser as the tools see it: started by the first call, used by one call at a time, ended when it idles."""

from __future__ import annotations

from threading import Condition, Thread
from time import monotonic

from muxi_servers.browser.link import Link, LostError
from muxi_servers.kit.call import Call
from muxi_servers.kit.codec import encode
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.oom import count_kills

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from muxi_servers.kit.launch import Launcher

__all__ = ["Remote"]

_START_SECONDS = 45.0
_WAIT_SECONDS = 120.0
_STEP_SECONDS = 0.5
_STATE_SECONDS = 10.0
_MAX_STATE_BYTES = 2**20
_MAX_URLS = 5
_AGAIN = "The next call starts a new one; cookies, open pages and what was typed are lost."


class Remote:
    """Thread-safe. `idle_seconds` without a call end the browser; cookies and local storage are kept."""

    def __init__(self, launcher: Launcher, idle_seconds: float) -> None:
        self._launcher = launcher
        self._idle_seconds = idle_seconds
        self._changed = Condition()
        self._busy = False
        self._used = 0.0
        self._link: Link | None = None
        self._state: dict[str, Any] | None = None
        self._news = ""

    def use(self, call: Call, work: Callable[[Link], dict[str, Any]]) -> dict[str, Any]:
        """Do something with the running browser; what it answers, with the news of a new browser ahead of its text.

        Raises:
            ToolError: it could not be done, or the browser is gone.
        """
        self._take_turn(call)
        try:
            self._notice_end()
            link = self._link = self._link or self._start(call)
            reply = work(link)
            news, self._news = self._news, ""
            return {**reply, "text": f"[{news}]\n{reply['text']}"} if news else reply
        except LostError as error:
            raise ToolError(self._say_lost(error)) from None
        finally:
            self._used = monotonic()
            self._give_turn()

    def _take_turn(self, call: Call) -> None:
        """Wait for the calls before this one.

        Raises:
            ToolError: they take too long, or the caller gave up.
        """
        until = monotonic() + _WAIT_SECONDS
        with self._changed:
            while self._busy:
                if call.cancelled or monotonic() > until:
                    raise ToolError("The browser is busy with other calls: wait for them to end.")
                self._changed.wait(_STEP_SECONDS)
            self._busy = True

    def _notice_end(self) -> None:
        """A browser that ended between two calls is cleared away, and told with the next answer."""
        if self._link and not self._link.is_alive():
            self._news = f"Chromium had ended since the last call and was started anew. {_AGAIN.partition('; ')[2]}"
            self._drop()

    def _give_turn(self) -> None:
        with self._changed:
            self._busy = False
            self._changed.notify_all()

    def _start(self, call: Call) -> Link:
        call.progress("Chromium starts")
        kills = count_kills()
        link = Link(self._launcher)
        try:
            link.ask(call, "start", {"state": self._state}, _START_SECONDS)
        except (LostError, ToolError) as error:
            link.close()
            why = " The sandbox's memory is used up." if count_kills() > kills else ""
            raise ToolError(f"{error}{why}") from None
        Thread(target=self._rest, args=(link,), daemon=True).start()
        return link

    def _say_lost(self, error: LostError) -> str:
        self._drop()
        killed = count_kills()
        why = f" The kernel ended {killed} processes here so far because the memory was used up." if killed else ""
        return f"Chromium is gone: {error}.{why} {_AGAIN}".replace("..", ".")

    def _drop(self) -> None:
        link, self._link = self._link, None
        self._state = None
        if link:
            link.close()

    def _rest(self, link: Link) -> None:
        """Wait until the browser has idled for long, then end it; on a thread of its own."""
        with self._changed:
            self._used = monotonic()
            while self._link is link or self._busy:
                rest = self._used + self._idle_seconds - monotonic()
                if rest <= 0 and not self._busy:
                    self._busy = True
                    break
                self._changed.wait(max(rest, _STEP_SECONDS))
            else:
                return
        try:
            self._put_to_rest(link)
        finally:
            self._give_turn()

    def _put_to_rest(self, link: Link) -> None:
        try:
            kept = link.ask(Call(), "state", {}, _STATE_SECONDS)["structured"]
        except (LostError, ToolError):
            kept = {}
        self._drop()
        state = kept.get("state")
        self._state = state if isinstance(state, dict) and len(encode(state)) <= _MAX_STATE_BYTES else None
        urls = ", ".join(str(url)[:200] for url in kept.get("urls", [])[:_MAX_URLS])
        self._news = (
            f"Chromium was ended after {self._idle_seconds:g} s without a call and was started anew. "
            f"{'Cookies and local storage are as before' if self._state else 'Cookies are lost'}; no page is open any "
            f"more{': it had open ' + urls if urls else ''}."
        )
