"""Says in a result which limits the call's programs ran into: neither they nor who reads their output can know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muxi_sandbox.contract import LimitHit, Limits

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["LIMITS_META", "NOTE_META", "with_limits", "with_note"]

LIMITS_META = "muxi/limits"
NOTE_META = "muxi/note"
NO_DESCRIPTORS = ("Too many open files", "EMFILE")
"""What programs write when they have no descriptor left: the kernel does not count it."""
NO_SPACE = ("No space left on device", "ENOSPC")
"""What they write when a folder is full. If the workspace is not, it was one that is emptied when the call ends."""
LOOKED_AT = 20_000
"""Characters of each text at its end."""


def with_limits(result: dict[str, Any], hits: Sequence[LimitHit], limits: Limits, server: str) -> dict[str, Any]:
    """The result with a text and a `_meta` entry for each limit; the result itself if there is none."""
    found: dict[str, float] = {hit.limit: hit.value for hit in hits}
    if not found and not _says(result, (*NO_DESCRIPTORS, *NO_SPACE)):
        return result
    if _says(result, NO_DESCRIPTORS):
        found["open_files"] = limits.open_files
    if not found.keys() & {"workspace_mib", "workspace_inodes", "tmp_mib"} and _says(result, NO_SPACE):
        name = "shm_mib" if _says(result, ("/dev/shm",)) else "tmp_mib"  # noqa: S108  # nosec B108  # a text to find
        found[name] = getattr(limits, name)
    if not found:
        return result
    notes = [{"type": "text", "text": _sentence(name, value, server)} for name, value in found.items()]
    return {
        **result,
        "content": [*result.get("content", ()), *notes],
        "_meta": {**(result.get("_meta") or {}), LIMITS_META: found},
    }


def with_note(result: dict[str, Any], note: str) -> dict[str, Any]:
    """The result with what its reader has to know of the sandbox before; the result itself if there is nothing."""
    if not note:
        return result
    return {
        **result,
        "content": [*result.get("content", ()), {"type": "text", "text": f"[{note}]"}],
        "_meta": {**(result.get("_meta") or {}), NOTE_META: note},
    }


def _sentence(name: str, value: float, server: str) -> str:
    meaning = Limits.model_fields[name].description
    return (
        f"[limit reached: {name} = {value:g} ({meaning}). Use less, or have an operator raise "
        f"servers.{server}.limits.{name}]"
    )


def _says(result: Mapping[str, Any], words: Sequence[str]) -> bool:
    for block in result.get("content", ()):
        text = block.get("text") if isinstance(block, dict) else None
        if not isinstance(text, str):
            continue
        end = text[-LOOKED_AT:]
        for word in words:
            if word in end:
                return True
    return False
