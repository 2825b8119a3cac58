"""What speaks to the model in the definition of a tool: all that does in a result, and more.

A description is to say what a tool does. Words that are common in any document, as "you must first", are odd there, and
a person looks at each: so more is marked here than is ever withheld from a model.
"""

from __future__ import annotations

import re

from muxi_runtime.instructions.passages import find

__all__ = ["spoken_to_model"]

_IN_DEFINITIONS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|prior|above|all|other|earlier|system)\b",
        r"<\s*/?\s*(?:important|system|secret|instructions?|admin|hidden)\b",
        (
            r"\b(?:do not|don't|never|without)\b.{0,40}"
            r"\b(?:tell|mention|inform|reveal|show|notify|asking)\b.{0,40}\b(?:user|human|person)"
        ),
        r"\bbefore (?:using|calling|you (?:use|call))\b.{0,60}\b(?:tool|read|call|send)\b",
        (
            r"\b(?:you|the (?:model|assistant|agent|ai)) (?:must|should|(?:has|have) to|(?:is|are) required to)\b"
            r"[^.]{0,60}\b(?:always|first|read|send|pass|include|call)\b"
        ),
        r"\bsystem prompt\b|\bhidden instruction|\bjailbreak\b",
        (
            r"(?:~/|/home/|/root/|/etc/)[\w./-]*|\.ssh\b|\bid_rsa\b|\.env\b|\bmcp\.json\b"
            r"|\bcredentials?\b.{0,40}\b(?:pass|send|include)"
        ),
        (
            r"\b(?:send|post|forward|upload|exfiltrat\w*)\b.{0,60}"
            r"(?:https?://|\b(?:conversation|chat history|message|api key|token|password|credential)s?\b)"
        ),
    )
)


def spoken_to_model(text: str) -> int | None:
    """Where a text begins to speak to the model, `None` where it does not. Hidden characters are gone already."""
    matches = (pattern.search(text) for pattern in _IN_DEFINITIONS)
    first = next((match.start() for match in matches if match), None)
    if first is not None:
        return first
    return next((passage.start for passage in find([text])), None)
