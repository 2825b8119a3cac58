"""What a tool answers: a text, and the same for programs."""

from __future__ import annotations

import asyncio

from playwright.async_api import Error as PlaywrightError

from muxi_servers.browser.engine.happenings import URL_CHARACTERS
from muxi_servers.browser.engine.words import cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.browser.engine.chromium import Chromium
    from muxi_servers.browser.engine.tabs import Tab

__all__ = ["events_words", "page_reply", "reply", "text_reply"]

_TITLE_CHARACTERS = 300
_TITLE_SECONDS = 2.0


def reply(text: str, structured: dict[str, Any], file: str = "") -> dict[str, Any]:
    """A reply as `main` sends it."""
    return {"text": text, "structured": structured, "file": file}


async def page_reply(chromium: Chromium, said: str, *, file: str = "", **more: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """What was done, where the current tab is now, and what happened meanwhile."""
    state = await _state(chromium)
    text = "\n".join([said, *_place(state), *events_words(state["events"])])
    return reply(text, {**state, **more}, file)


async def text_reply(chromium: Chromium, tab: Tab, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """A part of the text that was kept of the tab under that kind."""
    whole, begin = tab.text[kind], int(arguments["offset"])
    part = whole[begin : begin + int(arguments["max_characters"])]
    end = begin + len(part)
    following = end if end < len(whole) else None
    state = await _state(chromium)
    lines = [*_place(state), *events_words(state["events"]), "", part]
    if following is not None:
        lines.append(f"[{end} of {len(whole)} characters: go on with offset {end}]")
    told = {"text": part, "offset": begin, "next_offset": following, "total_characters": len(whole)}
    return reply("\n".join(lines), {**state, **told})


def events_words(events: list[str]) -> list[str]:
    """As lines."""
    return [f"- {event}" for event in events]


def _place(state: dict[str, Any]) -> list[str]:
    return [f"Tab {state['tab']}: {state['title']}\n{state['url']}"] if state["tab"] else ["No tab is open."]


async def _state(chromium: Chromium) -> dict[str, Any]:
    tab = next((tab for tab in chromium.tabs.all() if tab.number == chromium.tabs.number), None)
    if tab is None:
        return {"tab": 0, "url": "", "title": "", "events": chromium.happenings.take()}
    title = ""
    try:
        async with asyncio.timeout(_TITLE_SECONDS):
            title = cut(await tab.page.title(), _TITLE_CHARACTERS)
    except TimeoutError:
        chromium.happenings.add("the page does not respond")
    except PlaywrightError:
        pass  # it is just going elsewhere
    url = cut(tab.page.url, URL_CHARACTERS)
    return {"tab": tab.number, "url": url, "title": title, "events": chromium.happenings.take()}
