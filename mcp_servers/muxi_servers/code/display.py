"""What a value looks like to the model: a picture, a table, or as Python shows it. Runs in the session's process.

The libraries are only looked up among the modules that the user's code has imported; nothing is imported for them.
"""

from __future__ import annotations

import sys
from binascii import b2a_base64
from io import BytesIO

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["Shown", "show_figures", "to_table"]

MAX_IMAGES = 4
MAX_TABLES = 8
MAX_ROWS = 50
MAX_COLUMNS = 20
MAX_CELL = 200
MAX_TEXT = 20_000


class Shown:
    """What one request showed.

    Attributes:
        result: the last expression's value as text, `None` if it had none or is shown otherwise.
        images: PNG in base64. tables: see `to_table`.
    """

    def __init__(self) -> None:
        self.result: str | None = None
        self.images: list[str] = []
        self.tables: list[dict[str, Any]] = []

    def add(self, *values: object) -> None:
        """Show values: `display` in the session."""
        for value in values:
            if not self._add_rich(value):
                print(_bounded_repr(value))  # noqa: T201 - the user's standard output

    def add_result(self, value: object) -> None:
        """Show the value of the last expression."""
        if not self._add_rich(value):
            self.result = _bounded_repr(value)

    def add_image(self, png: bytes) -> None:
        """Keep a picture, if there is room for one more."""
        if len(self.images) < MAX_IMAGES:
            self.images.append(b2a_base64(png, newline=False).decode())

    def _add_rich(self, value: object) -> bool:
        png = _figure_png(value) or _picture_png(value)
        if png:
            self.add_image(png)
            return True
        table = to_table(value) if _is_table(value) else None
        if table and len(self.tables) < MAX_TABLES:
            self.tables.append(table)
        return table is not None


def show_figures(shown: Shown) -> None:
    """Show every open pyplot figure and close it, as notebooks do."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    if pyplot is None:
        return
    for number in pyplot.get_fignums():
        shown.add_image(_save(pyplot.figure(number)))
    pyplot.close("all")


def _save(figure: Any) -> bytes:  # noqa: ANN401 - matplotlib is not installed where this is checked
    buffer = BytesIO()
    figure.savefig(buffer, format="png", bbox_inches="tight")
    return buffer.getvalue()


def _is_a(value: object, module: str, *names: str) -> bool:
    loaded = sys.modules.get(module)
    classes = tuple(kind for name in names if isinstance(kind := getattr(loaded, name, None), type))
    return isinstance(value, classes)


def _figure_png(value: Any) -> bytes | None:  # noqa: ANN401 - any value of the user's
    if not _is_a(value, "matplotlib.figure", "Figure"):
        return None
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    png = _save(value)
    if pyplot is not None:
        pyplot.close(value)  # shown once, not again with the open figures
    return png


def _picture_png(value: Any) -> bytes | None:  # noqa: ANN401 - any value of the user's
    if not _is_a(value, "PIL.Image", "Image"):
        return None
    buffer = BytesIO()
    try:
        value.save(buffer, format="PNG")
    except (OSError, ValueError):  # a mode that PNG does not have
        buffer = BytesIO()
        value.convert("RGB").save(buffer, format="PNG")
    return buffer.getvalue()


def _is_table(value: object) -> bool:
    return _is_a(value, "pandas", "DataFrame", "Series")


def to_table(value: Any) -> dict[str, Any]:  # noqa: ANN401 - a pandas DataFrame or Series
    """The first 50 rows and 20 columns, as cells and as Markdown."""
    frame = value.to_frame() if _is_a(value, "pandas", "Series") else value
    total_rows, total_columns = (int(size) for size in frame.shape)
    part = frame.iloc[:MAX_ROWS, :MAX_COLUMNS]
    columns = [str(name)[:MAX_CELL] for name in part.columns]
    index = [str(name)[:MAX_CELL] for name in part.index]
    rows = [[_cell(part.iat[row, column]) for column in range(len(columns))] for row in range(len(index))]
    return {
        "columns": columns,
        "index": index,
        "rows": rows,
        "total_rows": total_rows,
        "total_columns": total_columns,
        "markdown": _markdown(columns, index, rows, f"{total_rows} rows x {total_columns} columns"),
    }


def _cell(value: Any) -> str | int | float | bool | None:  # noqa: ANN401 - a cell of the user's table
    plain = value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value
    if isinstance(plain, bool) or plain is None:
        return plain
    if isinstance(plain, int) and abs(plain) < 2**53:
        return int(plain)
    if isinstance(plain, float):
        # NaN and infinities are no JSON; a missing value is null.
        return float(plain) if plain - plain == 0 else None if plain != plain else str(plain)  # noqa: PLR0124 - NaN
    return str(plain)[:MAX_CELL]


def _markdown(columns: list[str], index: list[str], rows: list[list[Any]], size: str) -> str:
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [
        [name, *("" if cell is None else str(cell) for cell in row)] for name, row in zip(index, rows, strict=True)
    ]
    shown = "\n".join("| " + " | ".join(_escape(cell) for cell in line) + " |" for line in lines)
    return f"{shown}\n\n[{size}]"


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def _bounded_repr(value: object) -> str:
    shown = repr(value)
    if len(shown) <= MAX_TEXT:
        return shown
    return f"{shown[: MAX_TEXT // 2]}\n[... {len(shown) - MAX_TEXT} characters left out ...]\n{shown[-MAX_TEXT // 2 :]}"
