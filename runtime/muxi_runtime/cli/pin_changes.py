"""What is different between a tool as it was accepted and as it is listed now, in words and lines."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType

from muxi_runtime.cli.output import plain

__all__ = ["Change", "changes_between", "diff_lines", "shown_changes"]

NEW, GONE, CHANGED = "new", "gone", "changed"
STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True)
class Change:
    """One tool that is not as it was; `was` or `now` is `None` for a tool that is new, or gone."""

    tool: str
    was: Mapping[str, Any] | None
    now: Mapping[str, Any] | None

    @property
    def kind(self) -> str:
        """`new`, `gone` or `changed`."""
        return NEW if self.was is None else GONE if self.now is None else CHANGED


def changes_between(was: Mapping[str, Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> list[Change]:
    """By tool, in the order of what is there now, then what is gone."""
    listed = {str(definition.get("name")): definition for definition in now}
    changes = [Change(tool, was.get(tool), definition) for tool, definition in listed.items()]
    changes += [Change(tool, definition, None) for tool, definition in was.items() if tool not in listed]
    return [change for change in changes if change.was != change.now]


def shown_changes(changes: Sequence[Change]) -> list[RenderableType | str]:
    """For people."""
    if not changes:
        return ["No tool is different from what was accepted."]
    parts: list[RenderableType | str] = []
    for change in changes:
        parts.append(plain(f"{change.tool}: {change.kind}", "bold"))
        parts += [plain(f"  {line}", STYLES.get(line[:1], "")) for line in diff_lines(change)]
    return parts


def diff_lines(change: Change) -> Iterator[str]:
    """A unified diff of the two definitions as JSON; what cannot be seen is escaped in it."""
    lines = difflib.unified_diff(_lines(change.was), _lines(change.now), "accepted", "offered", lineterm="", n=2)
    yield from lines


def _lines(definition: Mapping[str, Any] | None) -> list[str]:
    if definition is None:
        return []
    return json.dumps(definition, indent=1, sort_keys=True, ensure_ascii=True).split("\n")
