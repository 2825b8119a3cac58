"""Results that are nothing but texts, as most are: what the SDK's models would say of them is known beforehand.

Above: `upstream`, which looks at what a server sent, and `direct_calls`, which looks at what a client gets. Everything
else is given to the models; tests compare both ways.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["is_of_texts"]

TEXT = {"type", "text"}
RESULT = {"content", "isError", "resultType", "_meta"}
COMPLETE = "complete"


def is_of_texts(result: Mapping[str, Any]) -> bool:
    """Whether this is a result of `tools/call`, of either era, with texts alone. False says nothing."""
    content = result.get("content")
    if type(content) is not list or not result.keys() <= RESULT:
        return False
    if type(result.get("isError", False)) is not bool or result.get("resultType", COMPLETE) != COMPLETE:
        return False
    for block in content:
        if type(block) is not dict or block.keys() != TEXT or block["type"] != "text" or type(block["text"]) is not str:
            return False
    return type(result.get("_meta", _NONE)) is dict


_NONE: dict[str, Any] = {}
