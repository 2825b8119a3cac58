"""Names that a document gives, made into names of tools, arguments and secrets: ASCII, bounded, each of them once."""

from __future__ import annotations

import re
import unicodedata

from muxi_runtime.gateway.hidden import clean

__all__ = ["Names", "argument_name", "fits_the_wire", "secret_name", "shown", "tool_name"]

MAX_ARGUMENT = 64
MAX_SECRET = 60
MAX_WIRE_NAME = 200
_FOREIGN = re.compile(r"[^A-Za-z0-9_-]+")
_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})


class Names:
    """Gives each name once: a second of the same, or of the same in other case, gets a number."""

    def __init__(self, longest: int, taken: tuple[str, ...] = ()) -> None:
        self._longest = longest
        self._taken = {name.casefold() for name in taken}
        self._last: dict[str, int] = {}

    def unique(self, name: str) -> str:
        """The name, or one like it that is free."""
        name = name[: self._longest]
        folded = name.casefold()
        number, made = self._last.get(folded, 1), name
        while made.casefold() in self._taken:
            number += 1
            end = f"_{number}"
            made = f"{name[: self._longest - len(end)]}{end}"
        self._last[folded] = number
        self._taken.add(made.casefold())
        return made


def tool_name(operation_id: object, method: str, path: str) -> str:
    """From the operation's own name where that is ASCII, else from method and path: no letters that look alike."""
    if isinstance(operation_id, str) and operation_id.isascii():
        made = _plain(operation_id)
        if made:
            return made
    return _plain(f"{method}_{path.strip('/')}") or method


def argument_name(name: str) -> str:
    """`filter[owner]` is `filter_owner`."""
    return _plain(name)[:MAX_ARGUMENT] or "value"


def secret_name(server: str, scheme: str) -> str:
    """`petstore`, `api-key` is `PETSTORE_API_KEY`; a server's name begins with a letter, and so does this."""
    return re.sub(r"[^A-Z0-9]+", "_", f"{server}_{scheme}".upper())[:MAX_SECRET].strip("_")


def fits_the_wire(name: object) -> bool:
    """Whether a name of a field can be shown as it is sent: bounded, nothing in it that is not seen."""
    return (
        isinstance(name, str)
        and 0 < len(name) <= MAX_WIRE_NAME
        and not any(unicodedata.category(char) in _HIDDEN for char in name)
    )


def shown(text: object, longest: int) -> str:
    """A text of the document as people and models get it: without what is not seen, on one line, bounded."""
    if not isinstance(text, str):
        return ""
    line = " ".join(clean(text[: 4 * longest])[0].split())
    return line if len(line) <= longest else f"{line[: longest - 3].rstrip()}..."


def _plain(text: str) -> str:
    return _FOREIGN.sub("_", text).strip("_-")
