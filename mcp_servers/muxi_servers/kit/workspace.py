"""Paths in tool arguments, resolved so that nothing outside the workspace is ever reached.

A path is walked one component at a time from a descriptor of the workspace (`openat`, `O_NOFOLLOW`), so a component
that is swapped between check and use is an error, not a way out. `..` goes back along the folders that were walked,
never up in the file system. A symbolic link is resolved by hand: it is followed if it points inside, and refused if
not. The workspace is opened anew for each path, because the host may mount it after the server has started.
"""

from __future__ import annotations

import errno
import os
import stat

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

__all__ = ["MAX_DEPTH", "OsErrors", "Place", "Workspace", "kind_of", "open_regular"]

MAX_DEPTH = 64
_MAX_PATH_BYTES = 4096
_MAX_LINKS = 16
_PUBLIC_ROOT = "/workspace"
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_REASONS = {
    errno.ENOENT: "does not exist; list the folder to see what does",
    errno.ENOTDIR: "is not a folder, or goes through something that is not",
    errno.EISDIR: "is a folder, not a file",
    errno.EEXIST: "exists already",
    errno.ENOTEMPTY: "is a folder that is not empty",
    errno.ELOOP: "is a symbolic link, or became one while it was used; name what it points to",
    errno.ENOSPC: "cannot be written: the workspace is full; delete something first",
    errno.EDQUOT: "cannot be written: the workspace is full; delete something first",
    errno.EROFS: "cannot be changed: the workspace is read-only for this server",
    errno.ENAMETOOLONG: "has a name that is too long; 255 bytes at most for each part",
    errno.ENXIO: "is not a file that can be opened",
    errno.EACCES: "may not be used with the permissions it has",
    errno.EPERM: "may not be changed",
    errno.EBUSY: "is in use and cannot be moved or deleted",
}
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}


def kind_of(mode: int) -> str:
    """`file`, `folder`, `link`, `fifo`, `socket` or `device`."""
    return _KINDS.get(stat.S_IFMT(mode), "device")


class OsErrors:
    """Turns an OSError within the block into a ToolError about the path."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError):
            reason = _REASONS.get(error.errno or 0, f"cannot be used: {error.strerror}")
            raise ToolError(f"{self._path or '.'} {reason}.") from None


class Place:
    """A name in an open folder: where a path led. Close it when done.

    Attributes:
        folder: descriptor of the folder.
        name: the last component; `.` where the path is a folder that has no name of its own, such as the workspace.
        path: the path below the workspace with links resolved, for people.
    """

    def __init__(self, folders: list[int], name: str, parts: list[str], made: int = 0) -> None:
        """`made`: how many of the last folders were made on the way here."""
        self._folders = folders
        self._made = list(zip(folders[-1 - made : -1], parts[len(folders) - 1 - made :], strict=False))
        self.folder = folders[-1]
        self.name = name
        self.path = "/".join(parts) or "."

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for folder in self._folders:
            os.close(folder)

    def stat(self) -> os.stat_result | None:
        """Of the thing itself, links not followed; `None` if there is none."""
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def remove_made_folders(self) -> None:
        """Take the folders away again that were made on the way, those that are empty."""
        _remove_folders(self._made)

    def open_folder(self) -> int:
        """A descriptor of the folder that this is, to list it.

        Raises:
            OSError: it is none.
        """
        return os.open(self.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self.folder)


def open_regular(folder: int, name: str) -> int:
    """A descriptor to read a regular file; never waits, as opening a FIFO would.

    Raises:
        OSError: it cannot be opened, or is a link.
        ToolError: it is something else than a file.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=folder)
    mode = os.fstat(fd).st_mode
    if not stat.S_ISREG(mode):
        os.close(fd)
        raise ToolError(f"{name} is a {kind_of(mode)}, not a file.")
    return fd


class Workspace:
    """The folder that the tools work in."""

    def __init__(self, root: str = _PUBLIC_ROOT) -> None:
        self._root = root.rstrip("/") or "/"

    def open(self) -> int:
        """A descriptor of the workspace itself.

        Raises:
            ToolError: there is none.
        """
        try:
            return os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ToolError(f"This sandbox has no workspace ({error.strerror}).") from None

    def locate(self, path: str, *, follow: bool = True, make_folders: bool = False) -> Place:
        """Where a path leads. The last component need not exist.

        With `follow` a link at the end is resolved too; without it, the place is the link itself. With
        `make_folders` missing folders on the way are made.

        Raises:
            ToolError: the path is malformed, leads out of the workspace, or through something that is no folder.
        """
        walk = _Walk(self, self._split(path), make_folders=make_folders)
        try:
            with OsErrors(path):
                name = walk.run(follow=follow)
        except ToolError:
            walk.close()
            raise
        return Place(walk.folders, name, [*walk.names, name] if name != "." else walk.names, walk.made)

    def _split(self, path: str) -> list[str]:
        if "\0" in path:
            raise ToolError("A path cannot have a NUL character in it.")
        if path == "~" or path.startswith("~/"):
            raise ToolError("~ has no meaning here: paths are relative to the workspace.")
        if len(os.fsencode(path)) > _MAX_PATH_BYTES:
            raise ToolError(f"The path has more than {_MAX_PATH_BYTES} bytes.")
        parts = self._below_root(path) if path.startswith("/") else path.split("/")
        if parts is None:
            raise ToolError(f"{path[:200]} is outside the workspace: use a path relative to it.")
        return _real_parts(parts)

    def split_link(self, target: str) -> tuple[list[str], bool] | None:
        """(components, whether they begin at the workspace) of a link's target; `None` if it points outside."""
        if not target.startswith("/"):
            return _real_parts(target.split("/")), False
        parts = self._below_root(target)
        return None if parts is None else (_real_parts(parts), True)

    def _below_root(self, path: str) -> list[str] | None:
        for root in (self._root, _PUBLIC_ROOT):
            if path == root or path.startswith(f"{root}/"):
                return path[len(root) :].split("/")
        return None


def _real_parts(parts: list[str]) -> list[str]:
    return [part for part in parts if part not in {"", "."}]


def _remove_folders(made: list[tuple[int, str]]) -> None:
    for parent, name in reversed(made):
        try:
            os.rmdir(name, dir_fd=parent)
        except OSError:  # something else came into it
            return


class _Walk:
    """The folders walked so far: descriptors of the workspace and of each below it, and their names.

    `made` is how many of the last of them were made by it.
    """

    def __init__(self, workspace: Workspace, parts: list[str], *, make_folders: bool) -> None:
        self.folders = [workspace.open()]
        self.names: list[str] = []
        self.made = 0
        self._makes = False
        self._workspace = workspace
        self._pending = parts
        self._make_folders = make_folders
        self._links = 0

    def run(self, *, follow: bool) -> str:
        """Walk to the folder of the last component and return that component; `.` if the path names no other."""
        while self._pending:
            part = self._pending.pop(0)
            last = not self._pending
            if part == "..":
                self._go_back()
            elif (last and not follow) or self._is_final(part, last=last):
                return part
        return "."

    def close(self) -> None:
        """Give the descriptors back, and take away what was made: it led nowhere."""
        if self.made:
            _remove_folders(list(zip(self.folders[-1 - self.made : -1], self.names[-self.made :], strict=True)))
        for folder in self.folders:
            os.close(folder)

    def _is_final(self, part: str, *, last: bool) -> bool:
        """Whether the walk ends at this component; if not, it has been entered, or followed, or made."""
        try:
            folder = os.open(part, _FOLDER, dir_fd=self.folders[-1])
        except FileNotFoundError:
            if last or not self._make_folders:
                if not last:
                    raise
                return True
            self._check_depth()
            os.mkdir(part, dir_fd=self.folders[-1])
            self._makes = True
            self._pending.insert(0, part)
            return False
        except (NotADirectoryError, PermissionError):
            return not self._follow(part, last=last)
        if last:
            os.close(folder)
            return True
        try:
            self._check_depth()
        except ToolError:
            os.close(folder)
            raise
        self.folders.append(folder)
        self.names.append(part)
        self.made = self.made + 1 if self._makes else 0
        self._makes = False
        return False

    def _check_depth(self) -> None:
        if len(self.names) >= MAX_DEPTH:
            raise ToolError(f"The path is deeper than {MAX_DEPTH} folders.")

    def _go_back(self) -> None:
        if not self.names:
            raise ToolError("The path leads out of the workspace: it has too many '..'.")
        os.close(self.folders.pop())
        self.names.pop()
        self.made = max(self.made - 1, 0)

    def _follow(self, part: str, *, last: bool) -> bool:
        """Resolve a link; false if the component is something else, and the last one."""
        try:
            target = os.readlink(part, dir_fd=self.folders[-1])
        except OSError as error:
            if error.errno != errno.EINVAL:  # EINVAL: not a link
                raise
            if not last:
                raise NotADirectoryError(errno.ENOTDIR, "not a folder") from None
            return False
        self._links += 1
        if self._links > _MAX_LINKS:
            raise ToolError(f"The path goes through more than {_MAX_LINKS} symbolic links.")
        split = self._workspace.split_link(target)
        if split is None:
            raise ToolError(f"The symbolic link {part} points out of the workspace, so it is not followed.")
        parts, from_root = split
        while from_root and self.names:
            self._go_back()
        self._pending[:0] = parts
        return True
