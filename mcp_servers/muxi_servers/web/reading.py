"""Turns a document into text. Runs in a process of its own, forked from the zygote: a document can hang or kill it.

The document comes on standard input; what came of it goes to standard output as JSON.
"""

from __future__ import annotations

import json
import resource
import sys

from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.frames import write_all
from muxi_servers.web.charset import to_text
from muxi_servers.web.reading_errors import UnreadableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["MAX_TEXT", "main"]

MAX_TEXT = 2_000_000
_MEMORY_BYTES = 400 * 2**20
_CPU_SECONDS = 30
_CONTROLS = dict.fromkeys((code for code in range(32) if chr(code) not in "\t\n"), None)
_RECURSION = 20_000
"""The library cuts trees off at 256 levels; each takes several calls here."""


def main(request: str) -> int:
    """Read as `request` says: `kind`, `charset`, `url`, `format`, `main_only`."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_SECONDS, _CPU_SECONDS))
    sys.setrecursionlimit(_RECURSION)
    wanted = decode(request.encode())
    data = sys.stdin.buffer.read()
    try:
        found = _read(data, wanted)
    except UnreadableError as error:
        found = {"error": str(error)}
    except MemoryError:
        found = {"error": "The document takes more memory to read than there is."}
    write_all(1, encode(found))
    return 0


def _read(data: bytes, wanted: dict[str, Any]) -> dict[str, Any]:
    match wanted["kind"]:
        case "html":
            return _html(data, wanted)
        case "pdf":
            from muxi_servers.web.pdf import read_pdf  # noqa: PLC0415 - one library for each kind

            text, title, pages, is_whole = read_pdf(data, MAX_TEXT)
            return _found(text, title=title, pages=pages, is_whole=is_whole)
        case "duckduckgo":
            from muxi_servers.web.duckduckgo import parse_results  # noqa: PLC0415

            return {"results": parse_results(to_text(data, wanted["charset"]))}
        case "json":
            return _found(_pretty(to_text(data, wanted["charset"])))
        case _:
            return _found(to_text(data, wanted["charset"]))


def _html(data: bytes, wanted: dict[str, Any]) -> dict[str, Any]:
    from muxi_servers.web.links import Links  # noqa: PLC0415 - one library for each kind
    from muxi_servers.web.markdown import Writer  # noqa: PLC0415
    from muxi_servers.web.structure import main_part, parse_page, title_of  # noqa: PLC0415

    source = to_text(data, wanted["charset"])
    root = parse_page(source)
    links = Links(wanted["url"], next((one.get("href") or "" for one in root.iter("base")), ""))
    title = title_of(root)
    part = main_part(root, source) if wanted["main_only"] else root
    return _found(Writer(links.absolute, plain=wanted["format"] == "text").write(part), title=title)


def _found(text: str, *, title: str = "", pages: int = 0, is_whole: bool = True) -> dict[str, Any]:
    text = text.translate(_CONTROLS)
    cut = text[:MAX_TEXT]
    return {"text": cut, "title": title, "pages": pages, "is_whole": is_whole and len(cut) == len(text)}


def _pretty(text: str) -> str:
    """Indented, if it is JSON and stays within what is kept; else as it is."""
    try:
        pretty = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
    return pretty if len(pretty) <= MAX_TEXT else text
