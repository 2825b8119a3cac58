"""Plain tar, the only form in which files travel: POSIX pax, regular files and folders, nothing else.

The reader is our own and strict, for tars that a stranger made: each header's checksum, name, type and size is checked
before one byte of the content is passed on. It knows no sparse files, no links, no GNU long names and no global
headers; whatever it does not know is an error. Format: IEEE Std 1003.1, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from muxi_sandbox.workspaces.contract import ArchiveError, Bounds, WorkspaceError
from muxi_sandbox.workspaces.names import parts_of

__all__ = ["BLOCK", "Member", "Reader", "end", "header"]

BLOCK = 512
EXTENSION_BYTES = 16 * 1024
PIECE = 64 * 1024
KINDS = {b"0": "file", b"\0": "file", b"5": "folder"}
CARRIED = frozenset({b"path", b"size", b"mtime"})
HARMLESS = frozenset({b"atime", b"ctime", b"comment", b"uid", b"gid", b"uname", b"gname"})


@dataclass(frozen=True, slots=True)
class Member:
    """One file or folder of a tar; `parts` is empty for the root itself."""

    parts: tuple[str, ...]
    is_folder: bool
    bytes: int
    mtime: int
    executable: bool


def header(path: str, *, is_folder: bool, size: int = 0, mtime: int = 0, executable: bool = False) -> bytes:
    """The header of one member: owner root, mode 0644 or 0755, the time kept in seconds."""
    info = tarfile.TarInfo(path)
    info.type = tarfile.DIRTYPE if is_folder else tarfile.REGTYPE
    info.size = 0 if is_folder else size
    info.mtime = max(0, mtime)
    info.mode = 0o755 if is_folder or executable else 0o644
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def end() -> bytes:
    """What closes a tar."""
    return bytes(2 * BLOCK)


class Reader:
    """Goes through a tar once. After each member its content has to be taken with `content` before the next."""

    def __init__(self, source: BinaryIO, bounds: Bounds) -> None:
        """`source` is read, never sought in."""
        self._source = source
        self._bounds = bounds
        self._left = 0
        self._padding = 0

    def members(self) -> Iterator[Member]:
        """Each file and folder, in the tar's order.

        Raises:
            ArchiveError: it holds anything else, a name twice, more than the bounds allow, or ends too early.
        """
        seen: set[tuple[str, ...]] = set()
        total = 0
        while (block := self._take(BLOCK)) != bytes(BLOCK):
            member = self._member(block)
            total += member.bytes
            if member.parts in seen:
                raise ArchiveError(f"The tar holds {'/'.join(member.parts)!a} twice.")
            seen.add(member.parts)
            if len(seen) > self._bounds.entries or total > self._bounds.bytes:
                raise ArchiveError(
                    f"The tar holds more than {self._bounds.entries} entries or {self._bounds.bytes} bytes."
                )
            yield member
            for _piece in self.content():
                pass
        if self._take(BLOCK) != bytes(BLOCK):
            raise ArchiveError("The tar goes on after its end.")

    def content(self) -> Iterator[bytes]:
        """What is left of the newest member's content, in pieces."""
        while self._left:
            piece = self._take(min(PIECE, self._left))
            self._left -= len(piece)
            yield piece
        if self._padding:
            self._take(self._padding)
            self._padding = 0

    def _take(self, count: int) -> bytes:
        pieces: list[bytes] = []
        while count:
            piece = self._source.read(count)
            if not piece:
                raise ArchiveError("The tar ends too early: it was cut off.")
            pieces.append(piece)
            count -= len(piece)
        return b"".join(pieces)

    def _member(self, block: bytes) -> Member:
        _check(block)
        records: dict[bytes, bytes] = {}
        if block[156:157] == b"x":
            size = _number(block[124:136])
            if size > EXTENSION_BYTES:
                raise ArchiveError(f"The tar has an extended header of {size} bytes.")
            records = _records(self._take(size))
            self._take(-size % BLOCK)
            block = self._take(BLOCK)
            _check(block)
        kind = KINDS.get(block[156:157])
        if kind is None:
            raise ArchiveError(f"The tar holds an entry of type {block[156:157]!r}: only files and folders may be.")
        size = _decimal(records[b"size"]) if b"size" in records else _number(block[124:136])
        if kind == "folder" and size:
            raise ArchiveError("The tar holds a folder with content.")
        if size > self._bounds.bytes:
            raise ArchiveError(f"The tar holds a file of {size} bytes; {self._bounds.bytes} in all are allowed.")
        self._left, self._padding = size, -size % BLOCK
        is_folder = kind == "folder"
        parts = self._parts(records.get(b"path") or _field_name(block), is_folder=is_folder)
        mtime = _number(block[136:148])
        return Member(parts, is_folder, size, mtime, bool(_number(block[100:108]) & 0o100))

    def _parts(self, name: bytes, *, is_folder: bool) -> tuple[str, ...]:
        try:
            text = name.decode("utf-8")
            parts = parts_of(text.removeprefix("./"), self._bounds.depth)
        except (UnicodeDecodeError, WorkspaceError) as error:
            raise ArchiveError(f"The tar holds the name {name[:200]!r}, which cannot be used: {error}") from error
        if not is_folder and (not parts or text.endswith("/")):
            raise ArchiveError(f"The tar holds a file with the name of a folder: {name[:200]!r}.")
        return parts


def _check(block: bytes) -> None:
    if block[257:265] != b"ustar\x0000":
        raise ArchiveError("This is no plain POSIX tar; compressed ones are not taken.")
    total = sum(block[:148]) + 8 * ord(" ") + sum(block[156:])
    if _number(block[148:156]) != total:
        raise ArchiveError("A header of the tar is damaged.")


def _number(text: bytes) -> int:
    digits = text.strip(b" \0")
    if len(digits) > len(text) or not all(48 <= digit <= 55 for digit in digits):  # noqa: PLR2004  # "0" to "7"
        raise ArchiveError("A header of the tar holds a number that is not octal.")
    return int(digits or b"0", 8)


def _decimal(text: bytes) -> int:
    if not 0 < len(text) <= 18 or not all(48 <= digit <= 57 for digit in text):  # noqa: PLR2004  # "0" to "9"
        raise ArchiveError("An extended header of the tar holds a size that is no number.")
    return int(text)


def _field_name(block: bytes) -> bytes:
    name, prefix = block[:100].split(b"\0")[0], block[345:500].split(b"\0")[0]
    return prefix + b"/" + name if prefix else name


def _records(data: bytes) -> dict[bytes, bytes]:
    records: dict[bytes, bytes] = {}
    while data:
        length, space, _ = data[:20].partition(b" ")
        count = _decimal(length) if space else 0
        record, data = data[len(length) + 1 : count], data[count:]
        key, equals, value = record.removesuffix(b"\n").partition(b"=")
        if count <= len(length) + 1 or not record.endswith(b"\n") or not equals or key in records:
            raise ArchiveError("An extended header of the tar is damaged.")
        if key not in CARRIED | HARMLESS:
            raise ArchiveError(f"The tar uses {key[:40]!r}, which is not taken (sparse files, links, attributes).")
        records[key] = value
    return records
