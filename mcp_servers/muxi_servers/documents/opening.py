"""Opens a document of the workspace, whatever it is."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import contextmanager
from importlib import import_module

from muxi_servers.documents.bounds import MAX_FILE_MIB
from muxi_servers.documents.detect import MIME_TYPES, detect
from muxi_servers.documents.model import Window
from muxi_servers.documents.package import Package
from muxi_servers.kit.errors import ToolError
from muxi_servers.kit.workspace import OsErrors, open_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from muxi_servers.documents.model import Document
    from muxi_servers.kit.workspace import Workspace

__all__ = ["Opened", "guarded", "open_document", "open_file"]

_MIB = 2**20
_OPENDOCUMENT = ("opendocument", "open_opendocument", ("package", "form", "mime_type", "window"))
_DELIMITED = ("delimited", "open_delimited", ("file", "form", "mime_type", "window"))
_PLAIN = ("plain", "open_plain", ("file", "form", "mime_type"))
_OPENERS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "pdf": ("pdf", "open_pdf", ("file", "mime_type", "password")),
    "docx": ("docx", "open_docx", ("package", "mime_type")),
    "xlsx": ("xlsx", "open_xlsx", ("file", "package", "mime_type", "window")),
    "pptx": ("pptx", "open_pptx", ("package", "mime_type")),
    **dict.fromkeys(("odt", "ods", "odp"), _OPENDOCUMENT),
    "epub": ("epub", "open_epub", ("package", "mime_type")),
    "html": ("html", "open_html", ("file", "mime_type")),
    "svg": ("html", "open_svg", ("file", "mime_type")),
    **dict.fromkeys(("csv", "tsv"), _DELIMITED),
    "image": ("scan", "open_scan", ("file",)),
    **dict.fromkeys(("markdown", "text"), _PLAIN),
}
"""Module, function and arguments for each format; only the one that is needed is imported."""


class Opened:
    """A document, its file, its path below the workspace and its size in bytes."""

    __slots__ = ("document", "file", "path", "size")

    def __init__(self, document: Document, file: BinaryIO, path: str, size: int) -> None:
        self.document = document
        self.file = file
        self.path = path
        self.size = size


@contextmanager
def guarded() -> Iterator[None]:
    """Turns whatever a library makes of a broken document into a ToolError; this process does nothing else."""
    try:
        yield
    except (ToolError, MemoryError):
        raise
    except RecursionError:
        raise ToolError("The document is nested too deeply to be read.") from None
    except Exception as error:  # noqa: BLE001 - libraries raise anything at all over broken documents
        traceback.print_exc(file=sys.stderr)
        words = " ".join(str(error).split())[:200]
        raise ToolError(f"The document cannot be read; it may be damaged ({type(error).__name__}: {words}).") from None


@contextmanager
def open_file(workspace: Workspace, path: str) -> Iterator[tuple[BinaryIO, str, int]]:
    """(file, path below the workspace, size in bytes) of a file that is small enough.

    Raises:
        ToolError: there is none, or it is too large.
    """
    with workspace.locate(path) as place:
        with OsErrors(path):
            fd = open_regular(place.folder, place.name)
        found = place.path
    with open(fd, "rb") as file:
        size = os.fstat(fd).st_size
        if size > MAX_FILE_MIB * _MIB:
            raise ToolError(f"{found} is {size // _MIB} MiB; documents of {MAX_FILE_MIB} MiB at most are opened.")
        yield file, found, size


@contextmanager
def open_document(workspace: Workspace, path: str, password: str, window: Window | None = None) -> Iterator[Opened]:
    """The document; what goes wrong while it is open is the document's fault.

    Raises:
        ToolError: it cannot be read.
    """
    with open_file(workspace, path) as (file, found, size), guarded():
        form = detect(file, found)
        file.seek(0)
        yield Opened(_open(file, form, password, window or Window()), file, found, size)


def _open(file: BinaryIO, form: str, password: str, window: Window) -> Document:
    module, function, wants = _OPENERS[form]
    opener: Callable[..., Document] = getattr(import_module(f"muxi_servers.documents.formats.{module}"), function)
    given: dict[str, Callable[[], object]] = {
        "file": lambda: file,
        "package": lambda: Package(file),
        "form": lambda: form,
        "mime_type": lambda: MIME_TYPES[form],
        "password": lambda: password,
        "window": lambda: window,
    }
    return opener(*(given[name]() for name in wants))
