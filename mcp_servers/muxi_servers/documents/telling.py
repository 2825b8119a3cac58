"""What was found, in words for people and models."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["say_chunks", "say_info", "say_ocr", "say_read", "say_tables", "say_written"]

_MAX_NAMES = 50


def say_info(found: dict[str, Any]) -> str:
    """One fact a line."""
    keys = ("title", "author", "subject", "language", "created", "modified")
    lines = [f"{found['path']}: {found['format']}, {_parts(found)}, {found['size_bytes']} bytes"]
    lines += [f"{key}: {found[key]}" for key in keys if found[key]]
    lines += [f"{key}: {value}" for key, value in found["details"].items()]
    named = [f"{part['number']} {part['name']}" for part in found["parts"] if part["name"]]
    if named:
        lines.append(f"{found['unit']}s: {'; '.join(named[:_MAX_NAMES])}")
    return "\n".join([*lines, *found["notes"]])


def say_read(found: dict[str, Any]) -> str:
    """The text, and a line that says how to read on."""
    notes = list(found["notes"])
    if found["next"]:
        going_on = f"parts={found['next']['parts']} and offset={found['next']['offset']}"
        notes.append(f"{found['path']} goes on: read with {going_on}")
    elif not found["text"]:
        notes.append("there is no text in what was asked for")
    told = f"\n\n[{' '.join(notes)}]" if notes else ""
    return f"{found['text']}{told}"


def say_tables(found: dict[str, Any]) -> str:
    """Each table as lines of values."""
    lines = []
    for table in found["tables"]:
        last = table["first_row"] + len(table["rows"]) - 1
        name = f" {table['name']}" if table["name"] else ""
        place = "" if found["unit"] == "document" else f", {found['unit']} {table['part']}"
        rows = f"rows {table['first_row']} to {last} of {table['total_rows'] or 'many'}"
        lines.append(f"Table {table['number']}{name}{place}, {rows}:")
        lines += [" | ".join(_cell(value) for value in row) for row in table["rows"]]
        lines.append("")
    if not found["tables"]:
        return "No table was found."
    if not found["complete"]:
        lines.append("[there is more: ask with first_row, table or parts]")
    return "\n".join(lines).rstrip()


def say_ocr(found: dict[str, Any]) -> str:
    """The text of each page below a marker."""
    lines = []
    for page in found["pages"]:
        lines.append(f"<!-- {found['unit']} {page['number']} of {found['count']}, confidence {page['confidence']} -->")
        lines.append(page["text"] or "[no letters were found]")
    if found["next_parts"]:
        lines.append(f"[there are more: ask with parts={found['next_parts']}]")
    return "\n\n".join(lines)


def say_chunks(found: dict[str, Any]) -> str:
    """Each chunk below a line with its place."""
    lines = []
    for chunk in found["chunks"]:
        place = "" if found["unit"] == "document" else f"{found['unit']} {chunk['part']}, "
        below = " > ".join(chunk["headings"])
        lines.append(
            f"[{place}chunk {chunk['index']}, about {chunk['estimated_tokens']} tokens] {below}\n{chunk['text']}"
        )
    if found["next"]:
        lines.append(f"[there are more: ask with parts={found['next']['parts']} and skip={found['next']['skip']}]")
    return "\n\n".join(lines) or "There is no text in what was asked for."


def say_written(found: dict[str, Any]) -> str:
    """What was written, and what could not be."""
    verb = "Wrote" if found["created"] else "Replaced"
    return "\n".join([f"{verb} {found['path']}: {found['format']}, {found['size_bytes']} bytes.", *found["notes"]])


def _parts(found: dict[str, Any]) -> str:
    return f"{found['count']} {found['unit']}{'s' if found['count'] != 1 else ''}"


def _cell(value: object) -> str:
    return "" if value is None else " ".join(str(value).split())
