"""A client's file on disk: read whole, written whole or not at all, with what was there kept beside it."""

from __future__ import annotations

import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from muxi_runtime.setup.clients.errors import ClientFileError, NotEditableError

__all__ = ["BACKUP_SUFFIX", "ClientFile"]

MAX_BYTES = 32 * 2**20
NEW_FILE_MODE = 0o600
"""It may hold a key."""
BACKUP_SUFFIX = ".muxi-backup"


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A file as it was when it was read.

    Attributes:
        path: as the client knows it.
        real: the file behind it, where symbolic links lead.
        content: `None` if there is no such file.
    """

    path: Path
    real: Path
    content: bytes | None

    @classmethod
    def read(cls, path: Path) -> ClientFile:
        """Read it, through symbolic links.

        Raises:
            ClientFileError: it is there and cannot be read, or is no file.
        """
        real = Path(os.path.realpath(path))
        try:
            if not stat.S_ISREG(real.stat().st_mode):
                raise ClientFileError(f"{_named(path, real)} is no file.", remedy="Move it out of the way.")
            content = real.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            content = None
        except OSError as error:
            raise ClientFileError(
                f"{_named(path, real)} cannot be read: {error.strerror}.", remedy="Make it readable for you."
            ) from error
        if content is not None and len(content) > MAX_BYTES:
            raise ClientFileError(f"{path} is larger than {MAX_BYTES} bytes.", remedy="Is it the right file?")
        return cls(path, real, content)

    @property
    def text(self) -> str:
        """What it says; nothing, if there is no such file.

        Raises:
            NotEditableError: it is not UTF-8.
        """
        try:
            return (self.content or b"").decode()
        except UnicodeDecodeError as error:
            raise NotEditableError("it is not UTF-8") from error

    def write(self, text: str) -> Path | None:
        """Make it say this. What it said is kept beside it.

        Returns:
            where, or `None` if there was no file.

        Raises:
            ClientFileError: it cannot be written, or was changed since it was read.
        """
        backup = self.real.with_name(self.real.name + BACKUP_SUFFIX) if self.content is not None else None
        try:
            self.real.parent.mkdir(parents=True, exist_ok=True)
            if backup is not None and self.content is not None:
                _replace(backup, self.content, self.real)
            if ClientFile.read(self.path) != self:
                raise ClientFileError(f"{self.path} was changed just now.", remedy="Try again.")
            _replace(self.real, text.encode(), self.real)
        except OSError as error:
            raise ClientFileError(
                f"{_named(self.path, self.real)} cannot be written: {error.strerror}.",
                remedy="Make it and its folder writable for you.",
            ) from error
        return backup


def _replace(path: Path, content: bytes, model: Path) -> None:
    """Put a file there in one step, with the mode and the owner of the model, if that is there."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            _take_after(file.fileno(), model)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _take_after(descriptor: int, model: Path) -> None:
    try:
        there = model.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, NEW_FILE_MODE)
        return
    # Only root may give files away; for others the file becomes theirs, as with any editor.
    with suppress(PermissionError):
        os.fchown(descriptor, there.st_uid, there.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(there.st_mode))


def _named(path: Path, real: Path) -> str:
    return str(path) if real == path else f"{path} (which is {real})"
