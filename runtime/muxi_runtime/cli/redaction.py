"""Settings on their way to a screen, with what looks like a secret left out."""

from __future__ import annotations

import re

__all__ = ["REDACTED", "redacted"]

REDACTED = "(not shown)"

SECRET_NAME = re.compile(
    r"(?:^|[_-])(?:secret|password|passwd|passphrase|token|credential|(?:api|private)[_-]?key)s?$", re.IGNORECASE
)
USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
"""`user:password@` of a URL."""


def redacted(value: object, name: str = "") -> object:
    """The same JSON value; whatever a secret's name stands before, and passwords in URLs, replaced."""
    if isinstance(value, dict):
        return {key: redacted(item, str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [redacted(item, name) for item in value]
    if value is not None and not isinstance(value, bool) and SECRET_NAME.search(name):
        return REDACTED
    return USER_INFO.sub(REDACTED, value) if isinstance(value, str) else value
