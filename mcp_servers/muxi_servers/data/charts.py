"""Charts of a result, drawn by Matplotlib without a display."""

from __future__ import annotations

from binascii import b2a_base64
from datetime import date
from decimal import Decimal
from io import BytesIO

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["KINDS", "draw"]

KINDS = ["line", "bar", "scatter", "histogram", "box", "pie"]
_MAX_BARS = 200
_MAX_SLICES = 30
_MAX_LABEL = 60
_WIDTH, _HEIGHT, _DOTS = 8.0, 5.0, 110


def draw(names: list[str], rows: list[tuple[Any, ...]], request: dict[str, Any]) -> dict[str, Any]:
    """The picture as PNG, and as SVG if that is asked for, in base64.

    Raises:
        ToolError: there are no rows, or the columns do not fit the kind of chart.
    """
    if not rows:
        raise ToolError("The query returns no rows, so there is nothing to draw.")
    kind = request["kind"]
    x = request["x"] or (names[0] if kind in {"line", "bar", "scatter", "pie"} else "")
    series = request["y"] or [name for name in names if name != x]
    columns = {name: [row[_index(names, name)] for row in rows] for name in [*series, *([x] if x else [])]}
    numbers = {name: [_number(value, name) for value in columns[name]] for name in series}
    if not numbers:
        raise ToolError("There is no column of numbers to draw: name one with y.")
    return {"points": len(rows), "series": series, **_picture(kind, x, columns.get(x, []), numbers, request)}


def _picture(
    kind: str, x: str, at: list[Any], numbers: dict[str, list[float]], request: dict[str, Any]
) -> dict[str, Any]:
    import matplotlib as mpl  # noqa: PLC0415 - for this tool only

    mpl.use("Agg")
    mpl.rcParams["text.parse_math"] = False  # a label is a label, whatever it has of $ and \
    mpl.rcParams["svg.fonttype"] = "none"
    from matplotlib.figure import Figure  # noqa: PLC0415 - as above

    figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
    axes = figure.subplots()
    _DRAWN[kind](axes, [_place(value) for value in at], numbers)
    axes.set_title(request["title"][:200])
    if kind in {"line", "bar", "scatter"}:
        axes.set_xlabel(x[:_MAX_LABEL])
    if len(numbers) == 1 and kind != "pie":
        axes.set_ylabel("count" if kind == "histogram" else next(iter(numbers))[:_MAX_LABEL])
    elif kind not in {"pie", "box"}:
        axes.legend()
    told = {"png": _saved(figure, "png")}
    return {**told, "svg": _saved(figure, "svg")} if request["svg"] else told


def _saved(figure: Any, form: str) -> str:  # noqa: ANN401 - Matplotlib's figure
    out = BytesIO()
    figure.savefig(out, format=form, dpi=_DOTS)
    return b2a_base64(out.getvalue(), newline=False).decode()


def _index(names: list[str], name: str) -> int:
    if name not in names:
        raise ToolError(f"There is no column {name[:60]!r}; there are: {', '.join(names[:30])}.")
    return names.index(name)


def _number(value: object, name: str) -> float:
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ToolError(
            f"Column {name[:60]!r} has {str(value)[:40]!r}, which is no number: cast it, or name others with y."
        )
    return float(value)


def _place(value: object) -> Any:  # noqa: ANN401 - what Matplotlib takes as a coordinate
    if isinstance(value, Decimal):
        return float(value)
    return value if isinstance(value, int | float | date) else str(value)[:_MAX_LABEL]


def _line(axes: Any, at: list[Any], numbers: dict[str, list[float]]) -> None:  # noqa: ANN401 - Matplotlib's axes
    for name, values in numbers.items():
        axes.plot(at, values, label=name[:_MAX_LABEL], marker="o" if len(at) == 1 else None)
    axes.tick_params(axis="x", labelrotation=30)


def _bar(axes: Any, at: list[Any], numbers: dict[str, list[float]]) -> None:  # noqa: ANN401 - as above
    if len(at) > _MAX_BARS:
        raise ToolError(f"{len(at)} bars are too many to see; {_MAX_BARS} at most.")
    width = 0.8 / len(numbers)
    for index, (name, values) in enumerate(numbers.items()):
        places = [place + (index - (len(numbers) - 1) / 2) * width for place in range(len(at))]
        axes.bar(places, values, width, label=name[:_MAX_LABEL])
    axes.set_xticks(range(len(at)), [str(value) for value in at], rotation=30, ha="right")


def _scatter(axes: Any, at: list[Any], numbers: dict[str, list[float]]) -> None:  # noqa: ANN401 - as above
    for name, values in numbers.items():
        axes.scatter(at, values, s=12, label=name[:_MAX_LABEL])


def _histogram(axes: Any, _: list[Any], numbers: dict[str, list[float]]) -> None:  # noqa: ANN401 - as above
    for name, values in numbers.items():
        axes.hist(_known(values), bins="auto" if len(values) < 1_000 else 50, alpha=0.7, label=name[:_MAX_LABEL])  # noqa: PLR2004
    axes.set_xlabel(", ".join(numbers)[:_MAX_LABEL])


def _box(axes: Any, _: list[Any], numbers: dict[str, list[float]]) -> None:  # noqa: ANN401 - as above
    axes.boxplot([_known(values) for values in numbers.values()])
    axes.set_xticks(range(1, len(numbers) + 1), [name[:_MAX_LABEL] for name in numbers])


def _pie(axes: Any, at: list[Any], numbers: dict[str, list[float]]) -> None:  # noqa: ANN401 - as above
    (values,) = list(numbers.values())[:1]
    if len(values) > _MAX_SLICES or any(not value >= 0 for value in values) or not sum(values):
        raise ToolError(f"A pie takes up to {_MAX_SLICES} numbers, none of them negative or missing, and not all 0.")
    axes.pie(values, labels=[str(value) for value in at], autopct="%1.1f%%")


def _known(values: list[float]) -> list[float]:
    found = [value for value in values if value == value]  # noqa: PLR0124 - not NaN
    if not found:
        raise ToolError("A column has no numbers at all.")
    return found


_DRAWN = {"line": _line, "bar": _bar, "scatter": _scatter, "histogram": _histogram, "box": _box, "pie": _pie}
