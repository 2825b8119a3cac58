"""Values of the database as JSON."""

from __future__ import annotations

from datetime import date, datetime, time
from decimal import Decimal
from math import isfinite

from muxi_servers.kit.codec import encode

__all__ = ["MAX_CELL", "cell", "markdown"]

MAX_CELL = 2_000
_MOST_EXACT = 2**53
_SHOWN_CELL = 120


def cell(value: object) -> str | int | float | bool | None:
    """A number, a text, a truth value or null. What JSON cannot hold exactly becomes text; lists and structs JSON."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _MOST_EXACT else str(value)
    if isinstance(value, float):
        return value if isfinite(value) else str(value)
    if isinstance(value, Decimal):
        return float(value) if value.is_finite() and Decimal(repr(float(value))) == value else str(value)
    return _text(value)[:MAX_CELL]


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value[:MAX_CELL]).hex()
    if isinstance(value, list | tuple | dict):
        return encode(_plain(value)).decode()
    return value.isoformat() if isinstance(value, date | datetime | time) else str(value)


def _plain(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return cell(value)


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
