"""Files between the workspace and the browser's temporary folder: always copied, never shared."""

from __future__ import annotations

import mimetypes
import os
import stat

from muxi_servers.browser.addresses import path_of
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.workspace import OsErrors, kind_of, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.kit.workspace import Place, Workspace

__all__ = ["MAX_UPLOAD_BYTES", "copy_in", "copy_out", "read_made", "read_page"]

MAX_UPLOAD_BYTES = 64 * 2**20
_MAX_PAGE_BYTES = 32 * 2**20
_CHUNK = 2**20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MADE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def copy_in(workspace: Workspace, paths: list[str], folder: str) -> list[str]:
    """Copies of files of the workspace, under their own names; where they are.

    Raises:
        ToolError: one is no file, or they are too large together.
    """
    room = MAX_UPLOAD_BYTES
    copies = []
    for path in paths:
        with workspace.locate(path) as place, OsErrors(path):
            source = open_regular(place.folder, place.name)
            try:
                room -= os.fstat(source).st_size
                if room < 0:
                    raise ToolError(f"The files have more than {MAX_UPLOAD_BYTES} bytes together.")
                own = f"{folder}/given-{os.urandom(8).hex()}"
                os.mkdir(own, 0o700)
                copies.append(f"{own}/{place.name}")
                _copy(source, os.open(copies[-1], _NEW, 0o600), os.fstat(source).st_size)
            finally:
                os.close(source)
    return copies


def copy_out(workspace: Workspace, file: str, folder: str, path: str, *, overwrite: bool) -> tuple[str, int]:
    """Move a file that the browser made to a path of the workspace; where it is now, and how many bytes it has.

    Raises:
        ToolError: it cannot be written there.
    """
    source = _open_made(file, folder)
    try:
        size = os.fstat(source).st_size
        with workspace.locate(path, make_folders=True) as place, OsErrors(path):
            _place(source, place, size, overwrite=overwrite)
            return place.path, size
    finally:
        os.close(source)
        os.unlink(file)


def read_page(workspace: Workspace, url: str) -> tuple[str, bytes]:
    """The media type and the bytes of the file that a `file:` address names.

    Raises:
        ToolError: it is no file of the workspace, or too large.
    """
    path = path_of(url)
    with workspace.locate(path) as place, OsErrors(path):
        with open(open_regular(place.folder, place.name), "rb") as file:
            data = file.read(_MAX_PAGE_BYTES + 1)
        if len(data) > _MAX_PAGE_BYTES:
            raise ToolError(f"{place.path} has more than {_MAX_PAGE_BYTES} bytes.")
        return _kind(place.name, data), data


def _kind(name: str, data: bytes) -> str:
    """By the name; of a text with its encoding, which Chromium guesses of files alone."""
    try:
        data.decode()
    except UnicodeDecodeError:
        encoding, other = "", "application/octet-stream"
    else:
        encoding, other = "; charset=utf-8", "text/plain"
    kind = mimetypes.guess_type(name)[0] or other
    return f"{kind}{encoding}" if kind.startswith("text/") else kind


def read_made(file: str, folder: str) -> bytes:
    """The bytes of a file that the browser made, which is removed."""
    source = _open_made(file, folder)
    try:
        with open(source, "rb", closefd=False) as opened:
            return opened.read()
    finally:
        os.close(source)
        os.unlink(file)


def _open_made(file: str, folder: str) -> int:
    """Playwright puts downloads into the folder, or into one in it."""
    if not os.path.realpath(file).startswith(f"{os.path.realpath(folder)}/"):
        raise ToolError("The browser made no file.")
    source = os.open(file, _MADE)
    if not stat.S_ISREG(os.fstat(source).st_mode):
        os.close(source)
        raise ToolError("The browser made no file.")
    return source


def _place(source: int, place: Place, size: int, *, overwrite: bool) -> None:
    """Written beside it, then put in its place whole."""
    existing = place.stat()
    if existing and not stat.S_ISREG(existing.st_mode):
        raise ToolError(f"{place.path} is a {kind_of(existing.st_mode)}, not a file.")
    if existing and not overwrite:
        raise ToolError(f"{place.path} exists already: set overwrite, or take another name.")
    temporary = f".muxi-{os.urandom(8).hex()}"
    target = os.open(temporary, _NEW, 0o644, dir_fd=place.folder)
    try:
        _copy(source, target, size)
        if existing:
            os.rename(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder)
            return
        os.link(temporary, place.name, src_dir_fd=place.folder, dst_dir_fd=place.folder, follow_symlinks=False)
    except BaseException:
        os.unlink(temporary, dir_fd=place.folder)
        raise
    os.unlink(temporary, dir_fd=place.folder)


def _copy(source: int, target: int, size: int) -> None:
    """At most `size` bytes; closes the target."""
    try:
        while size > 0 and (data := os.read(source, min(_CHUNK, size))):
            write_all(target, data)
            size -= len(data)
    finally:
        os.close(target)
