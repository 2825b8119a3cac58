"""Ids that tell one session's requests from another's over the same stream.

A server that outlived the session with an earlier runtime may still answer its requests. Ids count from the same
number in each session, so such an answer would be taken for one to a new request.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import mcp_types as types

if TYPE_CHECKING:
    from mcp.shared.message import SessionMessage

__all__ = ["IdMarks"]

OWN_NUMBER = re.compile(r"[0-9]{1,18}")
"""What a server sends may have more digits than Python reads, or digits that it does not take for any."""


class IdMarks:
    """Puts a mark before each id that goes out, and takes it off what comes back."""

    def __init__(self, mark: str) -> None:
        self._mark = f"{mark}-"

    def put_on(self, message: types.JSONRPCMessage) -> types.JSONRPCMessage:
        """A request, or the cancellation of one, as it goes out."""
        if isinstance(message, types.JSONRPCRequest):
            return message.model_copy(update={"id": f"{self._mark}{message.id}"})
        if isinstance(message, types.JSONRPCNotification) and message.method == "notifications/cancelled":
            params = dict(message.params or {})
            params["requestId"] = f"{self._mark}{params.get('requestId')}"
            return message.model_copy(update={"params": params})
        return message

    def take_off(self, message: SessionMessage | Exception) -> bool:
        """Give an answer its own id back; false for an answer to another session's request, or half of one."""
        if isinstance(message, Exception):
            return False
        inner = message.message
        if not isinstance(inner, types.JSONRPCResponse | types.JSONRPCError):
            return True
        if not isinstance(inner.id, str) or not inner.id.startswith(self._mark):
            return False
        own = inner.id.removeprefix(self._mark)
        inner.id = int(own) if OWN_NUMBER.fullmatch(own) else own
        return True
