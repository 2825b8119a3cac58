"""What every format is read into: parts (pages, sheets, slides, chapters) made of blocks."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    Cell: TypeAlias = str | int | float | bool | None
    Row: TypeAlias = list[Cell]

__all__ = ["Block", "Document", "Part", "Table", "Window"]


class Block:
    """A piece of a part; its text is Markdown already.

    Attributes:
        kind: `heading`, `text`, `item`, `code`, `table`, or `raw` for Markdown that may be several of these.
        level: of a heading 1 to 6; of an item how deep it is in its list, from 0.
        number: of an item of a numbered list, from 1; 0 in others.
    """

    __slots__ = ("kind", "level", "number", "text")

    def __init__(self, kind: str, text: str = "", level: int = 0, number: int = 0) -> None:
        self.kind = kind
        self.text = text
        self.level = level
        self.number = number


class Table(Block):
    """Rows of plain values; the first is the header where `has_header`.

    Attributes:
        first_row: number of the first row held, counted from 1 in the whole table.
        total_rows: of the whole table; `None` where it was not read to its end.
    """

    __slots__ = ("first_row", "has_header", "name", "rows", "total_rows")

    def __init__(self, rows: list[Row], name: str = "", *, has_header: bool = True) -> None:
        super().__init__("table")
        self.rows = rows
        self.name = name
        self.has_header = has_header
        self.first_row = 1
        self.total_rows: int | None = len(rows)

    @property
    def is_whole(self) -> bool:
        """Whether no row comes after those held."""
        return self.total_rows is not None and self.total_rows < self.first_row + len(self.rows)


class Part:
    """A page, sheet, slide or chapter, or the whole document where there are none; `number` counts from 1."""

    __slots__ = ("blocks", "name", "number")

    def __init__(self, number: int, blocks: list[Block], name: str = "") -> None:
        self.number = number
        self.blocks = blocks
        self.name = name


class Window:
    """Which rows of long tables to read, and whether formulas are wanted in place of values."""

    __slots__ = ("first_row", "formulas", "max_rows")

    def __init__(self, first_row: int = 1, max_rows: int = 1_000, *, formulas: bool = False) -> None:
        self.first_row = first_row
        self.max_rows = max_rows
        self.formulas = formulas


class Document:
    """An open document; its parts are read when they are asked for.

    Attributes:
        unit: what its parts are: `page`, `sheet`, `slide`, `chapter`, `image` or `document`.
        names: of its parts, in order; fewer where they have none.
        metadata: `title`, `author`, `subject`, `language`, `created`, `modified`, each only if it is known.
        details: more that is worth telling, by name.
        notes: what a reader should know, such as that there are macros, which were not run.
    """

    def __init__(self, form: str, mime_type: str, unit: str, count: int, read: Callable[[int], Part]) -> None:
        self.format = form
        self.mime_type = mime_type
        self.unit = unit
        self.count = count
        self.names: list[str] = []
        self.metadata: dict[str, str] = {}
        self.details: dict[str, str] = {}
        self.notes: list[str] = []
        self.encrypted = False
        self._read = read

    def parts(self, numbers: Iterable[int]) -> Iterator[Part]:
        """These parts, one after the other."""
        for number in numbers:
            yield self._read(number)
