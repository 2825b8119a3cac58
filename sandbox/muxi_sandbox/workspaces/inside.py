"""One operation on the workspace of the sandbox that this runs in, for `remote`, which sends this package's source in.

Standard library only. Lines of JSON over the standard streams; first the operation, then, until it is done, whatever
the operation wants of the file at the other end, each answered before the next:

    in      {"do": "pack" | "unpack" | "replace" | "entries", "path", "bounds": [bytes, entries, depth], "overwrite"}
    out     {"read": COUNT}             in   {"data": BASE64}    empty at the end
    out     {"seek": POSITION}          in   {}
    out     {"write": BASE64}           in   {}
    out     {"done": {...}} or {"failed": KIND, "message", "limit", "value"}, and the end
"""

from __future__ import annotations

import io
import json
import os
import sys
from base64 import b64decode, b64encode
from dataclasses import asdict
from typing import Any

from muxi_sandbox.workspaces.contract import Bounds, WorkspaceError, WorkspaceFullError
from muxi_sandbox.workspaces.descent import FOLDER
from muxi_sandbox.workspaces.reading import list_folder, pack_tree
from muxi_sandbox.workspaces.replacing import replace_tree
from muxi_sandbox.workspaces.writing import unpack_tree

__all__ = ["main"]

WORKSPACE = "/workspace"
PIECE = 2**19


def main() -> None:
    """Do what the first line says."""
    request = _hear()
    try:
        root = os.open(WORKSPACE, FOLDER)
        _say({"done": _do(root, request)})
    except WorkspaceFullError as error:
        _say({"failed": "WorkspaceFullError", "message": str(error), "limit": error.limit, "value": error.value})
    except WorkspaceError as error:
        _say({"failed": type(error).__name__, "message": str(error)})
    except OSError as error:
        _say({"failed": "WorkspaceError", "message": f"The workspace cannot be used: {error.strerror}."})


def _do(root: int, request: dict[str, Any]) -> dict[str, Any]:
    path, bounds = request["path"], Bounds(*request["bounds"])
    if request["do"] == "entries":
        entries, report = list_folder(root, path, bounds)
        return {"report": asdict(report), "entries": [asdict(entry) for entry in entries]}
    if request["do"] == "pack":
        with io.BufferedWriter(_Sink(), PIECE) as sink:
            report = pack_tree(root, path, sink, bounds)
    elif request["do"] == "unpack":
        source = io.BufferedReader(_Source(), PIECE)
        report = unpack_tree(root, source, path, bounds, overwrite=request["overwrite"], owner=None)
    else:
        report = replace_tree(root, io.BufferedReader(_Source(), PIECE), bounds, None)
    return {"report": asdict(report)}


class _Source(io.RawIOBase):
    """The other end's file, read."""

    def __init__(self) -> None:
        super().__init__()
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        if whence == os.SEEK_CUR:
            offset += self._at
        elif whence != os.SEEK_SET:
            raise io.UnsupportedOperation("its end is not known")
        if offset != self._at:
            _ask({"seek": offset})
            self._at = offset
        return offset

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401  # the type for it came with Python 3.12
        view = memoryview(buffer).cast("B")
        data = b64decode(_ask({"read": min(len(view), PIECE)})["data"])
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


class _Sink(io.RawIOBase):
    """The other end's file, written."""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401  # as above
        piece = bytes(data)[:PIECE]
        _ask({"write": b64encode(piece).decode("ascii")})
        return len(piece)


def _ask(message: dict[str, Any]) -> dict[str, Any]:
    _say(message)
    return _hear()


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def _hear() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        raise SystemExit("nobody is at the other end any more")
    message: dict[str, Any] = json.loads(line)
    return message
