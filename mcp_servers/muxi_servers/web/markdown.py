"""A tree of HTML elements to Markdown or to plain text.

It knows nothing of the library that made the tree: elements have `tag`, `text`, `tail`, `get` and children, as in
`xml.etree` and lxml.
"""

from __future__ import annotations

import re

from muxi_servers.web.tables import table_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # An element of `xml.etree` or of lxml: neither library has a type for both.
    Element = Any

__all__ = ["Writer", "squeeze"]

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_LISTS = ("ul", "ol", "menu")
_BLOCKS = frozenset(
    (
        *("p", "div", "section", "article", "main", "header", "footer", "aside", "nav", "figure", "figcaption", "form"),
        *("fieldset", "details", "summary", "address", "dl", "dt", "dd", "caption", "center", "body", "html", "li"),
        *("tr", "td", "th", "tbody", "thead", "tfoot"),
    )
)
_LEFT_OUT = frozenset(
    (
        *("script", "style", "noscript", "template", "head", "svg", "math"),
        *("iframe", "object", "embed", "canvas", "select", "button"),
    )
)
_SET_APART = frozenset(("pre", "table", "blockquote", "hr", *_LISTS, *_HEADINGS, *_BLOCKS))
_CODE = frozenset(("code", "kbd", "samp", "tt"))
_MARKS = {"strong": "**", "b": "**", "em": "*", "i": "*", "del": "~~", "s": "~~"}
_SPACES = re.compile(r"[ \t\r\n\f\v]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_SPECIAL = re.compile(r"([\\`*\[\]<]|(?<!\w)_|_(?!\w))")
_LIST = re.compile(r"- |\d+\. ")
_BACKTICKS = re.compile(r"`+")
_MAX_ALT = 200
_LANGUAGE = re.compile(r"(?:^|\s)(?:language|lang|highlight-source)-([A-Za-z0-9_+#.-]{1,20})")


def squeeze(text: str) -> str:
    """Runs of white space as one space, as a browser shows them."""
    return _SPACES.sub(" ", text)


class Writer:
    """Writes one tree.

    With `plain` there are no marks of Markdown but those of lists and tables, and no targets of links.
    """

    def __init__(self, absolute: Callable[[str], str], *, plain: bool = False) -> None:
        """`absolute` makes a link whole; it returns an empty text for one that leads nowhere."""
        self._absolute = absolute
        self._plain = plain
        self._writers: dict[str, Callable[[Element], list[str]]] = {
            **dict.fromkeys(_HEADINGS, self._heading),
            **dict.fromkeys(_LISTS, self._list),
            "pre": self._code_block,
            "blockquote": self._quote,
            "table": self._table,
            "hr": self._rule,
        }
        self._line_writers: dict[str, Callable[[Element], str]] = {
            **dict.fromkeys(_CODE, self._code),
            "br": lambda _: "\n",
            "img": self._image,
            "a": self._link,
        }

    def write(self, root: Element) -> str:
        """The whole tree, ending with a line feed."""
        lines = [line.rstrip() for line in "\n\n".join(self._blocks(root)).split("\n")]
        return _BLANK_LINES.sub("\n\n", "\n".join(lines)).strip("\n") + "\n"

    def _blocks(self, element: Element) -> list[str]:
        """The blocks of an element's content: what is in line gathers to paragraphs between those that are not."""
        found: list[str] = []
        line: list[str] = [self._escaped(element.text)]

        def end_line() -> None:
            text = _tidy("".join(line))
            line.clear()
            if text:
                found.append(text)

        for child in element:
            block = self._block(child)
            if block is None:
                line.append(self._inline(child))
            else:
                end_line()
                found += block
            line.append(self._escaped(child.tail))
        end_line()
        return found

    def _block(self, element: Element) -> list[str] | None:
        """The blocks that an element is; `None` if it is in line."""
        tag = _tag(element)
        write = self._writers.get(tag)
        if write:
            return write(element)
        if tag in _BLOCKS:
            return self._blocks(element)
        if tag in _LEFT_OUT or not any(_tag(below) in _SET_APART for below in element):
            return None
        # A link around a whole card, or a custom element around a page.
        target = "" if self._plain or tag != "a" else self._absolute(element.get("href") or "")
        return [*self._blocks(element), *([f"[link]({_link_target(target)})"] if target else [])]

    def _heading(self, element: Element) -> list[str]:
        text = _tidy(self._inside(element)).replace("\n", " ")
        return [text if self._plain else f"{'#' * _HEADINGS[_tag(element)]} {text}"] if text else []

    def _quote(self, element: Element) -> list[str]:
        inner = "\n\n".join(self._blocks(element))
        return ["\n".join(f"> {line}".rstrip() for line in inner.split("\n"))] if inner else []

    def _rule(self, _: Element) -> list[str]:
        return [] if self._plain else ["---"]

    def _code_block(self, element: Element) -> list[str]:
        text = "".join(_texts(element)).strip("\n")
        if not text.strip():
            return []
        if self._plain:
            return [text]
        classes = [element.get("class", ""), *(child.get("class", "") for child in element if _tag(child) == "code")]
        language = next((match[1] for one in classes if (match := _LANGUAGE.search(one))), "")
        longest = max((len(run) for run in _BACKTICKS.findall(text)), default=0)
        fence = "`" * max(3, longest + 1)
        return [f"{fence}{language}\n{text}\n{fence}"]

    def _list(self, element: Element) -> list[str]:
        items = []
        ordered = _tag(element) == "ol"
        number = _number(element.get("start"), 1)
        for child in element:
            blocks = [] if _tag(child) in _LEFT_OUT else self._blocks(child)
            if not blocks:
                continue
            mark = f"{number}. " if ordered else "- "
            number += 1
            indent = " " * len(mark)
            # A list within an item follows its text at once, as the list itself is written; a paragraph does not.
            joined = blocks[0] + "".join(f"\n{one}" if _LIST.match(one) else f"\n\n{one}" for one in blocks[1:])
            items.append(mark + joined.replace("\n", f"\n{indent}"))
        return ["\n".join(items)] if items else []

    def _table(self, element: Element) -> list[str]:
        lines = table_lines(element, lambda cell: _tidy(self._inside(cell)).replace("\n", " "))
        return self._blocks(element) if lines is None else ["\n".join(lines)]

    def _inside(self, element: Element) -> str:
        """The content of an element in one line; blocks in it are set apart by a space."""
        parts = [self._escaped(element.text)]
        for child in element:
            parts += [self._inline(child), self._escaped(child.tail)]
        return "".join(parts)

    def _inline(self, element: Element) -> str:
        tag = _tag(element)
        if not tag or tag in _LEFT_OUT:
            return ""
        write = self._line_writers.get(tag)
        if write:
            return write(element)
        inner = self._inside(element)
        return f" {inner} " if tag in _SET_APART else self._marked(inner, "" if self._plain else _MARKS.get(tag, ""))

    def _code(self, element: Element) -> str:
        text = squeeze("".join(_texts(element)))
        if self._plain or not text.strip():
            return text
        fence = "`" * (max((len(run) for run in _BACKTICKS.findall(text)), default=0) + 1)
        room = " " if text.startswith("`") or text.endswith("`") else ""
        return f"{fence}{room}{text}{room}{fence}"

    def _marked(self, inner: str, mark: str) -> str:
        core = inner.strip()
        if not mark or not core or "\n" in core:
            return inner
        start = inner[: len(inner) - len(inner.lstrip())]
        return f"{start}{mark}{core}{mark}{inner[len(start) + len(core) :]}"

    def _link(self, element: Element) -> str:
        inner = self._inside(element)
        core = squeeze(inner).strip()
        target = self._absolute(element.get("href") or "")
        if self._plain or not core or not target:
            return inner
        lead, trail = (" " if inner[:1].isspace() else ""), (" " if inner[-1:].isspace() else "")
        return f"{lead}[{core}]({_link_target(target)}){trail}"

    def _image(self, element: Element) -> str:
        alt = squeeze(element.get("alt") or "").strip()[:_MAX_ALT]
        source = self._absolute(element.get("src") or "")
        if self._plain or not source:
            return self._escaped(alt)
        return f"![{self._escaped(alt)}]({_link_target(source)})"

    def _escaped(self, text: str | None) -> str:
        squeezed = squeeze(text or "")
        return squeezed if self._plain else _SPECIAL.sub(r"\\\1", squeezed)


def _tag(element: Element) -> str:
    """Its name; empty for comments and processing instructions, whose tag is no text."""
    return element.tag.lower() if isinstance(element.tag, str) else ""


def _texts(element: Element) -> list[str]:
    """All text in it as it is, without recursion; `br` is a line feed."""
    found: list[str] = []
    open_ones: list[tuple[Element, bool]] = [(element, False)]
    while open_ones:
        one, is_done = open_ones.pop()
        if is_done:
            found.append(one.tail or "")
            continue
        if one is not element:
            open_ones.append((one, True))
        if _tag(one) == "br":
            found.append("\n")
        elif _tag(one) and _tag(one) not in {"script", "style"}:
            found.append(one.text or "")
            open_ones += [(child, False) for child in reversed(one)]
    return found


def _tidy(text: str) -> str:
    """A paragraph: no spaces around its lines, no empty line in it."""
    lines = [re.sub(" {2,}", " ", line).strip() for line in text.split("\n")]
    return "\n".join(line for line in lines if line)


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 7 else otherwise  # noqa: PLR2004


def _link_target(url: str) -> str:
    return url.replace(" ", "%20").replace("(", "%28").replace(")", "%29").replace("<", "%3C").replace(">", "%3E")
