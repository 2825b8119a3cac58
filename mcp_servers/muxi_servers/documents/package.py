"""ZIP files that hold a document (OOXML, OpenDocument, EPUB), opened only after a look at what they say of themselves.

`zipfile` never gives more bytes of an entry than its directory declares, and refuses entries that overlap, so the
declared sizes are the bound: what is checked here is what can be read. A ZIP file inside is never opened.
"""

from __future__ import annotations

import posixpath
import zipfile
import zlib
from urllib.parse import unquote

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

__all__ = ["Package"]

_MAX_ENTRIES = 20_000
_MAX_TOTAL_MIB = 512
_MAX_ENTRY_MIB = 128
_SUSPICIOUS_BYTES = 16 * 2**20
_MAX_RATIO = 200  # XML of documents comes to some 10 to 50; DEFLATE cannot do more than 1032
_MIB = 2**20
_ENCRYPTED = 1


class Package:
    """The entries by name."""

    def __init__(self, file: BinaryIO) -> None:
        """Open and check.

        Raises:
            ToolError: it is no ZIP file, or one that would be too large unpacked.
        """
        try:
            self._zip = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, zlib.error, ValueError, OSError, NotImplementedError) as error:
            raise ToolError(f"The file is damaged or cut off: as a ZIP file it cannot be opened ({error}).") from None
        self._check()

    def __contains__(self, name: str) -> bool:
        return name in self._zip.NameToInfo

    @property
    def names(self) -> list[str]:
        """All entries."""
        return self._zip.namelist()

    def read(self, name: str) -> bytes:
        """One entry whole.

        Raises:
            ToolError: there is none of that name, or it is damaged.
        """
        try:
            return self._zip.read(name)
        except KeyError:
            raise ToolError(f"The document is damaged: it has no {name[:200]}.") from None
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise ToolError(f"The document is damaged: {name[:200]} cannot be unpacked ({error}).") from None

    def resolve(self, base: str, target: str) -> str:
        """The entry that a reference in the entry `base` means; it need not exist."""
        path = unquote(target.partition("#")[0])
        joined = path if path.startswith("/") else posixpath.join(posixpath.dirname(base), path)
        return posixpath.normpath(joined).lstrip("/")

    def _check(self) -> None:
        entries = self._zip.infolist()
        if len(entries) > _MAX_ENTRIES:
            raise ToolError(f"The document has {len(entries)} parts inside; {_MAX_ENTRIES} at most are opened.")
        total = sum(entry.file_size for entry in entries)
        if total > _MAX_TOTAL_MIB * _MIB:
            raise ToolError(
                f"The document is {total // _MIB} MiB unpacked; {_MAX_TOTAL_MIB} MiB at most are opened. "
                "It may be a ZIP bomb."
            )
        for entry in entries:
            _check_entry(entry)


def _check_entry(entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & _ENCRYPTED:
        raise ToolError("The document is encrypted inside its ZIP file. Save it without a password first.")
    if entry.file_size > _MAX_ENTRY_MIB * _MIB:
        size = entry.file_size // _MIB
        raise ToolError(f"{entry.filename[:200]} in the document is {size} MiB; {_MAX_ENTRY_MIB} MiB at most.")
    if entry.file_size > _SUSPICIOUS_BYTES and entry.file_size > _MAX_RATIO * max(entry.compress_size, 1):
        raise ToolError(
            f"{entry.filename[:200]} in the document unpacks to more than {_MAX_RATIO} times its size: "
            "it looks like a ZIP bomb and is not opened."
        )
