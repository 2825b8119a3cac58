"""The tools for what the browser keeps: `console`, `network`, `cookies`, `block`, `dialogs`."""

from __future__ import annotations

from muxi_servers.browser.engine.reply import events_words, reply
from muxi_servers.browser.engine.words import cut
from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from muxi_servers.browser.engine.chromium import Chromium

__all__ = ["Keeping"]

_SEVERE = frozenset({"error", "exception", "warning"})
_MAX_COOKIES = 300
_VALUE_CHARACTERS = 4096
_FIRST_BAD_STATUS = 400


class Keeping:
    """Of one browser."""

    def __init__(self, chromium: Chromium) -> None:
        self._chromium = chromium
        self._happenings = chromium.happenings

    async def console(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        said = self._happenings.console
        wanted = [entry for entry in said if not arguments["errors_only"] or entry["kind"] in _SEVERE]
        shown = wanted[-int(arguments["max_entries"]) :]
        lines = (f"{one['tab']} {one['kind']}: {one['text']} {_at(one)}".rstrip() for one in shown)
        return self._log(lines, {"messages": shown, "left_out": len(wanted) - len(shown)})

    async def network(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        failed, part = arguments["failed_only"], arguments["contains"]
        wanted = [entry for entry in self._happenings.requests if part in entry["url"]]
        if failed:
            wanted = [entry for entry in wanted if entry["failure"] or entry["status"] >= _FIRST_BAD_STATUS]
        shown = wanted[-int(arguments["max_entries"]) :]
        return self._log(map(_to_line, shown), {"requests": shown, "left_out": len(wanted) - len(shown)})

    def _log(self, lines: Iterable[str], structured: dict[str, Any]) -> dict[str, Any]:
        events = self._happenings.take()
        more = [f"[{structured['left_out']} older ones are left out]"] if structured["left_out"] else []
        text = "\n".join([*more, *lines, *events_words(events)])
        return reply(text or "Nothing so far.", {**structured, "events": events})

    async def cookies(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description.

        Raises:
            ToolError: there is nothing to set.
        """
        action, context = arguments["action"], self._chromium.context
        if action == "clear":
            await context.clear_cookies()
        elif action == "set":
            if not arguments["cookies"]:
                raise ToolError("cookies is missing: which are to be set?")
            await context.add_cookies(arguments["cookies"])
        found = await context.cookies([arguments["url"]] if arguments["url"] else None)
        shown = [_to_cookie(cookie) for cookie in found[:_MAX_COOKIES]]
        lines = [f"{one['name']}={cut(one['value'], 200)} {one['domain']}{one['path']}" for one in shown]
        return reply("\n".join(lines) or "There are no cookies.", {"cookies": shown, "total": len(found)})

    async def block(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        patterns = arguments["patterns"]
        await self._chromium.block(patterns)
        said = f"Requests to {', '.join(patterns)} are blocked." if patterns else "Nothing is blocked."
        told = {"patterns": patterns, "blocked": self._chromium.blocked}
        return reply(f"{said} {self._chromium.blocked} were blocked so far.", told)

    async def dialogs(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """See the tool's description."""
        self._chromium.tabs.answer = (arguments["answer"], arguments["text"])
        seen = list(self._happenings.dialogs)
        lines = [f"{one['tab']} {one['kind']} {one['message']!r}: {one['answer']}ed" for one in seen]
        lines.append(f"Dialogs are {arguments['answer']}ed from now on.")
        return reply("\n".join(lines), {"answer": arguments["answer"], "seen": seen})


def _to_line(request: dict[str, Any]) -> str:
    outcome = request["status"] or request["failure"] or "..."
    return f"{request['tab']} {request['method']} {outcome} {request['kind']} {cut(request['url'], 300)}"


def _at(entry: dict[str, Any]) -> str:
    return f"({entry['url']}:{entry['line']})" if entry["url"] else ""


def _to_cookie(cookie: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": cut(cookie["name"], 300),
        "value": cut(cookie["value"], _VALUE_CHARACTERS),
        "domain": cut(cookie["domain"], 300),
        "path": cut(cookie["path"], 300),
        "expires": max(float(cookie["expires"]), -1.0),
        "http_only": bool(cookie["httpOnly"]),
        "secure": bool(cookie["secure"]),
    }
