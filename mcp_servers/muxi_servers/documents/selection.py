"""Which parts of a document are meant: `1-3,7`, `12-`, or the name of a sheet."""

from __future__ import annotations

from muxi_servers.kit.errors import ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Selection", "select"]

_MAX_RANGES = 100
_DIGITS = frozenset("0123456789")


class Selection:
    """Ranges of part numbers, first and last included, in the order that they were asked for."""

    def __init__(self, ranges: list[tuple[int, int]]) -> None:
        self._ranges = ranges

    def __iter__(self) -> Iterator[int]:
        for first, last in self._ranges:
            yield from range(first, last + 1)

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self._ranges)

    def from_place(self, place: int) -> str:
        """What is selected from the part at that place (0 is the first) on, as one would write it; empty at the end."""
        words: list[str] = []
        for first, last in self._ranges:
            size = last - first + 1
            if place < size:
                begin = first + max(place, 0)
                words.append(f"{begin}-{last}" if begin < last else str(begin))
            place -= size
        return ",".join(words)


def select(wanted: str, count: int, unit: str, names: list[str]) -> Selection:
    """Read a selection; empty means all parts.

    Raises:
        ToolError: it is none, or names what the document does not have.
    """
    text = wanted.strip()
    if not text:
        return Selection([(1, count)] if count else [])
    if text in names:
        place = names.index(text) + 1
        return Selection([(place, place)])
    pieces = [piece.strip() for piece in text.split(",")]
    if len(pieces) > _MAX_RANGES:
        raise ToolError(f"parts has more than {_MAX_RANGES} ranges; ask in several calls.")
    return Selection([_range(piece, count, unit, names) for piece in pieces])


def _range(piece: str, count: int, unit: str, names: list[str]) -> tuple[int, int]:
    begin, dash, end = (word.strip() for word in piece.partition("-"))
    if not begin or not _DIGITS.issuperset(begin + end) or len(begin + end) > 18:  # noqa: PLR2004 - no number is longer
        known = f" or the name of a {unit}: {', '.join(names[:20])}" if names else ""
        raise ToolError(f"parts is not understood at {piece[:60]!r}: write it like 1-3,7 or 5-{known}.")
    first = int(begin)
    last = int(end) if end else (count if dash else first)
    if first < 1 or first > count or last < first:
        has = f"{count} {unit}s, numbered from 1" if count != 1 else f"1 {unit} only"
        raise ToolError(f"parts asks for {piece[:60]}, but the document has {has}.")
    return first, min(last, count)
