"""The tools `read` and `stat`."""

from __future__ import annotations

import os
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE

from muxi_servers.files.entry import ENTRY_PROPERTIES, to_entry
from muxi_servers.kit.content import ToolResult, blob, image, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.pictures import image_type
from muxi_servers.kit.tools import object_schema
from muxi_servers.kit.workspace import OsErrors, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, BinaryIO

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.workspace import Place, Workspace

__all__ = ["MAX_BINARY_BYTES", "READ_OUTPUT", "STAT_OUTPUT", "Reading"]

MAX_BINARY_BYTES = 4 * 2**20
_SNIFFED = 8192
_CHUNK = 2**20
_COUNT = {"type": "integer", "minimum": 0}
READ_OUTPUT = object_schema(
    {
        "path": {"type": "string"},
        "kind": {"type": "string", "enum": ["text", "image", "binary"]},
        "mime_type": {"type": "string"},
        "size_bytes": _COUNT,
        "text": {"type": ["string", "null"], "description": "null for an image or a binary file"},
        "first_line": {**_COUNT, "description": "number of the first line returned; 0 if there is none"},
        "last_line": _COUNT,
        "total_lines": _COUNT,
        "truncated": {"type": "boolean", "description": "whether the file goes on after what was returned"},
        "replaced": {**_COUNT, "description": "U+FFFD in the text, put in place of bytes that are no UTF-8"},
    }
)
STAT_OUTPUT = object_schema(
    {
        **ENTRY_PROPERTIES,
        "permissions": {"type": "string", "description": "octal, such as 644"},
        "target": {"type": ["string", "null"], "description": "what a link points to"},
    }
)


class Reading:
    """Looks at single files."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def read(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: it is no file, or too big for what is asked.
        """
        path = arguments["path"]
        with self._workspace.locate(path) as place, OsErrors(path):
            fd = open_regular(place.folder, place.name)
            with open(fd, "rb") as file:
                return _read(file, place.path, arguments)

    def stat(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: there is nothing of that name.
        """
        path = arguments["path"]
        with self._workspace.locate(path, follow=False) as place, OsErrors(path):
            status = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)
            entry = to_entry(place.path, status)
            entry["permissions"] = f"{status.st_mode & 0o7777:o}"
            entry["target"] = _target(place) if entry["kind"] == "link" else None
        points = f" to {entry['target']}" if entry["target"] else ""
        told = f"{entry['path']}: {entry['kind']}{points}, {entry['size_bytes']} bytes"
        return ToolResult([text(f"{told}, {entry['permissions']}, modified {entry['modified']}")], entry)


def _target(place: Place) -> str:
    return os.fsencode(os.readlink(place.name, dir_fd=place.folder)).decode("utf-8", "replace")


def _read(file: BinaryIO, path: str, arguments: dict[str, Any]) -> ToolResult:
    size = os.fstat(file.fileno()).st_size
    start = file.read(_SNIFFED)
    file.seek(0)
    kind = image_type(start)
    if kind:
        return _whole(file, path, size, kind)
    if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        _check_size(path, size)
        data = file.read(MAX_BINARY_BYTES).decode("utf-16", "replace").encode("utf-8", "replace")
        return _lines_result(_Lines(arguments).take(data), path, size, "utf-16")
    if b"\0" in start:
        return _whole(file, path, size, "application/octet-stream")
    lines = _Lines(arguments)
    while chunk := file.read(_CHUNK):
        lines.take(chunk)
    return _lines_result(lines, path, size, "utf-8")


def _check_size(path: str, size: int) -> None:
    if size > MAX_BINARY_BYTES:
        raise ToolError(
            f"{path} is a binary file of {size} bytes; {MAX_BINARY_BYTES} at most can be returned. "
            "Take the part that you need with the code or shell tools."
        )


def _whole(file: BinaryIO, path: str, size: int, mime_type: str) -> ToolResult:
    _check_size(path, size)
    data = file.read(MAX_BINARY_BYTES)
    is_image = mime_type.startswith("image/")
    uri = f"file:///workspace/{_quote(path)}"
    structured = {
        "path": path,
        "kind": "image" if is_image else "binary",
        "mime_type": mime_type,
        "size_bytes": size,
        "text": None,
        **dict.fromkeys(("first_line", "last_line", "total_lines", "replaced"), 0),
        "truncated": False,
    }
    block = image(data, mime_type) if is_image else blob(uri, data, mime_type)
    return ToolResult([text(f"[{path}: {mime_type}, {size} bytes]"), block], structured)


def _quote(path: str) -> str:
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in os.fsencode(path))


class _Lines:
    """Takes a file chunk by chunk, keeps the lines asked for, counts the others."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.first = int(arguments["start_line"])
        self._last = self.first + int(arguments["max_lines"]) - 1
        self._limit = int(arguments["max_bytes"])
        self._feeds = 0  # line feeds so far: the line that is being taken is the next one
        self._tail = b"\n"
        self.kept = bytearray()

    def take(self, chunk: bytes) -> _Lines:
        """The next bytes; returns itself."""
        feeds = chunk.count(b"\n")
        if self._feeds + feeds >= self.first - 1 and self._feeds < self._last:
            self._keep(chunk)
        self._feeds += feeds
        self._tail = chunk[-1:] or self._tail
        return self

    @property
    def total(self) -> int:
        """Lines so far; a last one without a line feed counts."""
        return self._feeds + (self._tail != b"\n")

    @property
    def is_cut(self) -> bool:
        """Whether the lines asked for have more bytes than may be returned."""
        return len(self.kept) > self._limit

    def text(self) -> tuple[str, int]:
        """The lines that were kept, and the number of the last of them; never half a character."""
        data = bytes(self.kept[: self._limit])
        value = data.decode("utf-8", "replace")
        if self.is_cut:
            value = value.rstrip("\ufffd")
        lines = value.count("\n") + (not value.endswith("\n") and bool(value))
        return value, self.first + lines - 1 if lines else 0

    def _keep(self, chunk: bytes) -> None:
        begin = _offset_of_line(chunk, self.first - 1 - self._feeds)
        end = _offset_of_line(chunk, self._last - self._feeds)
        room = self._limit + 1 - len(self.kept)  # one more tells that there was more
        self.kept += chunk[begin : min(end, begin + max(room, 0))]


def _offset_of_line(chunk: bytes, feeds: int) -> int:
    """Offset after that many line feeds."""
    at = 0
    for _ in range(feeds):
        found = chunk.find(b"\n", at)
        if found < 0:
            return len(chunk)
        at = found + 1
    return at


def _lines_result(lines: _Lines, path: str, size: int, encoding: str) -> ToolResult:
    value, last = lines.text()
    first = lines.first if last else 0
    truncated = last < lines.total or lines.is_cut
    structured: dict[str, Any] = {
        "path": path,
        "kind": "text",
        "mime_type": f"text/plain; charset={encoding}",
        "size_bytes": size,
        "text": value.removeprefix(BOM_UTF8.decode()),
        "first_line": first,
        "last_line": last,
        "total_lines": lines.total,
        "truncated": truncated,
        "replaced": value.count("\ufffd"),
    }
    return ToolResult([text(structured["text"]), *_notes(structured, lines)], structured)


def _notes(told: dict[str, Any], lines: _Lines) -> list[dict[str, Any]]:
    notes = []
    if not told["last_line"] and told["total_lines"]:
        notes.append(f"the file has only {told['total_lines']} lines")
    elif lines.is_cut:
        notes.append(
            f"cut in line {told['last_line']} of {told['total_lines']}: read on with start_line, or a larger max_bytes"
        )
    elif told["truncated"]:
        notes.append(
            f"lines {told['first_line']} to {told['last_line']} of {told['total_lines']}: read on with start_line"
        )
    elif not told["size_bytes"]:
        notes.append("the file is empty")
    if told["replaced"]:
        notes.append(f"{told['replaced']} characters are U+FFFD, in place of bytes that are no UTF-8")
    return [text(f"[{'; '.join(notes)}]")] if notes else []
