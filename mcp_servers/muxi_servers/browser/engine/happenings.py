"""What happens in the browser while nobody asks: dialogs, requests, messages of pages. All of it in bounded memory."""

from __future__ import annotations

from collections import Counter, deque
from urllib.parse import urlsplit

from muxi_servers.browser.engine.way_out import is_refusal
from muxi_servers.browser.engine.words import cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["URL_CHARACTERS", "Happenings"]

URL_CHARACTERS = 2000
_TEXT_CHARACTERS = 1000
_MAX_EVENTS = 20
_MAX_KEPT = 300
_MAX_REFUSED = 50
_MAX_HOSTS = 5


class Happenings:
    """The task's log of its browser.

    Attributes:
        console: `{tab, kind, text, url, line}` of the latest messages.
        requests: `{tab, method, url, kind, status, failure}` of the latest requests; status 0: none (yet).
        dialogs: `{tab, kind, message, answer}` of the latest dialogs.
    """

    def __init__(self) -> None:
        self.console: deque[dict[str, Any]] = deque(maxlen=_MAX_KEPT)
        self.requests: deque[dict[str, Any]] = deque(maxlen=_MAX_KEPT)
        self.dialogs: deque[dict[str, Any]] = deque(maxlen=_MAX_KEPT)
        self._events: list[str] = []
        self._more = 0
        self._refused: Counter[str] = Counter()

    def add(self, event: str) -> None:
        """Something that the caller should hear of with the next result."""
        if len(self._events) < _MAX_EVENTS:
            self._events.append(cut(event, _TEXT_CHARACTERS))
        else:
            self._more += 1

    def take(self) -> list[str]:
        """What there is to hear since the last time."""
        events, self._events = self._events, []
        if self._more:
            events.append(f"and {self._more} events more")
        for host, count in self._refused.most_common(_MAX_HOSTS):
            events.append(f"{count} requests to {host} were refused by the way out of the sandbox, or failed there")
        self._more = 0
        self._refused.clear()
        return events

    def add_request(self, tab: int, request: Any) -> None:  # noqa: ANN401 - Playwright's
        """A request that begins."""
        entry = {
            "tab": tab,
            "method": cut(request.method, 20),
            "url": cut(request.url, URL_CHARACTERS),
            "kind": cut(request.resource_type, 20),
            "status": 0,
            "failure": "",
        }
        self.requests.append(entry)

    def add_response(self, response: Any) -> None:  # noqa: ANN401 - Playwright's
        """The head of an answer."""
        entry = self._find(response.request)
        if entry:
            entry["status"] = int(response.status)
        if is_refusal(response) and not response.request.is_navigation_request():
            self._count(response.url)

    def add_failure(self, request: Any) -> None:  # noqa: ANN401 - Playwright's
        """A request that came to nothing."""
        failure = cut(request.failure or "", 100).removeprefix("net::")
        entry = self._find(request)
        if entry:
            entry["failure"] = failure
        if "TUNNEL" in failure and not request.is_navigation_request():
            self._count(request.url)

    def add_message(self, tab: int, message: Any) -> None:  # noqa: ANN401 - Playwright's
        """A message on the console of a page."""
        place = message.location or {}
        self._log(tab, message.type, message.text, place.get("url", ""), place.get("lineNumber", 0))

    def add_page_error(self, tab: int, error: Any) -> None:  # noqa: ANN401 - Playwright's
        """An exception that a page did not catch."""
        self._log(tab, "exception", error, "", 0)

    def _log(self, tab: int, kind: object, text: object, url: object, line: object) -> None:
        said = {"tab": tab, "kind": cut(kind, 20), "text": cut(text, _TEXT_CHARACTERS)}
        self.console.append({**said, "url": cut(url, 300), "line": line if isinstance(line, int) else 0})

    def _find(self, request: Any) -> dict[str, Any] | None:  # noqa: ANN401 - Playwright's
        url = cut(request.url, URL_CHARACTERS)
        same = (entry for entry in reversed(self.requests) if entry["url"] == url and not entry["status"])
        return next((entry for entry in same if not entry["failure"]), None)

    def _count(self, url: str) -> None:
        host = cut(urlsplit(url).netloc, 100)
        if host in self._refused or len(self._refused) < _MAX_REFUSED:
            self._refused[host] += 1
