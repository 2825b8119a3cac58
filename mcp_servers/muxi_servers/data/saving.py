"""A new file in the workspace: written beside its place, then put there by one rename, or taken away again."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.frames import write_all
from muxi_servers.kit.workspace import OsErrors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from muxi_servers.kit.workspace import Workspace

__all__ = ["NewFile"]

_CHUNK = 2**20
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class NewFile:
    """A context: `keep` before its end puts the file in place.

    Attributes:
        path: where it will be.
        temporary: where it is written, from the workspace.
    """

    def __init__(self, workspace: Workspace, path: str, *, overwrite: bool, beside: tuple[str, ...] = ()) -> None:
        """`beside`: endings of files that programs make beside the temporary one, which are taken away with it.

        Raises:
            ToolError: the path cannot be used, or there is a file that may not be replaced.
        """
        self._place = workspace.locate(path, make_folders=True)
        self._overwrite = overwrite
        self.path = self._place.path
        try:
            existing = self.check()
        except ToolError:
            self._leave()
            raise
        self._mode = stat.S_IMODE(existing.st_mode) & 0o777 if existing else None
        self._beside = beside
        self._name = f".muxi-{os.urandom(8).hex()}"
        self._kept = False
        self.temporary = f"{self.path.rpartition('/')[0] or '.'}/{self._name}"

    def __enter__(self) -> Self:
        mode = 0o644 if self._mode is None else self._mode | 0o600
        try:
            with OsErrors(self.path):
                fd = os.open(self._name, _NEW, mode, dir_fd=self._place.folder)
        except ToolError:
            self._leave()
            raise
        os.close(fd)
        return self

    def __exit__(self, *_: object) -> None:
        names = [*([] if self._kept else [self._name]), *(self._name + ending for ending in self._beside)]
        try:
            for name in names:
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=self._place.folder)
        finally:
            self._leave()

    def check(self) -> os.stat_result | None:
        """What is in its place: nothing, or a file that it may replace.

        Raises:
            ToolError: something else.
        """
        existing = self._place.stat()
        if existing is not None and not (self._overwrite and stat.S_ISREG(existing.st_mode)):
            raise ToolError(f"{self.path} exists already: set overwrite to replace a file, or take another name.")
        return existing

    def write(self, data: bytes) -> None:
        """All that it holds."""
        with OsErrors(self.path):
            fd = os.open(self._name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._place.folder)
            try:
                write_all(fd, data)
            finally:
                os.close(fd)

    def fill(self, source: int) -> None:
        """All that is read from a descriptor."""
        with OsErrors(self.path):
            fd = os.open(self._name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._place.folder)
            try:
                while part := os.read(source, _CHUNK):
                    write_all(fd, part)
            finally:
                os.close(fd)

    def keep(self) -> int:
        """Put it in place; its size in bytes.

        Raises:
            ToolError: something came there meanwhile.
        """
        folder = self._place.folder
        with OsErrors(self.path):
            self._set_mode()
            if self._overwrite:
                os.rename(self._name, self._place.name, src_dir_fd=folder, dst_dir_fd=folder)
                self._kept = True
            else:
                os.link(self._name, self._place.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            return os.stat(self._place.name, dir_fd=folder, follow_symlinks=False).st_size

    def _set_mode(self) -> None:
        """That of the file that it replaces."""
        if self._mode is None:
            return
        fd = os.open(self._name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._place.folder)
        try:
            os.fchmod(fd, self._mode)
        finally:
            os.close(fd)

    def _leave(self) -> None:
        self._place.remove_made_folders()
        self._place.__exit__()
