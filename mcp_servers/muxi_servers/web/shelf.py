"""Pages that were read, kept for a while so that they can be read on without asking the host again."""

from __future__ import annotations

from threading import Lock
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.client.exchange import Answer
    from muxi_servers.kit.client.urls import Url

    Key = tuple[str, str, bool]

__all__ = ["Page", "Shelf"]

_KEPT = 4
_KEPT_CHARACTERS = 4_000_000
_KEPT_SECONDS = 600.0


class Page:
    """What one URL gave, as text."""

    def __init__(self, answer: Answer, seen: list[Url], kind: str) -> None:
        self.url = str(seen[-1])
        self.redirects = [str(url) for url in seen[:-1]]
        self.redirect_to: str | None = None
        self.status = answer.status
        self.media_type = answer.media_type
        self.kind = kind
        self.title = self.text = ""
        self.pages = 0
        self.is_whole = True

    def take(self, found: dict[str, Any], *, is_whole: bool) -> None:
        """What was read from it; `is_whole`: all of it was there to read."""
        self.text, self.title = found.get("text", ""), found.get("title", "")
        self.pages = found.get("pages", 0)
        self.is_whole = is_whole and found.get("is_whole", True)

    def to_json(self, start: int, count: int) -> dict[str, Any]:
        """The tool's structured content: a part of the text, ending at the end of a line where there is one."""
        part = self.text[start : start + count]
        end = start + len(part)
        if end < len(self.text) and (line_end := part.rfind("\n", len(part) // 2)) >= 0:
            part = part[: line_end + 1]
            end = start + len(part)
        return {
            "url": self.url,
            "redirects": self.redirects,
            "redirect_to": self.redirect_to,
            "status": self.status,
            "media_type": self.media_type,
            "kind": self.kind,
            "title": self.title,
            "text": part,
            "offset": start,
            "next_offset": end if end < len(self.text) else None,
            "total_characters": len(self.text),
            "pages": self.pages,
            "complete": self.is_whole,
        }

    def words(self, told: dict[str, Any]) -> str:
        """The same for a model: where it comes from, the text, and how to go on."""
        if self.redirect_to:
            return (
                f"[{self.url} redirects to {self.redirect_to}, which was not followed: it is of another scheme. "
                "Fetch that URL if it is what you want.]"
            )
        title = f" | {self.title}" if self.title else ""
        way = f" | redirected from {self.redirects[0]}" if self.redirects else ""
        lines = [f"[{self.url}{title}{way}]", "", told["text"].strip("\n") or "[no text]"]
        if told["next_offset"] is not None:
            part = f"{told['offset']} to {told['next_offset']} of {told['total_characters']} characters"
            lines += ["", f"[{part}; read on with offset {told['next_offset']}]"]
        elif not self.is_whole:
            lines += ["", "[it goes on, but more of it cannot be read]"]
        return "\n".join(lines)


class Shelf:
    """The last few pages, within a number of characters."""

    def __init__(self) -> None:
        self._pages: dict[Key, tuple[float, Page]] = {}
        self._lock = Lock()

    def get(self, key: Key) -> Page | None:
        """The page, if it is still there and not too old."""
        with self._lock:
            found = self._pages.get(key)
        return found[1] if found and monotonic() - found[0] < _KEPT_SECONDS else None

    def put(self, key: Key, page: Page) -> None:
        """Keep it, in place of the oldest if need be."""
        with self._lock:
            self._pages.pop(key, None)
            self._pages[key] = (monotonic(), page)
            while len(self._pages) > 1 and self._is_full():
                self._pages.pop(next(iter(self._pages)))

    def _is_full(self) -> bool:
        return len(self._pages) > _KEPT or sum(len(page.text) for _, page in self._pages.values()) > _KEPT_CHARACTERS
