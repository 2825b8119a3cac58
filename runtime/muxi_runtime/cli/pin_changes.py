"""What is different between what was accepted and what is listed now, in words and lines."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType

from muxi_runtime.catalog.pins import PinKind, name_of
from muxi_runtime.cli.output import plain

__all__ = ["Change", "changes_between", "diff_lines", "shown_changes"]

NEW, GONE, CHANGED = "new", "gone", "changed"
STYLES = {"+": "green", "-": "red", "@": "cyan"}


@dataclass(frozen=True, slots=True)
class Change:
    """One tool, prompt or template that is not as it was; `was` or `now` is `None` for one that is new, or gone."""

    of: PinKind
    tool: str
    was: Mapping[str, Any] | None
    now: Mapping[str, Any] | None

    @property
    def kind(self) -> str:
        """`new`, `gone` or `changed`."""
        return NEW if self.was is None else GONE if self.now is None else CHANGED


def changes_between(
    was: Mapping[tuple[PinKind, str], Mapping[str, Any]], now: Mapping[PinKind, Sequence[Mapping[str, Any]]]
) -> list[Change]:
    """In the order of what is there now, then what is gone."""
    listed = {(kind, name_of(kind, definition)): definition for kind, found in now.items() for definition in found}
    changes = [Change(*key, was.get(key), definition) for key, definition in listed.items()]
    changes += [Change(*key, definition, None) for key, definition in was.items() if key not in listed]
    return [change for change in changes if change.was != change.now]


def shown_changes(changes: Sequence[Change]) -> list[RenderableType | str]:
    """For people."""
    if not changes:
        return ["Nothing is different from what was accepted."]
    parts: list[RenderableType | str] = []
    for change in changes:
        parts.append(plain(f"{change.of} {change.tool}: {change.kind}", "bold"))
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
