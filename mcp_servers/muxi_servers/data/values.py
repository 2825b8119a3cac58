"""Values of the database as JSON."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite

from muxi_servers.kit.codec import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Cell = str | int | float | bool | None

__all__ = ["MAX_CELL", "cell", "cut_cell", "markdown", "whole"]

MAX_CELL = 2_000
_MOST_EXACT = 2**53
_SHOWN_CELL = 120


def cell(value: object) -> Cell:
    """As `cut_cell`, where it does not matter whether it was cut."""
    return cut_cell(value)[0]


def cut_cell(value: object) -> tuple[Cell, bool]:
    """To look at: a number, a truth value, null or a text of `MAX_CELL`; and whether more of it was cut off.

    Lists and structs are text here, as JSON, which is broken where it was cut.
    """
    told = whole(value)
    if isinstance(told, list | dict):
        told = encode(told).decode()
    if isinstance(told, str):
        return told[:MAX_CELL], len(told) > MAX_CELL
    return told, False


def whole(value: object) -> Cell | list[Any] | dict[str, Any]:
    """All of it, as JSON has it, lists and structs too. A number that JSON's readers would round becomes text."""
    if isinstance(value, dict):
        return {str(key): whole(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [whole(item) for item in value]
    return _scalar(value)


def _scalar(value: object) -> Cell:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MOST_EXACT else str(value)
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() and Decimal(repr(float(value))) == value else str(value)
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)


def markdown(columns: list[str], rows: list[list[object]]) -> str:
    """A table for the model."""
    lines = [_row(columns), "|" + " --- |" * len(columns)]
    return "\n".join([*lines, *(_row(row) for row in rows)])


def _row(values: list[str] | list[object]) -> str:
    return "| " + " | ".join(_shown(value) for value in values) + " |"


def _shown(value: object) -> str:
    told = "" if value is None else str(value)
    if len(told) > _SHOWN_CELL:
        told = told[:_SHOWN_CELL] + "..."
    return told.replace("|", "\\|").replace("\r", " ").replace("\n", " ")
