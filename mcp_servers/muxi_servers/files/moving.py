"""The tools `move`, `copy`, `delete` and `make_directory`."""

from __future__ import annotations

import errno
import os
import stat

from muxi_servers.kit.content import ToolResult, text
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.removal import remove_tree
from muxi_servers.kit.tools import object_schema
from muxi_servers.kit.workspace import OsErrors, kind_of, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from muxi_servers.kit.call import Call
    from muxi_servers.kit.workspace import Place, Workspace

__all__ = ["COPY_OUTPUT", "DELETE_OUTPUT", "MAKE_OUTPUT", "MOVE_OUTPUT", "Moving"]

_PATH = {"type": "string"}
_CHUNK = 2**20
_MAX_COPY_DEPTH = 64
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MOVE_OUTPUT = object_schema({"source": _PATH, "destination": _PATH})
COPY_OUTPUT = object_schema(
    {
        "source": _PATH,
        "destination": _PATH,
        "files": {"type": "integer", "minimum": 0},
        "bytes": {"type": "integer", "minimum": 0},
    }
)
DELETE_OUTPUT = object_schema({"path": _PATH, "kind": _PATH})
MAKE_OUTPUT = object_schema({"path": _PATH, "created": {"type": "boolean"}})


class Moving:
    """Changes what is where. A link is moved, copied and deleted as itself, never followed."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def move(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the source is not there, or the destination is.
        """
        source, destination = arguments["source"], arguments["destination"]
        with self._workspace.locate(source, follow=False) as here, OsErrors(source):
            _existing(here)
            with self._workspace.locate(destination, follow=False, make_folders=True) as there:
                _clear(there, overwrite=arguments["overwrite"])
                _rename(here, there)
        told = {"source": here.path, "destination": there.path}
        return ToolResult([text(f"Moved {here.path} to {there.path}.")], told)

    def copy(self, call: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: the source is not there, or the destination is.
        """
        source, destination = arguments["source"], arguments["destination"]
        copying = _Copying(call)
        with self._workspace.locate(source, follow=False) as here, OsErrors(source):
            status = _existing(here)
            with self._workspace.locate(destination, follow=False, make_folders=True) as there:
                if f"{there.path}/".startswith(f"{here.path}/") or here.path == ".":
                    raise ToolError(f"{here.path} cannot be copied into itself.")
                _clear(there, overwrite=arguments["overwrite"])
                copying.any(here.folder, here.name, there.folder, there.name, status)
        told = {"source": here.path, "destination": there.path, "files": copying.files, "bytes": copying.bytes}
        said = f"Copied {here.path} to {there.path}: {copying.files} files, {copying.bytes} bytes."
        return ToolResult([text(said)], told)

    def delete(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: it is not there, is the workspace, or is a folder and `recursive` is not set.
        """
        path = arguments["path"]
        with self._workspace.locate(path, follow=False) as place, OsErrors(path):
            status = _existing(place)
            if not stat.S_ISDIR(status.st_mode):
                os.unlink(place.name, dir_fd=place.folder)
            elif arguments["recursive"]:
                remove_tree(place.folder, place.name)
            else:
                _remove_empty(place)
        kind = kind_of(status.st_mode)
        return ToolResult([text(f"Deleted the {kind} {place.path}.")], {"path": place.path, "kind": kind})

    def make_directory(self, _: Call, arguments: dict[str, Any]) -> ToolResult:
        """See the tool's description.

        Raises:
            ToolError: something else has that name.
        """
        path = arguments["path"]
        with self._workspace.locate(path, make_folders=True) as place, OsErrors(path):
            existing = place.stat()
            if existing is None:
                os.mkdir(place.name, 0o755, dir_fd=place.folder)
            elif not stat.S_ISDIR(existing.st_mode):
                raise ToolError(f"{place.path} is a {kind_of(existing.st_mode)} already.")
        said = "Made the folder" if existing is None else "There is already a folder"
        return ToolResult([text(f"{said} {place.path}.")], {"path": place.path, "created": existing is None})


def _existing(place: Place) -> os.stat_result:
    """The status of what is there.

    Raises:
        ToolError: it is the workspace itself.
        OSError: nothing is there.
    """
    if place.name == ".":
        raise ToolError(f"{place.path} has to be named by its own name to be moved, copied or deleted.")
    return os.stat(place.name, dir_fd=place.folder, follow_symlinks=False)


def _clear(place: Place, *, overwrite: bool) -> None:
    """Make sure that something can be put there."""
    existing = place.stat()
    if existing is None:
        return
    if stat.S_ISDIR(existing.st_mode):
        raise ToolError(f"{place.path} is a folder already: give the full new path, or delete it first.")
    if not overwrite:
        raise ToolError(f"{place.path} exists already: set overwrite to replace it, or take another name.")


def _rename(here: Place, there: Place) -> None:
    try:
        os.rename(here.name, there.name, src_dir_fd=here.folder, dst_dir_fd=there.folder)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise ToolError(f"{here.path} cannot be moved into itself.") from None
        raise


def _remove_empty(place: Place) -> None:
    try:
        os.rmdir(place.name, dir_fd=place.folder)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise ToolError(f"{place.path} is a folder that is not empty: set recursive to delete it all.") from None
        raise


class _Copying:
    """One copy, and how much it was."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.files = 0
        self.bytes = 0

    def any(
        self, folder: int, name: str, new_folder: int, new_name: str, status: os.stat_result, depth: int = 0
    ) -> None:
        """Copy whatever it is; what is neither file, folder nor link is refused."""
        if self._call.cancelled:
            raise ToolError("The call was cancelled; part of it was copied.")
        if stat.S_ISDIR(status.st_mode):
            self._folder(folder, name, new_folder, new_name, depth)
        elif stat.S_ISLNK(status.st_mode):
            os.symlink(os.readlink(name, dir_fd=folder), new_name, dir_fd=new_folder)
        else:
            self._file(folder, name, new_folder, new_name)

    def _folder(self, folder: int, name: str, new_folder: int, new_name: str, depth: int) -> None:
        if depth >= _MAX_COPY_DEPTH:
            raise ToolError(f"{name} is deeper than {_MAX_COPY_DEPTH} folders; part of it was copied.")
        source = os.open(name, _FOLDER, dir_fd=folder)
        try:
            os.mkdir(new_name, 0o755, dir_fd=new_folder)
            target = os.open(new_name, _FOLDER, dir_fd=new_folder)
            try:
                for entry in sorted(os.listdir(source)):
                    status = os.stat(entry, dir_fd=source, follow_symlinks=False)
                    self.any(source, entry, target, entry, status, depth + 1)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _file(self, folder: int, name: str, new_folder: int, new_name: str) -> None:
        source = open_regular(folder, name)
        temporary = f".muxi-{os.urandom(8).hex()}"
        try:
            target = os.open(temporary, _NEW, stat.S_IMODE(os.fstat(source).st_mode) & 0o777, dir_fd=new_folder)
            try:
                while copied := os.sendfile(target, source, None, _CHUNK):
                    self.bytes += copied
            finally:
                os.close(target)
            os.rename(temporary, new_name, src_dir_fd=new_folder, dst_dir_fd=new_folder)
        except BaseException:
            _discard(temporary, new_folder)
            raise
        finally:
            os.close(source)
        self.files += 1


def _discard(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except FileNotFoundError:
        return
