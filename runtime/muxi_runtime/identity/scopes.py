"""Scopes: what one key or token may be used for, less than its user's role allows.

    read                 see status, servers, tools, and what a role may see of others' tasks
    call                 call every tool, and handle one's own tasks
    call:SERVER          the same, of one server's tools, resources and prompts; `call:SERVER.*` is the same
    call:SERVER.TOOL     one tool
    admin                change the runtime, as far as the role allows

A key without scopes, as all were once, may do what its user's role allows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["covers_call", "covers_kind", "is_scope", "parse_scopes"]

_SCOPE = re.compile(r"read|admin|call(:[a-z][a-z0-9-]{0,31}(\.(\*|[!-~]{1,128}))?)?")
"""A tool's name is printable ASCII here: OAuth has no other scopes (RFC 6749, 3.3)."""
MOST = 64
"""Scopes of one key."""


def is_scope(text: str) -> bool:
    """Whether it is written as a scope of ours."""
    return _SCOPE.fullmatch(text) is not None and not set(text) & {'"', "\\"}


def parse_scopes(texts: Iterable[str]) -> frozenset[str]:
    """The scopes, each in one form: `call:SERVER.*` becomes `call:SERVER`.

    Raises:
        ValueError: one is no scope, or there are too many.
    """
    found: set[str] = set()
    for text in texts:
        if not is_scope(text):
            raise ValueError(f"{text[:80]!r} is no scope: use read, admin, call, call:SERVER or call:SERVER.TOOL.")
        found.add(text.removesuffix(".*"))
    if len(found) > MOST:
        raise ValueError(f"A key has at most {MOST} scopes.")
    return frozenset(found)


def covers_kind(scopes: frozenset[str] | None, kind: str) -> bool:
    """Whether one of the scopes is of this kind: `read`, `call` or `admin`. `None` is no limit."""
    return scopes is None or any(scope.partition(":")[0] == kind for scope in scopes)


def covers_call(scopes: frozenset[str] | None, server: str, tool: str | None) -> bool:
    """Whether a tool may be called, or, where `tool` is `None`, what is beside a server's tools be used."""
    if scopes is None or "call" in scopes or f"call:{server}" in scopes:
        return True
    return tool is not None and f"call:{server}.{tool}" in scopes
