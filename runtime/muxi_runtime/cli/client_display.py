"""A client's configuration on its way to a screen: without the secrets that it holds."""

from __future__ import annotations

import json
import re
from dataclasses import replace

from muxi_runtime.cli.redaction import REDACTED
from muxi_runtime.setup.clients.entry import Way

__all__ = ["concealed", "shown_way"]

SECRET = re.compile(
    r"""
    (?P<before>
        \b(?:bearer|basic)[ ]                                                     # a header's value
        | [\w-]*(?:key|token|secret|passw|credential|authorization)[\w-]*"?[ \t]*[:=][ \t]*"(?!bearer[ ]|basic[ ])
    )
    (?P<value>(?:[^"\\\n]|\\.)+)
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""A string after a name that secrets have, in JSON or TOML: other servers' entries are shown around ours."""


def concealed(text: str, key: str = "") -> str:
    """The text without anything that looks like a secret, but for `key`."""
    kept = json.dumps(key)[1:-1]
    return SECRET.sub(
        lambda found: found[0] if key and found["value"] == kept else f"{found['before']}{REDACTED}", text
    )


def shown_way(way: Way, *, show_key: bool) -> Way:
    """The way as it may be shown."""
    return way if show_key or not way.key else replace(way, key=REDACTED)
