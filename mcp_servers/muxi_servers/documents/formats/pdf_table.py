"""Tables in a PDF: lines one below the other whose pieces stand in the same columns."""

from __future__ import annotations

from muxi_servers.documents.model import Table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from muxi_servers.documents.formats.pdf_lines import Line, Piece
    from muxi_servers.documents.model import Row

__all__ = ["table_at"]

_LEAST_ROWS = 2
_ROW_GAP = 3.0  # of the height: lines farther apart are not of one table
_WRAP_GAP = 0.6  # of the height: a line this close below is the rest of a cell
_BULLETS = frozenset("\u2022\u25cf\u25aa\u25e6\u2023\u2043\u25cb\u25a0\u00b7\uf0b7\u2013-*")


def table_at(lines: list[Line], at: int) -> tuple[Table | None, int]:
    """The table that begins at that line and the line after it; none if none does."""
    run = _run(lines, at)
    while len(run) >= _LEAST_ROWS:
        columns = _columns(run)
        if len(columns) >= 2 and _is_aligned(run, columns):  # noqa: PLR2004 - one column is a list
            return Table(_rows(run, columns)), at + len(run)
        run = run[:-1]
        while run and len(run[-1].pieces) == 1:
            run = run[:-1]
    return None, at


def _run(lines: list[Line], at: int) -> list[Line]:
    """Lines that may be rows: with gaps, and between such also some without."""
    run: list[Line] = []
    length = 0
    for line in lines[at:]:
        if run and not _follows(run[-1], line):
            break
        many = len(line.pieces) > 1 and line.first.text.strip() not in _BULLETS
        if not many and (not run or (len(run) > 1 and len(run[-1].pieces) == len(run[-2].pieces) == 1)):
            break
        run.append(line)
        length = len(run) if many or _is_rest(run, line) else length
    return run[:length]


def _follows(above: Line, line: Line) -> bool:
    gap = line.first.top - above.bottom
    return -above.first.height < gap < _ROW_GAP * above.first.height and line.first.top > above.first.top


def _is_rest(run: list[Line], line: Line) -> bool:
    """Whether a line is the rest of a cell above: close below, and not where rows begin."""
    above = run[-2] if len(run) > 1 else None
    if above is None or line.first.top - above.bottom > _WRAP_GAP * line.first.height:
        return False
    return line.first.left > run[0].first.right


def _columns(run: list[Line]) -> list[tuple[float, float]]:
    """From left to right where pieces are; those that overlap are one column."""
    spans = sorted((piece.left, piece.right) for line in run if len(line.pieces) > 1 for piece in line.pieces)
    columns: list[tuple[float, float]] = []
    for left, right in spans:
        if columns and left <= columns[-1][1]:
            columns[-1] = (columns[-1][0], max(columns[-1][1], right))
        else:
            columns.append((left, right))
    return columns


def _place(piece: Piece, columns: list[tuple[float, float]]) -> int:
    """The column that a piece shares most with."""
    shared = [min(piece.right, right) - max(piece.left, left) for left, right in columns]
    return shared.index(max(shared))


def _is_aligned(run: list[Line], columns: list[tuple[float, float]]) -> bool:
    """No two pieces of a line in one column, and most lines fill most of them."""
    filled = 0
    for line in run:
        places = {_place(piece, columns) for piece in line.pieces}
        if len(places) < len(line.pieces):
            return False
        filled += len(places) > 1
    return filled >= _LEAST_ROWS and filled * 2 >= len(run)


def _rows(run: list[Line], columns: list[tuple[float, float]]) -> list[Row]:
    rows: list[Row] = []
    bottom = 0.0
    for line in run:
        cells: Row = [""] * len(columns)
        for piece in line.pieces:
            cells[_place(piece, columns)] = piece.text.strip()
        is_close = line.first.top - bottom <= _WRAP_GAP * line.first.height
        if rows and is_close and not cells[0] and len(line.pieces) < len(columns):
            rows[-1] = [f"{above or ''} {below or ''}".strip() for above, below in zip(rows[-1], cells, strict=True)]
        else:
            rows.append(cells)
        bottom = line.bottom
    return rows
