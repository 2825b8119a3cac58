"""What Playwright says, as sentences for whoever called."""

from __future__ import annotations

import re

__all__ = ["cut", "explain", "is_overtaken", "network_error"]

_MAX_CHARACTERS = 600
_SHOWN_STEPS = 3
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_METHOD = re.compile(r"^[A-Z][A-Za-z]+\.[a-z_]+: ")
_NETWORK_ERROR = re.compile(r"net::(ERR_[A-Z0-9_]+)")
_TIMES_OUT = re.compile(r"Timeout \d+ms exceeded")
_CLOSED = "Target page, context or browser has been closed"
_CRASHED = "Target crashed"
_OVERTAKEN = 'interrupted by another navigation to "chrome-error://'


def cut(value: object, characters: int) -> str:
    """As a text of at most that many characters."""
    text = str(value)
    return text if len(text) <= characters else text[: characters - 1] + "…"


def network_error(error: Exception) -> str:
    """The name that Chromium gives to what went wrong, such as `ERR_ABORTED`; empty if it was something else."""
    found = _NETWORK_ERROR.search(str(error))
    return found.group(1) if found else ""


def is_overtaken(error: Exception) -> bool:
    """Whether Chromium showed its own page for a failure before Playwright heard of the failure itself."""
    # Alone "chrome-error://" may be words of the page's address, which the message has in it too.
    return not network_error(error) and _OVERTAKEN in str(error)


def explain(error: Exception) -> str:
    """One paragraph: what happened, and the last steps before it."""
    said, _, log = _COLOURS.sub("", str(error)).partition("Call log:")
    said = _METHOD.sub("", said).strip()
    if _CLOSED in said:
        return "The tab was closed in the middle of this call: see the list of tabs."
    if _CRASHED in said:
        return "The page crashed, perhaps for want of memory: close its tab, or open the page again."
    steps = [line.strip(" -\t") for line in log.splitlines() if line.strip(" -\t")]
    if _TIMES_OUT.search(said):
        return _say_timeout(steps)
    first = said.splitlines()[0] if said else "It failed"
    if "strict mode violation" in said:
        count = re.search(r"resolved to (\d+) elements", said)
        return f"The selector fits {count.group(1) if count else 'several'} elements: take a reference of a snapshot."
    return cut(first, _MAX_CHARACTERS)


def _say_timeout(steps: list[str]) -> str:
    known = list(dict.fromkeys(steps))[-_SHOWN_STEPS:]
    why = f" Last: {'; '.join(known)}." if known else ""
    return cut(f"It could not be done in time.{why} Take a snapshot to see how the page is now.", _MAX_CHARACTERS)
