"""Word's styles and numbering: which paragraphs are headings, and which items of which list."""

from __future__ import annotations

from muxi_servers.documents.formats.office import attribute
from muxi_servers.documents.xml import local_name, parse_entry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lxml.etree import _Element

    from muxi_servers.documents.package import Package

__all__ = ["Numbering", "Style", "Styles"]

_LISTS = frozenset(("list bullet", "list number"))
_MAX_PARENTS = 20
_BULLETS = frozenset(("bullet", "none", ""))


class Style:
    """Of a paragraph: its level as a heading (0: none), its list and how deep it is in it (empty: none)."""

    __slots__ = ("heading", "list_level", "number_id", "parent")

    def __init__(self) -> None:
        self.heading = 0
        self.number_id = ""
        self.list_level = ""
        self.parent = ""


class Styles:
    """By id, with what they inherit."""

    def __init__(self, package: Package) -> None:
        self._styles: dict[str, Style] = {}
        if "word/styles.xml" in package:
            for element in parse_entry(package, "word/styles.xml"):
                if local_name(element) == "style":
                    self._styles[attribute(element, "styleId")] = _style(element)

    def get(self, name: str) -> Style:
        """The style; an empty one if there is none of that name."""
        found = Style()
        for _ in range(_MAX_PARENTS):
            style = self._styles.get(name)
            if style is None:
                break
            found.heading = found.heading or style.heading
            found.number_id = found.number_id or style.number_id
            found.list_level = found.list_level or style.list_level
            name = style.parent
        return found


def _style(element: _Element) -> Style:
    style = Style()
    for part in element.iter():
        name, value = local_name(part), attribute(part, "val")
        if name == "name":
            style.heading = style.heading or _level_of(value)
            style.list_level = style.list_level or _depth_of(value)
        elif name == "outlineLvl" and value.isdigit():
            style.heading = int(value) + 1 if int(value) < 6 else 0  # noqa: PLR2004 - Markdown has six levels
        elif name == "basedOn":
            style.parent = value
        elif name == "numId":
            style.number_id = value
        elif name == "ilvl":
            style.list_level = value
    return style


def _level_of(name: str) -> int:
    words = name.lower().split()
    if words == ["title"]:
        return 1
    if len(words) == 2 and words[0] == "heading" and words[1].isdigit():  # noqa: PLR2004 - `heading 1`
        return min(int(words[1][:2]), 6)
    return 0


def _depth_of(name: str) -> str:
    """Of Word's own styles for lists in lists, such as `List Bullet 2`."""
    kind, _, depth = name.lower().rpartition(" ")
    return str(int(depth) - 1) if kind in _LISTS and depth in {"2", "3", "4", "5"} else ""


class Numbering:
    """Counts the items of each list."""

    def __init__(self, package: Package) -> None:
        self._formats: dict[tuple[str, int], str] = {}
        self._lists: dict[str, str] = {}
        self._counts: dict[tuple[str, int], int] = {}
        if "word/numbering.xml" in package:
            for element in parse_entry(package, "word/numbering.xml"):
                self._take(element)

    def count(self, number_id: str, depth: int) -> int:
        """The number of the next item at that depth of the list; 0 where its items have bullets."""
        kind = self._lists.get(number_id, "")
        for key in [key for key in self._counts if key[0] == number_id and key[1] > depth]:
            del self._counts[key]
        form = self._formats.get((kind, depth), self._formats.get((kind, 0), ""))
        if form in _BULLETS:
            return 0
        self._counts[number_id, depth] = self._counts.get((number_id, depth), 0) + 1
        return self._counts[number_id, depth]

    def _take(self, element: _Element) -> None:
        if local_name(element) == "num":
            kind = next((child for child in element if local_name(child) == "abstractNumId"), None)
            self._lists[attribute(element, "numId")] = attribute(kind, "val")
            return
        kind_id = attribute(element, "abstractNumId")
        for level in element:
            depth = attribute(level, "ilvl")
            if local_name(level) == "lvl" and depth.isdigit():
                form = next((child for child in level if local_name(child) == "numFmt"), None)
                self._formats[kind_id, int(depth)] = attribute(form, "val")
