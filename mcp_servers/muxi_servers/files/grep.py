"""Searches files for lines. Runs in a process of its own, forked from the zygote, with the folder as working folder."""

from __future__ import annotations

import os
import re
import stat

from muxi_servers.files.glob import matches
from muxi_servers.kit.codec import decode, encode
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.walk import walk
from muxi_servers.kit.workspace import open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = ["main"]

_MAX_FILE_BYTES = 32 * 2**20
_MAX_LINE = 500
_SNIFFED = 8192


def main(request: str) -> int:
    """Search as `request` says and write the result to standard output as JSON."""
    wanted = decode(request.encode())
    flags = re.IGNORECASE if wanted["ignore_case"] else 0
    try:
        expression = re.compile(re.escape(wanted["pattern"]) if wanted["literal"] else wanted["pattern"], flags)
    except (re.error, OverflowError, RecursionError) as error:
        write_all(1, encode({"error": str(error)}))
        return 0
    search = _Search(expression, wanted)
    root = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for folder, name, path in _files(root, wanted):
        if not search.file(folder, name, wanted["prefix"] + path):
            break
    write_all(1, encode(search.result))
    return 0


def _files(root: int, wanted: dict[str, Any]) -> Iterator[tuple[int, str, str]]:
    """(folder, name, path) of each file to look into."""
    if wanted["name"]:
        yield root, wanted["name"], wanted["name"]
        return
    for found in walk(root):
        if stat.S_ISREG(found.status.st_mode) and matches(wanted["glob"], found.path):
            yield found.folder, found.name, found.path


class _Search:
    def __init__(self, expression: re.Pattern[str], wanted: dict[str, Any]) -> None:
        self._expression = expression
        self._limit = int(wanted["max_matches"])
        self._context = int(wanted["context"])
        self.result: dict[str, Any] = {"matches": [], "files_searched": 0, "files_skipped": 0, "complete": True}

    def file(self, folder: int, name: str, path: str) -> bool:
        """Look into one file; false when there are enough matches."""
        data = _read(folder, name)
        if data is None:
            self.result["files_skipped"] += 1
            return True
        self.result["files_searched"] += 1
        lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n")
        for index, line in enumerate(lines):
            if not self._expression.search(line):
                continue
            if len(self.result["matches"]) >= self._limit:
                self.result["complete"] = False
                return False
            self.result["matches"].append(self._match(path, lines, index))
        return True

    def _match(self, path: str, lines: list[str], index: int) -> dict[str, Any]:
        before = lines[max(0, index - self._context) : index]
        after = lines[index + 1 : index + 1 + self._context]
        return {
            "path": path,
            "line": index + 1,
            "text": lines[index][:_MAX_LINE],
            "before": [line[:_MAX_LINE] for line in before],
            "after": [line[:_MAX_LINE] for line in after],
        }


def _read(folder: int, name: str) -> bytes | None:
    """The bytes of a text file; `None` for any other."""
    try:
        fd = open_regular(folder, name)
    except (OSError, ToolError):
        return None
    with open(fd, "rb") as file:
        if os.fstat(fd).st_size > _MAX_FILE_BYTES:
            return None
        start = file.read(_SNIFFED)
        return None if b"\0" in start else start + file.read(_MAX_FILE_BYTES)
