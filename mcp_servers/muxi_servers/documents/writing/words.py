"""The words of one paragraph as runs: pieces with the same marks."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it.tree import SyntaxTreeNode

__all__ = ["Run", "picture_of", "runs"]

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
    if node.type in {"text", "code_inline", "html_inline"}:
        used = marks | {node.type} if node.type == "code_inline" else marks
        for index, piece in enumerate(node.content.split("<br>")):
            if index:
                yield Run("\n", used, link)
            if piece:
                yield Run(piece, used, link)
    elif node.type == "softbreak":
        yield Run(" ", marks, link)
    elif node.type == "hardbreak":
        yield Run("\n", marks, link)
    elif node.type == "image":
        yield Run(f"[{node.content}]" if node.content else "", marks, link)
    elif node.type == "link":
        target = str(node.attrs.get("href", ""))
        for child in node.children:
            yield from runs(child, marks, target if target.lower().startswith(_LINKS) else "")
    else:
        for child in node.children:
            yield from runs(child, marks | {node.type}, link)


def picture_of(paragraph: SyntaxTreeNode) -> SyntaxTreeNode | None:
    """The picture that a paragraph consists of; `None` if it has anything else."""
    inside = [child for inline in paragraph.children for child in inline.children if child.type != "softbreak"]
    return inside[0] if len(inside) == 1 and inside[0].type == "image" else None
