"""The question to a person as MCP's elicitation has it, and what comes back. Above: `mcp_caller`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muxi_runtime.gateway.caller import Answer
from muxi_runtime.policy.approvals import Scope, means

if TYPE_CHECKING:
    from muxi_runtime.gateway.caller import Question

__all__ = ["elicitation", "read_answer"]

SENTENCES = {"accept": "", "decline": "the person declined", "cancel": "the person chose to cancel"}


def elicitation(question: Question) -> dict[str, Any]:
    """The request: its method and params. Plain types only, so that a client of any era can show them."""
    meanings = "; ".join(f"{scope}: {means(Scope(scope))}" for scope in question.scopes)
    properties = {
        "allow": {"type": "boolean", "title": "Allow it"},
        "for": {
            "type": "string",
            "title": "For how much",
            "description": f"{meanings[:1].upper()}{meanings[1:]}.",
            "enum": list(question.scopes),
            "default": question.scopes[0],
        },
    }
    schema = {"type": "object", "properties": properties, "required": ["allow"]}
    return {"method": "elicitation/create", "params": {"message": question.text, "requestedSchema": schema}}


def read_answer(result: object, scopes: tuple[str, ...]) -> Answer:
    """The answer. Whatever is not a clear yes is a no; a yes without a scope is for the narrowest."""
    action = result.get("action") if isinstance(result, dict) else None
    if not isinstance(result, dict) or action not in SENTENCES:
        return Answer(allowed=False, detail="the answer could not be read")
    if action != "accept":
        return Answer(allowed=False, detail=SENTENCES[action])
    content = result.get("content")
    if not isinstance(content, dict) or content.get("allow") is not True:
        return Answer(allowed=False, detail="the person did not allow it")
    scope = content.get("for", scopes[0])
    if scope not in scopes:
        return Answer(allowed=False, detail="the answer names nothing that could be chosen")
    return Answer(allowed=True, scope=scope)
