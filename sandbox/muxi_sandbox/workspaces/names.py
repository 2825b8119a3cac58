"""Which names may travel between a workspace and the host. Text only: nothing here looks at a file system."""

from __future__ import annotations

import unicodedata

from muxi_sandbox.workspaces.contract import WorkspaceError

__all__ = ["parts_of", "why_not_a_name"]

NAME_BYTES = 255
PATH_BYTES = 4096
UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode's controls, lone surrogates (which is what bytes that are no UTF-8 become), line and paragraph separators."""


def why_not_a_name(name: str) -> str:
    """Why it cannot be one component of a path; empty for one that can."""
    if name in {"", ".", ".."} or "/" in name:
        return "not a name"
    if any(unicodedata.category(character) in UNFIT for character in name):
        return "bytes that are not UTF-8, or control characters, in its name"
    if len(name.encode()) > NAME_BYTES:
        return f"a name of more than {NAME_BYTES} bytes"
    return ""


def parts_of(path: str, depth: int) -> tuple[str, ...]:
    """The components of a relative path; none for the empty one.

    Raises:
        WorkspaceError: absolute, leading out, too deep or too long, or a component is no name.
    """
    if path in {"", "."}:
        return ()
    parts = tuple(path.rstrip("/").split("/"))
    reason = next(filter(None, map(why_not_a_name, parts)), "")
    if path.startswith("/"):
        reason = "paths are relative to the workspace"
    elif not reason and len(parts) > depth:
        reason = f"more than {depth} folders deep"
    elif not reason and len(path.encode()) > PATH_BYTES:
        reason = f"more than {PATH_BYTES} bytes"
    if reason:
        raise WorkspaceError(f"The path {path[:200]!a} cannot be used: {reason}.")
    return parts
