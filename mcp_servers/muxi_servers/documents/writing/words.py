"""The words of one paragraph as runs: pieces with the same marks."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.tree import SyntaxTreeNode

__all__ = ["Run", "picture_of", "runs"]

_SIGNS = {"softbreak": " ", "hardbreak": "\n"}
_LINKS = ("http://", "https://", "mailto:")


class Run:
    """Text with its marks; `link` is empty where there is none. A break is the text of a line feed."""

    __slots__ = ("bold", "code", "italic", "link", "struck", "text")

    def __init__(self, text: str, marks: frozenset[str], link: str = "") -> None:
        self.text = text
        self.bold = "strong" in marks
        self.italic = "em" in marks
        self.struck = "s" in marks
        self.code = "code_inline" in marks
        self.link = link


def runs(node: SyntaxTreeNode, marks: frozenset[str] = frozenset(), link: str = "") -> Iterator[Run]:
    """The runs below a node of a Markdown tree; a picture becomes its words."""
    if node.type in {"text", "code_inline"}:
        yield from _pieces(node.content, marks | {node.type}, link)
    elif node.type in _SIGNS:
        yield Run(_SIGNS[node.type], marks, link)
    elif node.type == "image":
        yield Run(f"[{node.content}]" if node.content else "", marks, link)
    else:
        target = str(node.attrs.get("href", "")) if node.type == "link" else ""
        inner = target if target.lower().startswith(_LINKS) else link
        for child in node.children:
            yield from runs(child, marks | {node.type}, inner)


def _pieces(text: str, marks: frozenset[str], link: str) -> Iterator[Run]:
    """The lines of a cell are written with `<br>` between them."""
    for index, piece in enumerate(text.split("<br>")):
        if index:
            yield Run("\n", marks, link)
        if piece:
            yield Run(piece, marks, link)


def picture_of(paragraph: SyntaxTreeNode) -> SyntaxTreeNode | None:
    """The picture that a paragraph consists of; `None` if it has anything else."""
    inside = [child for inline in paragraph.children for child in inline.children if child.type != "softbreak"]
    return inside[0] if len(inside) == 1 and inside[0].type == "image" else None
