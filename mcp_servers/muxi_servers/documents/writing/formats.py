"""Which writer is for which ending."""

from __future__ import annotations

from importlib import import_module

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.documents.writing.draft import Draft

__all__ = ["format_of", "render"]

_WRITERS = {
    "docx": ("docx", "write_docx"),
    "pdf": ("pdf", "write_pdf"),
    "xlsx": ("xlsx", "write_xlsx"),
    "html": ("html", "write_html"),
    "htm": ("html", "write_html"),
    "md": ("text", "write_markdown"),
    "markdown": ("text", "write_markdown"),
    "csv": ("text", "write_csv"),
    "tsv": ("text", "write_tsv"),
}


def format_of(path: str) -> str:
    """The ending of a path, which says what is written.

    Raises:
        ToolError: it is none that can be written.
    """
    ending = path.rpartition("/")[2].lower().rpartition(".")[2]
    if ending not in _WRITERS:
        raise ToolError(
            f"{path[:200]} does not end in what can be written: {', '.join(f'.{key}' for key in _WRITERS)}."
        )
    return ending


def render(form: str, draft: Draft) -> bytes:
    """The bytes of the document; the draft has what could not be written in its notes."""
    module, function = _WRITERS[form]
    data: bytes = getattr(import_module(f"muxi_servers.documents.writing.{module}"), function)(draft)
    return data
