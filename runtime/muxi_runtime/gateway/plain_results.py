"""Results that are nothing but texts, as most are: what the SDK's models would say of them is known beforehand.

Above: `upstream`, which looks at what a server sent, and `direct_calls`, which looks at what a client gets. Everything
else is given to the models; tests compare both ways. And how answers are written that the SDK does not write.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import to_json

__all__ = ["encoded", "is_of_texts"]

JSON = json.JSONEncoder(separators=(",", ":"))
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


def encoded(answer: Mapping[str, Any]) -> bytes:
    """The answer as JSON, whatever texts are in it."""
    try:
        return to_json(answer, inf_nan_mode="constants")
    except ValueError:  # half a surrogate pair, which only an escape can hold
        return JSON.encode(answer).encode()
