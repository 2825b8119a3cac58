"""A local folder on its way into a workshop: its regular files, without what is made anew there anyway."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from muxi_runtime.errors import RefusedError
from muxi_sandbox.workspaces.tar import BLOCK, end, header

__all__ = ["packed_source"]

LEFT_OUT = frozenset(
    {
        ".git",
        ".hg",
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        ".tox",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
    }
)
LARGEST_MIB = 512
PIECE = 2**20


def packed_source(folder: Path, into: BinaryIO) -> None:
    """Write it as a plain tar. Links are not followed. Blocks.

    Raises:
        RefusedError: it cannot be read, or is too large.
    """
    total = 0
    try:
        for path in _files(folder):
            size = path.stat().st_size
            total += size
            if total > LARGEST_MIB * 2**20:
                raise RefusedError(f"{folder} holds more than {LARGEST_MIB} MiB.", remedy="Name a smaller folder.")
            _write(path, path.relative_to(folder).as_posix(), size, into)
    except OSError as error:
        raise RefusedError(f"{error.filename or folder} cannot be read: {error.strerror}.") from error
    into.write(end())


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for where, folders, names in os.walk(folder, onerror=_raise):
        folders[:] = sorted(name for name in folders if name not in LEFT_OUT and not (Path(where) / name).is_symlink())
        found += (Path(where) / name for name in sorted(names))
    return [path for path in found if stat.S_ISREG(path.lstat().st_mode)]


def _raise(error: OSError) -> None:
    raise error


def _write(path: Path, name: str, size: int, into: BinaryIO) -> None:
    with path.open("rb") as file:
        executable = bool(os.fstat(file.fileno()).st_mode & stat.S_IXUSR)
        into.write(header(name, is_folder=False, size=size, executable=executable))
        left = size
        while left and (piece := file.read(min(PIECE, left))):
            into.write(piece)
            left -= len(piece)
    into.write(bytes(left + -size % BLOCK))  # a file that became shorter meanwhile is filled up
