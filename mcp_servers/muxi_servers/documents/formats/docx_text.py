"""The text of one paragraph of Word, with its marks and links."""

from __future__ import annotations

from muxi_servers.documents.formats.office import attribute
from muxi_servers.documents.markdown import emphasise, link, plain
from muxi_servers.documents.xml import local_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lxml.etree import _Element

__all__ = ["Inline"]

_GROUPS = frozenset(("ins", "moveTo", "smartTag", "fldSimple", "sdt", "sdtContent", "customXml", "oMath", "oMathPara"))
_SIGNS = {"tab": "\t", "cr": "\n", "noBreakHyphen": "\u2011", "softHyphen": ""}
_OFF = frozenset(("0", "false", "off", "none"))


class Inline:
    """`relations` are those of the document: where its links lead."""

    def __init__(self, relations: dict[str, tuple[str, str]]) -> None:
        self._relations = relations

    def text(self, paragraph: _Element, *, marked: bool = True) -> str:
        """Markdown on as many lines as the paragraph has breaks; without marks for bold and slanted if not `marked`."""
        pieces: list[tuple[str, bool, bool]] = []
        for text, bold, italic in self._pieces(paragraph):
            marks = (bold and marked, italic and marked)
            if pieces and pieces[-1][1:] == marks:
                pieces[-1] = (pieces[-1][0] + text, *marks)
            else:
                pieces.append((text, *marks))
        return plain("".join(emphasise(text, bold=bold, italic=italic) for text, bold, italic in pieces))

    def _pieces(self, parent: _Element) -> Iterator[tuple[str, bool, bool]]:
        for element in parent:
            name = local_name(element)
            if name == "r":
                bold, italic = _marks(element)
                yield "".join(_run(element)), bold, italic
            elif name == "hyperlink":
                inner = "".join(text for text, _, _ in self._pieces(element))
                kind, target = self._relations.get(attribute(element, "id"), ("", ""))
                yield (link(inner, target) if kind == "hyperlink" else inner), False, False
            elif name in _GROUPS:
                yield from self._pieces(element)
            elif name in {"t", "e", "num", "den", "sub", "sup", "f", "rad"}:  # of formulas: their letters
                yield "".join(part.text or "" for part in element.iter() if local_name(part) == "t"), False, False


def _marks(run: _Element) -> tuple[bool, bool]:
    properties = next((child for child in run if local_name(child) == "rPr"), None)
    if properties is None:
        return False, False
    on = {local_name(child) for child in properties if attribute(child, "val") not in _OFF}
    return "b" in on, "i" in on


def _run(run: _Element) -> Iterator[str]:
    for element in run:
        name = local_name(element)
        if name == "t":
            yield element.text or ""
        elif name == "br":
            yield "" if attribute(element, "type") in {"page", "column"} else "\n"
        elif name in {"footnoteReference", "endnoteReference"}:
            yield f"[^{name[0]}{attribute(element, 'id')}]"
        elif name in {"drawing", "pict"}:
            yield _picture(element)
        elif name in _SIGNS:
            yield _SIGNS[name]


def _picture(drawing: _Element) -> str:
    told = next((part for part in drawing.iter() if local_name(part) == "docPr"), None)
    words = " ".join((attribute(told, "descr") or attribute(told, "title")).split())
    return f"[picture: {words}]" if words else ""
