"""Unified diffs of exact replacements: the places are known, so nothing has to be compared."""

from __future__ import annotations

__all__ = ["diff_of_replacement"]

_CONTEXT = 3
_MAX_LINES = 200

_Span = tuple[int, int]


def diff_of_replacement(text: str, old: str, new: str, path: str) -> str:
    """The diff from `text` to `text` with every `old` replaced by `new`; at most 200 lines of it."""
    shown = [f"--- {path}", f"+++ {path}"]
    shift = 0
    for begin, end in _touched_lines(text, old, new):
        before = _split(text[begin:end])
        after = _split(text[begin:end].replace(old, new))
        head = _split(text[:begin])[-_CONTEXT:] if begin else []
        tail = _split(text[end : _lines_on(text, end)])
        first = text.count("\n", 0, begin) + 1 - len(head)
        sizes = [len(head) + len(part) + len(tail) for part in (before, after)]
        shown.append(f"@@ -{first},{sizes[0]} +{first + shift},{sizes[1]} @@")
        for mark, part in ((" ", head), ("-", before), ("+", after), (" ", tail)):
            shown += [mark + line for line in part]
        shift += len(after) - len(before)
        if len(shown) > _MAX_LINES:
            return "\n".join([*shown[:_MAX_LINES], "[... the rest of the diff is left out ...]"])
    return "\n".join(shown)


def _touched_lines(text: str, old: str, new: str) -> list[_Span]:
    """Offsets of the whole lines around each occurrence; those that are close to each other are one."""
    spans: list[_Span] = []
    at = text.find(old)
    while at >= 0 and len(spans) <= _MAX_LINES:
        begin = text.rfind("\n", 0, at) + 1
        end = _line_end(text, at + len(old) - 1)
        if old.endswith("\n") and not new.endswith("\n") and (new or begin < at):
            end = _line_end(text, end)  # the next line is joined on
        if spans and begin <= _lines_on(text, spans[-1][1], 2 * _CONTEXT):
            begin = spans.pop()[0]
        spans.append((begin, end))
        at = text.find(old, at + len(old))
    return spans


def _line_end(text: str, at: int) -> int:
    """Offset after the line that the character is in."""
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1


def _lines_on(text: str, at: int, count: int = _CONTEXT) -> int:
    """Offset some lines further on."""
    for _ in range(count):
        at = _line_end(text, at) if at < len(text) else at
    return at


def _split(text: str) -> list[str]:
    lines = text.split("\n")
    return lines[:-1] if lines[-1] == "" else lines
