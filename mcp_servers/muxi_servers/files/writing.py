"""The tools `write` and `edit`. A file is replaced whole, by a rename: no reader ever sees half of one."""

from __future__ import annotations

import os
import stat
from binascii import Error as Base64Error
from binascii import a2b_base64

from muxi_servers.files.diff import diff_of_replacement
from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.tools import object_schema
from muxi_servers.kit.workspace import OsErrors, kind_of, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.workspace import Place, Workspace

__all__ = ["EDIT_OUTPUT", "MAX_EDIT_BYTES", "WRITE_OUTPUT", "Writing", "make_place_for"]

MAX_EDIT_BYTES = 4 * 2**20
_COUNT = {"type": "integer", "minimum": 0}
WRITE_OUTPUT = object_schema(
    {
        "path": {"type": "string"},
        "created": {"type": "boolean", "description": "false if there was a file already"},
        "written_bytes": _COUNT,
        "size_bytes": {**_COUNT, "description": "of the whole file now"},
    }
)
EDIT_OUTPUT = object_schema(
    {"path": {"type": "string"}, "replacements": _COUNT, "size_bytes": _COUNT, "diff": {"type": "string"}}
)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Writing:
    """Changes single files."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def write(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: it cannot be written there.
        """
        path, mode = arguments["path"], arguments["mode"]
        data = _decode(arguments["content"], arguments["encoding"])
        with self._workspace.locate(path, make_folders=True) as place, OsErrors(path):
            existing = make_place_for(place, may_exist=mode != "create")
            if mode == "append":
                _append(place, data)
            else:
                _replace(place, data, existing)
            size = os.stat(place.name, dir_fd=place.folder, follow_symlinks=False).st_size
        told = {"path": place.path, "created": existing is None, "written_bytes": len(data), "size_bytes": size}
        verb = "Created" if existing is None else "Appended to" if mode == "append" else "Replaced"
        return ToolResult([text(f"{verb} {place.path}: {len(data)} bytes written, {size} in all.")], told)

    def edit(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the text is not there, or there more than once, or the file is no text.
        """
        path, old, new = arguments["path"], arguments["old_text"], arguments["new_text"]
        if old == new:
            raise ToolError("old_text and new_text are the same: there is nothing to change.")
        with self._workspace.locate(path) as place, OsErrors(path):
            before = _read_text(place)
            count = _count(before, old, place.path, every=arguments["replace_all"])
            data = before.replace(old, new).encode()
            _replace(place, data, place.stat())
        diff = diff_of_replacement(before, old, new, place.path)
        told = {"path": place.path, "replacements": count, "size_bytes": len(data), "diff": diff}
        return ToolResult([text(f"Replaced {count} in {place.path}.\n{diff}")], told)


def make_place_for(place: Place, *, may_exist: bool) -> os.stat_result | None:
    """What is there now, which has to be a file; `None` if nothing is.

    Raises:
        ToolError: something is there that may not be replaced.
    """
    existing = place.stat()
    if existing is None:
        return None
    if not stat.S_ISREG(existing.st_mode):
        raise ToolError(f"{place.path} is a {kind_of(existing.st_mode)}, not a file.")
    if not may_exist:
        raise ToolError(f"{place.path} exists already; allow replacing it, or take another name.")
    return existing


def _decode(content: str, encoding: str) -> bytes:
    if encoding == "text":
        return content.encode()
    try:
        return a2b_base64(content.encode(), strict_mode=True)
    except Base64Error as error:
        raise ToolError(f"content is not base64: {error}. Nothing was written.") from None


def _append(place: Place, data: bytes) -> None:
    fd = os.open(place.name, _APPEND, 0o644, dir_fd=place.folder)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ToolError(f"{place.path} is not a file.")
        write_all(fd, data)
    finally:
        os.close(fd)


def _replace(place: Place, data: bytes, existing: os.stat_result | None) -> None:
    """Write beside it, then rename over it. Without `existing` nothing is replaced, whatever came there meanwhile."""
    temporary = f".muxi-{os.urandom(8).hex()}"
    fd = os.open(temporary, _NEW, 0o644, dir_fd=place.folder)
    try:
        try:
            write_all(fd, data)
            if existing is not None:
                os.fchmod(fd, stat.S_IMODE(existing.st_mode) & 0o777)
        finally:
            os.close(fd)
        if existing is None:
            os.link(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder, follow_symlinks=False)
        else:
            os.rename(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
    except BaseException:
        os.unlink(temporary, dir_fd=place.folder)
        raise
    if existing is None:
        os.unlink(temporary, dir_fd=place.folder)


def _read_text(place: Place) -> str:
    fd = open_regular(place.folder, place.name)
    with open(fd, "rb") as file:
        data = file.read(MAX_EDIT_BYTES + 1)
    if len(data) > MAX_EDIT_BYTES:
        raise ToolError(f"{place.path} has more than {MAX_EDIT_BYTES} bytes: change it with a program instead.")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ToolError(f"{place.path} is not UTF-8 (byte {error.start}): change it with a program instead.") from None


def _count(before: str, old: str, path: str, *, every: bool) -> int:
    count = before.count(old)
    if count == 0:
        raise ToolError(f"old_text is not in {path}. Read the file and give it exactly, spaces and line ends included.")
    if count > 1 and not every:
        raise ToolError(
            f"old_text is in {path} {count} times. Give more of the text around the place, or set replace_all."
        )
    return count
